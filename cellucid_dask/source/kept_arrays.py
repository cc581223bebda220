"""Arrays and sparse matrices that hold the kept rows alone, read as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray

from cellucid_dask.source.kept_rows import KeptRows, Ranges
from cellucid_dask.source.matrix import SparseMatrix
from cellucid_dask.source.store import ROWS

STEP = 1 << 21  # stored items of a one-dimensional array that are read at a time


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
        chunks = self.chunks
        height = chunks[0] if chunks else ROWS
        step = max(1, ROWS // height) * height  # whole chunks, so that none is read twice
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
        edges = np.stack([rows.starts, rows.stops], axis=1)
        found = np.empty_like(edges)
        for first, piece in self.matrix.pointers():
            for side in (0, 1):
                a, b = np.searchsorted(edges[:, side], (first, first + piece.size))
                found[a:b, side] = piece[edges[a:b, side] - first]
        return Ranges(found[:, 0], found[:, 1])

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
        return self.pointers.values.read(self.array, start, stop, STEP)
