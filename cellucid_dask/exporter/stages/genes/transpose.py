"""First pass: write a chunk of rows into a spill file, gene by gene.

A spill file holds ``[pointers: (n_genes + 1) uint64][rows: (nnz,) uint16][values]``; the rows
count from the first cell of the chunk. A chunk that is mostly non-zero is spilled dense, as
``[values: (n_genes, n_rows) float32]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.compute.shared import Shared
from cellucid_dask.encode import as_exported
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.cut_rows import read_sorted, select_columns
from cellucid_dask.files import write_atomically
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import are_small_counts
from cellucid_dask.native.transpose import transpose_rows
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix


def transpose_chunk(
    matrix: Matrix, start: int, stop: int, genes: Shared[NDArray[np.int64]] | None, folder: str
) -> Spill:
    """Read cells `start` to `stop`, transpose them, and spill them.

    Parameters
    ----------
    genes
        Columns to keep, in order; None keeps all.
    """
    columns = None if genes is None else genes.load()
    path = Path(folder, f"rows-{start}.spill")
    n_rows = stop - start
    if isinstance(matrix, SparseMatrix) and load() is not None:
        return _spill_in_c(matrix, start, stop, columns, path)
    if isinstance(matrix, SparseMatrix):
        return _spill_sparse(matrix.major(start, stop), columns, path, start)
    band = matrix.read(slice(start, stop), slice(None))
    if sparse.issparse(band):
        return _spill_sparse(sparse.csr_array(band), columns, path, start)
    turned = np.asarray(band if columns is None else band[:, columns]).T
    with np.errstate(over="ignore"):
        turned = np.ascontiguousarray(turned, dtype=np.float32)
    bits = turned.reshape(-1).view(np.uint32)  # by its bits, so that -0.0 keeps its sign
    n_genes, nnz = turned.shape[0], int(np.count_nonzero(bits))
    if nnz > turned.size // 2:
        written = write_atomically(path, [turned.reshape(-1).view(np.uint8).data])
        return Spill(str(path), start, n_rows, n_genes, -1, "float32", *written)
    places = np.flatnonzero(bits)
    pointers = np.searchsorted(places, np.arange(n_genes + 1, dtype=np.int64) * n_rows)
    values = turned.reshape(-1)[places]
    places %= max(n_rows, 1)
    return _write(path, start, n_rows, pointers, places, narrow(values))


def _spill_in_c(
    matrix: SparseMatrix, start: int, stop: int, columns: NDArray[np.int64] | None, path: Path
) -> Spill:
    """Transpose by the library: the file has the same bytes as from `_spill_sparse`."""
    with open_arena() as arena:
        rows, n_genes = read_sorted(matrix, start, stop, arena, 0), matrix.n_minor
        if columns is not None:
            rows, n_genes = select_columns(rows, columns, n_genes), columns.size
        with np.errstate(over="ignore"):
            values = rows.data.astype(np.float32, copy=False)
        stored = np.uint8 if are_small_counts(values) else np.float32
        places, out = arena.take(values.size, np.uint16), arena.take(values.size, stored)
        starts = transpose_rows(rows.pointers, rows.indices, values, places, out, n_genes)
        return _write(path, start, stop - start, starts, places, out)


def _spill_sparse(rows: Any, columns: NDArray[np.int64] | None, path: Path, start: int) -> Spill:
    n_rows = rows.shape[0]
    turned = rows.tocsc()
    del rows
    # Duplicates are summed in the type on disk and in the order of the file, as the reference does.
    turned.sum_duplicates()
    if columns is not None:
        turned = turned[:, columns]
    values = narrow(as_exported(turned.data))
    return _write(path, start, n_rows, turned.indptr, turned.indices, values)


def _write(
    path: Path,
    start: int,
    n_rows: int,
    pointers: NDArray[Any],
    places: NDArray[Any],
    values: NDArray[Any],
) -> Spill:
    parts = (
        pointers.astype("<u8"),
        places.astype("<u2", copy=False),
        values.astype(values.dtype.newbyteorder("<"), copy=False),
    )
    written = write_atomically(path, (part.view(np.uint8).data for part in parts))
    n_genes, dtype = pointers.size - 1, values.dtype.name
    return Spill(str(path), start, n_rows, n_genes, values.size, dtype, *written)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Convert to uint8 if that loses nothing, not even the sign of a zero; else return `values`."""
    if values.dtype == np.uint8:
        return values
    for some in (values[:4096], values):
        with np.errstate(invalid="ignore"):
            small = some.astype(np.uint8)
        if not np.array_equal(small.astype(np.float32).view(np.uint32), some.view(np.uint32)):
            return values
    return small
