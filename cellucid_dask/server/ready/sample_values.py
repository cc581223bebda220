"""Values of a dense X that ready files do not hold, looked for in a sample before X is served.

A sparse X is counted as a whole in any case. A dense one is not read before somebody asks for it,
so without a sample its first NaN would show when a gene is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.stages.genes.exact_values import survey_values
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix

BLOCKS: Final = 1024  # at most
SAMPLE_BYTES: Final = 1 << 26  # of all blocks together, unless the first is larger
BAND_BYTES: Final = 1 << 20  # of a block of a matrix without chunks


def sample_values(genes: Genes) -> None:
    """Look at blocks of a dense matrix: bands of rows, or chunks where it has some.

    Raises
    ------
    ValuesError
        When a value is NaN, infinite, or beyond float32.
    """
    matrix = genes.matrix
    if not isinstance(matrix, DenseMatrix) or matrix.layout != "dense":
        return
    for rows, columns in _blocks(matrix):
        chosen = np.intersect1d(genes.columns, np.arange(columns.start, columns.stop))
        values = np.asarray(matrix.read(rows, columns))[:, chosen - columns.start]
        place = f"rows {rows.start} to {rows.stop - 1}"
        survey_values(values, matrix.label, place, partial(_columns_at, chosen))


def _columns_at(columns: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns of values at positions in rows of them."""
    return columns[at % columns.size]


def _blocks(matrix: DenseMatrix) -> Iterator[tuple[slice, slice]]:
    """Blocks at even distances along the rows, each of other columns than the one before.

    They are the whole of a small matrix.
    """
    n_rows, n_columns = matrix.shape
    row_bytes = max(1, n_columns * matrix.dtype.itemsize)
    height, width = matrix.chunks or (max(1, BAND_BYTES // row_bytes), n_columns)
    down, across = -(-n_rows // height), -(-n_columns // max(1, width))
    most = SAMPLE_BYTES // max(1, height * width * matrix.dtype.itemsize)
    n = min(max(1, most), BLOCKS, down * across)
    for i in range(n):
        top, left = (i * down // n) * height, (i % across) * width
        yield slice(top, min(top + height, n_rows)), slice(left, min(left + width, n_columns))
