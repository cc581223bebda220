"""How the genes of CSR are cut into strips for the native path: how many, and where.

Integers and a sample of the gene indices decide: no bound depends on an expression value.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.native.strips import MAX_STRIP_GENES
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

STRIP_VALUES: Final = 3_000_000  # stored values of a strip where nothing asks for fewer strips
MAX_STRIPS: Final = 1024  # a chunk has a segment in each, which must not be tiny
STRIPS_PER_SLOT: Final = 6  # so that all slots end at about the same time
LEAST_PER_SLOT: Final = 2  # so that no slot has nothing to do for half of the time
ROW_VALUES: Final = 16  # of a row in a strip; to cut fewer takes longer than to sort them
MIN_VALUES: Final = 400_000  # that a strip reads from each spill file: opening one takes time
SAMPLES: Final = 16  # places of the matrix of which the gene indices are read
SAMPLE_VALUES: Final = 1 << 16  # indices at each


def count_strips(n_values: int, n_cells: int, n_genes: int, slots: int, fits: int) -> int:
    """Number of strips for `n_values` stored values of the chosen genes.

    Every strip costs something for each row in the first pass, and for each spill file in the
    second. So there are only as many as keep all slots at work, and as memory asks for.

    Parameters
    ----------
    slots
        Tasks at a time; each appends to a spill file of its own.
    fits
        Stored values of a strip that a task has memory for; with more it reads them several times.
    """
    apart = n_values // (MIN_VALUES * slots)
    wanted = max(n_values // STRIP_VALUES, min(STRIPS_PER_SLOT * slots, apart))
    worth = max(n_values // (n_cells * ROW_VALUES), min(LEAST_PER_SLOT * slots, apart))
    needed = -(-n_values // fits)
    n_strips = min(max(min(wanted, worth), needed, 1), MAX_STRIPS, n_genes)
    return max(n_strips, -(-n_genes // MAX_STRIP_GENES))


def place_bounds(genes: Genes, columns: NDArray[np.int64], n_strips: int) -> NDArray[np.int64]:
    """First gene of each strip, then the number of genes, such that strips have similar sizes.

    Parameters
    ----------
    columns
        Columns of the chosen genes, in order; strips count these.

    Raises
    ------
    ReadError
        When an index of the sample lies outside the matrix.
    """
    matrix = genes.matrix
    assert isinstance(matrix, SparseMatrix)
    weights = np.ones(columns.size)  # a gene without a value costs as well
    if n_strips > 1:
        weights += _sample(matrix)[columns]
    ends = np.cumsum(weights)
    inner = np.searchsorted(ends, ends[-1] * np.arange(1, n_strips) / n_strips, side="right")
    bounds = np.unique(np.concatenate([[0], inner, [columns.size]])).astype(np.int64)
    wide = [np.arange(a, b, MAX_STRIP_GENES) for a, b in pairwise(bounds)]
    return np.concatenate([*wide, bounds[-1:]]).astype(np.int64)


def _sample(matrix: SparseMatrix) -> NDArray[np.int64]:
    """(n_columns,) how often each column is among the indices at some places of the matrix."""
    found = np.zeros(matrix.n_minor, np.int64)
    step = max(1, matrix.nnz // SAMPLES)
    for start in range(0, matrix.nnz, step):
        indices = np.asarray(matrix.indices[start : min(start + SAMPLE_VALUES, matrix.nnz)])
        matrix.check_indices(indices)
        found += np.bincount(indices.astype(np.int64), minlength=found.size)
    return found
