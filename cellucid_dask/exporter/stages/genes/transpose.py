"""First pass: write a chunk of rows into a spill file, gene by gene.

A spill file holds ``[pointers: (n_genes + 1) uint64][rows: (nnz,) uint16][values]``; the rows
count from the first cell of the chunk. A chunk that is mostly non-zero is spilled dense, as
``[values: (n_genes, n_rows) float32]``. Values are float64 where ready files ask for that.
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
from cellucid_dask.exporter.stages.genes.exact_values import (
    Exactness,
    drop_zeros,
    survey_values,
)
from cellucid_dask.files import write_atomically
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import are_small_counts
from cellucid_dask.native.transpose import transpose_rows
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix


def transpose_chunk(
    matrix: Matrix,
    start: int,
    stop: int,
    genes: Shared[NDArray[np.int64]] | None,
    folder: str,
    *,
    ready: bool = False,
) -> Spill:
    """Read cells `start` to `stop`, transpose them, and spill them.

    Parameters
    ----------
    genes
        Columns to keep, in order; None keeps all.
    ready
        Whether ready files are written: a sparse matrix is then spilled sparse and without values
        of 0, and values are checked, and kept as exactly as a ready file may ask for.

    Raises
    ------
    InputError
        When `ready`, and a value is NaN, infinite, or beyond float32.
    """
    columns = None if genes is None else genes.load()
    path = Path(folder, f"rows-{start}.spill")
    n_rows = stop - start
    if isinstance(matrix, SparseMatrix) and not ready and load() is not None:
        return _spill_in_c(matrix, start, stop, columns, path)
    if isinstance(matrix, SparseMatrix):
        band: Any = matrix.major(start, stop)
    else:
        band = matrix.read(slice(start, stop), slice(None))
    label = matrix.label if ready else ""
    if sparse.issparse(band) or (ready and matrix.is_sparse):
        return _spill_sparse(sparse.csr_array(band), columns, path, start, label)
    turned, exactness = np.asarray(band if columns is None else band[:, columns]).T, Exactness()
    if ready:
        exactness = _survey(turned, np.arange(turned.shape[0] + 1) * n_rows, columns, label, start)
    with np.errstate(over="ignore"):
        turned = np.ascontiguousarray(turned, dtype=exactness.dtype)
    # By its bits, so that -0.0 keeps its sign.
    bits = turned.reshape(-1).view(f"u{turned.itemsize}")
    n_genes, nnz = turned.shape[0], int(np.count_nonzero(bits))
    if nnz > turned.size // 2:
        written = write_atomically(path, [turned.reshape(-1).view(np.uint8).data])
        name = turned.dtype.name
        return Spill(str(path), start, n_rows, n_genes, -1, name, *written, exactness.whole)
    places = np.flatnonzero(bits)
    pointers = np.searchsorted(places, np.arange(n_genes + 1, dtype=np.int64) * n_rows)
    values = turned.reshape(-1)[places]
    places %= max(n_rows, 1)
    return _write(path, start, n_rows, pointers, places, narrow(values), whole=exactness.whole)


def _survey(
    values: NDArray[Any],
    pointers: NDArray[Any],
    columns: NDArray[np.int64] | None,
    label: str,
    start: int,
) -> Exactness:
    """Check values gene by gene, those of each from its pointer on, for ready files."""

    def columns_at(places: NDArray[np.int64]) -> NDArray[Any]:
        genes = np.searchsorted(pointers, places, side="right") - 1
        return genes if columns is None else columns[genes]

    return survey_values(values, label, f"rows from {start} on", columns_at)


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


def _spill_sparse(
    rows: Any, columns: NDArray[np.int64] | None, path: Path, start: int, ready_label: str
) -> Spill:
    n_rows, exactness = rows.shape[0], Exactness()
    turned = rows.tocsc()
    del rows
    # Duplicates are summed in the type on disk and in the order of the file, as the reference does.
    turned.sum_duplicates()
    if columns is not None:
        turned = turned[:, columns]
    if ready_label:
        exactness = _survey(turned.data, turned.indptr, columns, ready_label, start)
        turned = drop_zeros(turned)
    if exactness.dtype == "<f8":
        values = turned.data.astype(np.float64)
    else:
        values = narrow(as_exported(turned.data))
    return _write(path, start, n_rows, turned.indptr, turned.indices, values, whole=exactness.whole)


def _write(
    path: Path,
    start: int,
    n_rows: int,
    pointers: NDArray[Any],
    places: NDArray[Any],
    values: NDArray[Any],
    *,
    whole: bool = True,
) -> Spill:
    parts = (
        pointers.astype("<u8"),
        places.astype("<u2", copy=False),
        values.astype(values.dtype.newbyteorder("<"), copy=False),
    )
    written = write_atomically(path, (part.view(np.uint8).data for part in parts))
    n_genes, dtype = pointers.size - 1, values.dtype.name
    return Spill(str(path), start, n_rows, n_genes, values.size, dtype, *written, whole)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Convert float32 to uint8 if that loses nothing, not even the sign of a zero."""
    if values.dtype != np.float32:
        return values
    for some in (values[:4096], values):
        with np.errstate(invalid="ignore"):
            small = some.astype(np.uint8)
        if not np.array_equal(small.astype(np.float32).view(np.uint32), some.view(np.uint32)):
            return values
    return small
