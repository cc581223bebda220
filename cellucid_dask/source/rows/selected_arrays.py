"""Arrays and sparse matrices that hold the kept rows alone, read as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.obsm import lazy
from cellucid_dask.source.arrays.row_blocks import block_rows
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.rows.row_selection import KeptRows, Ranges

STEP = 1 << 20  # stored items of a one-dimensional array that are read at a time


@dataclass(frozen=True, slots=True)
class RowsOfArray:
    """The kept rows of an array with any number of axes; looks like an array to dask.

    Parameters
    ----------
    array
        (n_stored, ...) array-like.
    kept
        The rows.
    """

    array: Any
    kept: KeptRows

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_kept, ...)."""
        return (self.kept.n_kept, *self.array.shape[1:])

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
        return None if is_dask_collection(self.array) else getattr(self.array, "chunks", None)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        rows, *rest = index if isinstance(index, tuple) else (index,)
        start, stop, _ = rows.indices(self.shape[0])
        widths = [len(range(n)[part]) for n, part in zip(self.shape[1:], rest, strict=False)]
        row_bytes = self.dtype.itemsize * prod([*widths, *self.shape[1 + len(widths) :]])
        height = self.chunks[0] if self.chunks else 1
        step = block_rows(row_bytes, height)
        step -= step % height if step > height else 0  # whole chunks, so that none is read twice
        return self.kept.ranges.read(self.array, start, stop, step, tuple(rest))


@dataclass(frozen=True, slots=True)
class RowPointers:
    """indptr of the kept rows of a sparse matrix that is stored by rows.

    Parameters
    ----------
    matrix
        The matrix of all rows; `KeptRows` knows it by its label.
    kept
        The rows.
    """

    matrix: SparseMatrix
    kept: KeptRows

    @property
    def shape(self) -> tuple[int]:
        """(n_kept + 1,)."""
        return (self.kept.n_kept + 1,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int64."""
        return np.dtype(np.int64)

    @property
    def values(self) -> Ranges:
        """Ranges of the stored values of the kept rows."""
        return self.kept.once((self.matrix.label, self.matrix.layout), self._find)

    def _find(self) -> Ranges:
        """Read indptr once, in pieces, for its entries at both ends of every range of rows."""
        rows = self.kept.ranges
        starts, stops = np.empty_like(rows.starts), np.empty_like(rows.stops)
        for first, piece in self.matrix.pointers():
            for ends, places in ((rows.starts, starts), (rows.stops, stops)):
                a, b = np.searchsorted(ends, (first, first + piece.size))
                places[a:b] = piece[ends[a:b] - first]
        return Ranges(starts, stops)

    def __getitem__(self, rows: slice) -> NDArray[np.int64]:
        start, stop, _ = rows.indices(self.shape[0])
        ranges, values = self.kept.ranges, self.values
        last = min(stop, self.kept.n_kept)
        found = ranges.read(self.matrix.indptr, start, last, STEP)
        number = ranges.range_of(np.arange(start, last))
        found = found.astype(np.int64) - values.starts[number] + values.firsts[number]
        return np.append(found, values.total) if stop > self.kept.n_kept else found


@dataclass(frozen=True, slots=True)
class RowValues:
    """data or indices of the kept rows of a sparse matrix that is stored by rows.

    Parameters
    ----------
    array
        (nnz,) data or indices of all rows.
    pointers
        Where the values of the kept rows are.
    """

    array: Any
    pointers: RowPointers

    @property
    def shape(self) -> tuple[int]:
        """(nnz of the kept rows,)."""
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


def keep_places(array: da.Array, kept: KeptRows, key: str) -> da.Array:
    """Leave all but the `kept` cells out of an array of obsm.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    check_length(array.shape, kept, f"obsm/{key}")
    return lazy(RowsOfArray(array, kept))


def check_length(
    shape: tuple[int, ...], kept: KeptRows, where: str, *, square: bool = False
) -> None:
    """Raise InputError when an array has not one row for each cell; a square one, on both axes."""
    if any(length != kept.n_stored for length in shape[: 1 + square]):
        raise InputError(f"has shape {shape}, but obs has {kept.n_stored} cells", where=where)
