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
from cellucid_dask.exporter.stages.genes.exact_values import Exactness, survey_values
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
    *,
    ready: bool = False,
) -> StripSpill:
    """Read cells `start` to `stop` of a CSR matrix, cut them at the strips, and spill them.

    Parameters
    ----------
    columns
        Columns to keep, in order; None keeps all. Strips count kept columns.
    bounds
        (n_strips + 1,) first kept column of each strip, then their number.
    ready
        Whether ready files are written: values of 0 are then left out, which changes no gene of a
        folder, and the others are checked, and kept as exactly as a ready file may ask for.

    Raises
    ------
    ReadError
        When an index lies outside the matrix.
    InputError
        When `ready`, and a value is NaN, infinite, or beyond float32.
    """
    strips = bounds.load()
    n_rows = stop - start
    with open_arena() as arena:
        rows = read_sorted(matrix, start, stop, arena, n_rows * cut_bytes_per_row(strips.size - 1))
        if columns is not None:
            rows = select_columns(rows, columns.load(), matrix.n_minor)
        exactness = Exactness()
        if ready:
            rows, exactness = drop_zeros(rows), survey_rows(matrix, rows, start, columns)
        with np.errstate(over="ignore"):
            values = rows.data.astype(exactness.dtype, copy=False)
        width = values.itemsize
        if width == 4 and are_small_counts(values):
            width = 1
        cuts = arena.take(n_rows * strips.size, np.uint32).reshape(n_rows, strips.size)
        sizes = find_cuts(strips, rows.pointers, rows.indices, cuts)
        out = arena.take(int(segment_bytes(n_rows, sizes, width).sum()), np.uint8)
        cut_rows(strips, rows.indices, values, cuts, sizes, out, width=width)
        path, offset, n_bytes, crc = append_to_spill(folder, [bytes_of(out)])
    dtype = {1: "uint8", 4: "float32", 8: "float64"}[width]
    counts = sizes.astype(np.uint32)
    whole = exactness.whole
    return StripSpill(path, offset, start, n_rows, dtype, counts, n_bytes, crc, whole)


def survey_rows(
    matrix: SparseMatrix,
    rows: StoredRows,
    start: int,
    columns: Shared[NDArray[np.int64]] | None,
) -> Exactness:
    """Check values of rows from `start` on, whose indices count `columns`, for ready files.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    """

    def columns_at(places: NDArray[np.int64]) -> NDArray[Any]:
        kept = rows.indices[places]
        return kept if columns is None else columns.load()[kept]

    place = f"rows {start} to {start + rows.pointers.size - 2}"
    return survey_values(rows.data, matrix.label, place, columns_at)


def drop_zeros(rows: StoredRows) -> StoredRows:
    """Leave out values that are 0 as float32, stored zeros or tiny ones."""
    with np.errstate(over="ignore"):
        there = rows.data.astype(np.float32, copy=False)
    if np.count_nonzero(there) == there.size:
        return rows
    return _keep(rows, rows.indices, there != 0)


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
    """Keep the values of `columns`, which are numbered anew; rows stay sorted."""
    number = np.full(n_columns, -1, np.int32)
    number[columns] = np.arange(columns.size, dtype=np.int32)
    found = number[rows.indices]
    selected = _keep(rows, found, found >= 0)
    if np.any(np.diff(columns) < 0):
        sort_rows(selected.pointers, selected.indices, selected.data)
    return selected


def _keep(rows: StoredRows, indices: NDArray[Any], kept: NDArray[np.bool_]) -> StoredRows:
    """The values of rows that are `kept`, with these indices."""
    before = np.zeros(kept.size + 1, np.uint32)  # a chunk has fewer than 2**32 values
    np.cumsum(kept, out=before[1:])
    pointers = before[rows.pointers - rows.pointers[0]].astype(np.int64)
    return StoredRows(pointers, indices[kept], rows.data[kept], is_own=True)
