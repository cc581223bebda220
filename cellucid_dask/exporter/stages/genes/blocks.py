"""Second pass: write a block of genes, read from spill files, CSC columns or dense strips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.block_writer import BlockWriter
from cellucid_dask.compute.shared import Shared
from cellucid_dask.encode import Range, as_exported, encode_gene
from cellucid_dask.exporter.receipts import GENE_RECEIPT, GeneReceipts, Spill
from cellucid_dask.format import gene_paths
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import consecutive_runs
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

_RANGE = attrgetter(*(field.name for field in fields(Range)))  # all of it; `astuple` copies deep
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


def write_spilled(
    settings: GeneSettings, spills: Shared[list[Spill]], start: int, ids: Sequence[str]
) -> GeneReceipts:
    """Write genes that were spilled; the first of `ids` is gene `start` of the spill files."""
    blocks = [spill.read(start, start + len(ids)) for spill in spills.load()]
    read = ((i, [block.gene(i) for block in blocks]) for i in range(len(ids)))
    return _write_block(settings, start, ids, read)


def write_columns(
    settings: GeneSettings,
    matrix: SparseMatrix,
    columns: NDArray[np.int64],
    start: int,
    ids: Sequence[str],
) -> GeneReceipts:
    """Write genes of a CSC matrix; `columns` are theirs, the first is gene `start`."""
    return _write_columns(settings, columns, start, ids, csc_columns(matrix, np.sort(columns)))


def write_strip(
    settings: GeneSettings,
    matrix: DenseMatrix,
    columns: NDArray[np.int64],
    start: int,
    ids: Sequence[str],
) -> GeneReceipts:
    """Write genes of a dense matrix; `columns` are theirs, the first is gene `start`."""
    return _write_columns(settings, columns, start, ids, dense_columns(matrix, np.sort(columns)))


def _write_columns(
    settings: GeneSettings,
    columns: NDArray[np.int64],
    start: int,
    ids: Sequence[str],
    read: Iterator[tuple[int, GenePiece]],
) -> GeneReceipts:
    """Write the genes of `columns` as these are read, in any order."""
    position = {int(column): i for i, column in enumerate(columns)}
    pieces = ((position[column], [piece]) for column, piece in read)
    return _write_block(settings, start, ids, pieces)


def _write_block(
    settings: GeneSettings,
    start: int,
    ids: Sequence[str],
    read: Iterable[tuple[int, Sequence[GenePiece]]],
) -> GeneReceipts:
    """Write genes as they are read.

    Parameters
    ----------
    start
        Number of the first of `ids` in the export.
    read
        Yields the position of a gene in `ids` with its pieces.
    """
    bits, level = settings.bits, settings.level
    paths = gene_paths(ids, bits, gz=level > 0)
    receipts = np.zeros(len(ids), GENE_RECEIPT)
    with BlockWriter(settings.folder, settings.parts) as writer:
        for i, pieces in read:
            encoded = encode_gene(pieces, settings.n_cells, bits, level, native=settings.native)
            written = writer.write(paths[i], encoded.payload)
            receipts[i] = (start + i, *written, *_RANGE(encoded.span))
    return receipts


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
