"""First pass of CSR in C: cut a chunk of rows at gene strips, and append it to a spill file.

Each row is sorted, so a strip of genes is one run of values in it. The segment of the chunk in each
strip has the layout of `cellucid_dask.native.strips.Segment`; sorting the values of a strip by gene
is left to the second pass, which has all chunks of the strip at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.compute.shared import Shared
from cellucid_dask.errors import ReadError
from cellucid_dask.exporter.planning.memory import cut_bytes_per_row, cut_bytes_per_value
from cellucid_dask.exporter.receipts import StripSpill
from cellucid_dask.exporter.stages.genes.spill_file import append_to_spill
from cellucid_dask.files import bytes_of
from cellucid_dask.native.arena import Arena, open_arena
from cellucid_dask.native.calls import NativeError
from cellucid_dask.native.strips import (
    are_small_counts,
    cut_rows,
    find_cuts,
    rows_are_sorted,
    segment_bytes,
    sort_rows,
)
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix, StoredRows
from cellucid_dask.source.storage.damage import COPY_AGAIN


def cut_chunk(
    matrix: SparseMatrix,
    start: int,
    stop: int,
    columns: Shared[NDArray[np.int64]] | None,
    bounds: Shared[NDArray[np.int64]],
    folder: str,
) -> StripSpill:
    """Read cells `start` to `stop` of a CSR matrix, cut them at the strips, and spill them.

    Parameters
    ----------
    columns
        Columns to keep, rising; None keeps all. Strips count kept columns.
    bounds
        (n_strips + 1,) first kept column of each strip, then their number.

    Raises
    ------
    ReadError
        When an index lies outside the matrix.
    """
    strips = bounds.load()
    n_rows = stop - start
    with open_arena() as arena:
        rows = read_sorted(matrix, start, stop, arena, n_rows * cut_bytes_per_row(strips.size - 1))
        if columns is not None:
            rows = select_columns(rows, columns.load(), matrix.n_minor)
        with np.errstate(over="ignore"):
            values = rows.data.astype(np.float32, copy=False)
        width = 1 if are_small_counts(values) else 4
        cuts = arena.take(n_rows * strips.size, np.uint32).reshape(n_rows, strips.size)
        sizes = find_cuts(strips, rows.pointers, rows.indices, cuts)
        out = arena.take(int(segment_bytes(n_rows, sizes, width).sum()), np.uint8)
        cut_rows(strips, rows.indices, values, cuts, sizes, out, width=width)
        path, offset, n_bytes, crc = append_to_spill(folder, [bytes_of(out)])
    dtype = "uint8" if width == 1 else "float32"
    counts = sizes.astype(np.uint32)
    return StripSpill(path, offset, start, n_rows, dtype, counts, n_bytes, crc)


def read_sorted(
    matrix: SparseMatrix, start: int, stop: int, arena: Arena, more_bytes: int
) -> StoredRows:
    """Read rows of a CSR matrix, sorted and without duplicates.

    Parameters
    ----------
    arena
        Memory for them and for what a task makes of them, which is asked for at once.
    more_bytes
        What the task takes beside `cut_bytes_per_value`.

    Raises
    ------
    ReadError
        When an index lies outside the matrix.
    """
    pointers = matrix.read_pointers(start, stop)
    n_values = int(pointers[-1] - pointers[0])
    arena.reserve(n_values * cut_bytes_per_value(matrix) + more_bytes)
    rows = matrix.read_rows(pointers, arena.take)
    try:
        return sort_and_sum(rows, matrix.n_minor)
    except NativeError as error:
        where = f"{matrix.label}, rows {start} to {stop - 1}"
        raise ReadError(str(error), where=where, fix=COPY_AGAIN) from error


def sort_and_sum(rows: StoredRows, n_columns: int) -> StoredRows:
    """Sort rows that are not sorted, and sum values of one place as the reference does.

    They are summed in the type on disk and in the order of the file.

    Raises
    ------
    NativeError
        When an index lies outside the matrix.
    """
    if rows_are_sorted(rows.pointers, rows.indices, n_columns):
        return rows
    data, indices = rows.data, rows.indices
    if not rows.is_own:
        data, indices = data.copy(), indices.copy()
    if data.dtype == np.float16:  # scipy cannot compute with it
        data = data.astype(np.float32)
    repeats = sort_rows(rows.pointers, indices, data)
    if not repeats:
        return StoredRows(rows.pointers, indices, data, is_own=True)
    shape = (rows.pointers.size - 1, n_columns)
    pointers = rows.pointers - rows.pointers[0]
    summed: Any = sparse.csr_array((data, indices, pointers), shape=shape)
    summed.has_sorted_indices = True
    summed.sum_duplicates()
    return StoredRows(
        summed.indptr.astype(np.int64, copy=False),
        np.ascontiguousarray(summed.indices),
        summed.data,
        is_own=True,
    )


def select_columns(rows: StoredRows, columns: NDArray[np.int64], n_columns: int) -> StoredRows:
    """Keep the values of `columns`, which are numbered anew; rows stay sorted if these rise."""
    number = np.full(n_columns, -1, np.int32)
    number[columns] = np.arange(columns.size, dtype=np.int32)
    found = number[rows.indices]
    kept = found >= 0
    before = np.zeros(kept.size + 1, np.uint32)  # a chunk has fewer than 2**32 values
    np.cumsum(kept, out=before[1:])
    pointers = before[rows.pointers - rows.pointers[0]].astype(np.int64)
    return StoredRows(pointers, found[kept], rows.data[kept], is_own=True)
