"""Second pass: write a block of genes, read from spill files, CSC columns or dense strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import Shared
from cellucid_dask.encode import as_exported, encode_gene
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.files import Receipt, task_folder, write_file
from cellucid_dask.format import Resource, safe, value_ext
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import consecutive_runs
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

GenePiece = tuple[int, Any, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class GeneSettings:
    """What every gene file has in common.

    Parameters
    ----------
    folder, parts
        The export being made, and a folder on the same disk for files that are not finished.
    n_cells
        Length of every vector.
    bits, level
        Quantization (8, 16, None) and gzip level.
    native
        Whether they are encoded by the native library.
    """

    folder: str
    parts: str
    n_cells: int
    bits: int | None
    level: int
    native: bool


def gene_resource(gene: str, bits: int | None, level: int) -> Resource:
    """File of a gene."""
    return Resource("gene", safe(gene), ext=value_ext(bits), gz=level > 0)


def write_spilled(
    settings: GeneSettings, spills: Shared[list[Spill]], start: int, ids: Sequence[str]
) -> list[Receipt]:
    """Write genes that were spilled; the first of `ids` is gene `start` of the spill files."""
    blocks = [spill.read(start, start + len(ids)) for spill in spills.load()]
    with task_folder(settings.parts, f"genes-{start}") as beside:
        return [
            _write_gene(settings, gene, [block.gene(i) for block in blocks], beside)
            for i, gene in enumerate(ids)
        ]


def write_columns(
    settings: GeneSettings, matrix: SparseMatrix, columns: NDArray[np.int64], ids: Sequence[str]
) -> list[Receipt]:
    """Write genes of a CSC matrix; `columns` are theirs."""
    return _write_read(settings, columns, ids, csc_columns(matrix, np.sort(columns)))


def write_strip(
    settings: GeneSettings, matrix: DenseMatrix, columns: NDArray[np.int64], ids: Sequence[str]
) -> list[Receipt]:
    """Write genes of a dense matrix; `columns` are theirs."""
    return _write_read(settings, columns, ids, dense_columns(matrix, np.sort(columns)))


def _write_read(
    settings: GeneSettings,
    columns: NDArray[np.int64],
    ids: Sequence[str],
    read: Iterator[tuple[int, GenePiece]],
) -> list[Receipt]:
    """Write genes as they are read; receipts in the order of `ids`."""
    position = {int(column): i for i, column in enumerate(columns)}
    receipts: dict[int, Receipt] = {}
    with task_folder(settings.parts, f"columns-{columns[0]}") as beside:
        for column, piece in read:
            i = position[column]
            receipts[i] = _write_gene(settings, ids[i], [piece], beside)
    return [receipts[i] for i in range(len(ids))]


def csc_columns(
    matrix: SparseMatrix, columns: NDArray[np.int64]
) -> Iterator[tuple[int, GenePiece]]:
    """Read genes of a CSC matrix; yields each column with its piece, `columns` must rise."""
    for start, stop in consecutive_runs(columns):
        part = matrix.major(start, stop)
        if not part.has_canonical_format:
            # There and back sorts each column and keeps the order of duplicates, in which the
            # reference sums them; and leaves a user's matrix as it is.
            part = part.tocsr().tocsc()
            part.sum_duplicates()
        values = as_exported(part.data, copy=True)
        for i in range(stop - start):
            low, high = part.indptr[i], part.indptr[i + 1]
            yield start + i, (0, part.indices[low:high], values[low:high])


def dense_columns(
    matrix: DenseMatrix, columns: NDArray[np.int64]
) -> Iterator[tuple[int, GenePiece]]:
    """Read genes of a dense matrix; yields each column with its piece, `columns` must rise."""
    for start, stop in consecutive_runs(columns):
        strip = np.asarray(matrix.read(slice(None), slice(start, stop)))
        for i in range(stop - start):
            with np.errstate(over="ignore"):
                values = np.ascontiguousarray(strip[:, i], dtype=np.float32)
            yield start + i, (0, slice(None), values)


def _write_gene(
    settings: GeneSettings, gene: str, pieces: Sequence[GenePiece], beside: str
) -> Receipt:
    encoded = encode_gene(pieces, settings.n_cells, settings.bits, settings.level)
    resource = gene_resource(gene, settings.bits, settings.level)
    return write_file(settings.folder, resource, [encoded.payload], encoded.span, beside=beside)
