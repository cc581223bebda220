"""Arrays and sparse matrices that hold the selected rows alone, read as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.dask_arrays import is_dask
from cellucid_dask.source.arrays.row_array import RowArray, block_rows
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.rows.row_selection import RowRanges, RowSelection

STEP = 1 << 20  # stored items of a one-dimensional array that are read at a time


@dataclass(frozen=True, slots=True)
class SelectedRows:
    """The selected rows of an array with any number of axes.

    Parameters
    ----------
    array
        (n_stored, ...) array-like.
    selection
        The rows.
    """

    array: Any
    selection: RowSelection

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_selected, ...)."""
        return (self.selection.n_selected, *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.array.shape)

    @property
    def chunks(self) -> Any:
        """Shape of the chunks on disk; None when contiguous, in memory or of dask."""
        return None if is_dask(self.array) else getattr(self.array, "chunks", None)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        rows, *rest = index if isinstance(index, tuple) else (index,)
        start, stop, _ = rows.indices(self.shape[0])
        widths = [len(range(n)[part]) for n, part in zip(self.shape[1:], rest, strict=False)]
        row_bytes = self.dtype.itemsize * prod([*widths, *self.shape[1 + len(widths) :]])
        height = self.chunks[0] if self.chunks else 1
        step = block_rows(row_bytes, height)
        step -= step % height if step > height else 0  # whole chunks, so that none is read twice
        return self.selection.ranges.read(self.array, start, stop, step, tuple(rest))


@dataclass(frozen=True, slots=True)
class SelectedPointers:
    """indptr of the selected rows of a sparse matrix that is stored by rows.

    Parameters
    ----------
    matrix
        The matrix of all rows; `RowSelection` knows it by its label.
    selection
        The rows.
    """

    matrix: SparseMatrix
    selection: RowSelection

    @property
    def shape(self) -> tuple[int]:
        """(n_selected + 1,)."""
        return (self.selection.n_selected + 1,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int64."""
        return np.dtype(np.int64)

    @property
    def values(self) -> RowRanges:
        """Ranges of the stored values of the selected rows."""
        return self.selection.once((self.matrix.label, self.matrix.layout), self._find)

    def _find(self) -> RowRanges:
        """Read indptr once, in pieces, for its entries at both ends of every range of rows."""
        rows = self.selection.ranges
        starts, stops = np.empty_like(rows.starts), np.empty_like(rows.stops)
        for first, piece in self.matrix.pointers():
            for ends, places in ((rows.starts, starts), (rows.stops, stops)):
                a, b = np.searchsorted(ends, (first, first + piece.size))
                places[a:b] = piece[ends[a:b] - first]
        return RowRanges(starts, stops)

    def __getitem__(self, rows: slice) -> NDArray[np.int64]:
        start, stop, _ = rows.indices(self.shape[0])
        ranges, values = self.selection.ranges, self.values
        last = min(stop, self.selection.n_selected)
        found = ranges.read(self.matrix.indptr, start, last, STEP)
        number = ranges.range_of(np.arange(start, last))
        found = found.astype(np.int64) - values.starts[number] + values.firsts[number]
        return np.append(found, values.total) if stop > self.selection.n_selected else found


@dataclass(frozen=True, slots=True)
class SelectedValues:
    """data or indices of the selected rows of a sparse matrix that is stored by rows.

    Parameters
    ----------
    array
        (nnz,) data or indices of all rows.
    pointers
        Where the values of the selected rows are.
    """

    array: Any
    pointers: SelectedPointers

    @property
    def shape(self) -> tuple[int]:
        """(nnz of the selected rows,)."""
        return (self.pointers.values.total,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> Any:
        """Shape of the chunks on disk."""
        return getattr(self.array, "chunks", None)

    def __getitem__(self, places: slice) -> NDArray[Any]:
        start, stop, _ = places.indices(self.shape[0])
        chunk = self.chunks[0] if self.chunks else 1
        # Whole chunks, so that none is read twice, unless that takes too much memory.
        step = max(1, STEP // chunk) * chunk if chunk <= 4 * STEP else STEP
        return self.pointers.values.read(self.array, start, stop, step)


def select_obsm_rows(array: RowArray, selection: RowSelection, key: str) -> RowArray:
    """Leave all but the selected cells out of an array of obsm.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    check_row_count(array.shape, selection, f"obsm/{key}")
    return RowArray.of(SelectedRows(array.array, selection), is_table=array.is_table)


def check_row_count(
    shape: tuple[int, ...], selection: RowSelection, where: str, *, square: bool = False
) -> None:
    """Raise InputError when an array has not one row for each cell; a square one, on both axes."""
    if any(length != selection.n_stored for length in shape[: 1 + square]):
        raise InputError(f"has shape {shape}, but obs has {selection.n_stored} cells", where=where)
