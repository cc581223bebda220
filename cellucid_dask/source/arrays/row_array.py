"""An array of obsm as blocks of rows, and what stands behind one that is not an array itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.dask_arrays import compute_block, is_dask
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.file_array import ROWS_PER_READ, FileArray

BLOCK_BYTES: Final = 8 << 20  # of the rows of a block
LARGE_BLOCK_BYTES: Final = 32 << 20  # where smaller ones would have each chunk read several times
STORED_VALUE_BYTES: Final = 16  # of a stored value beside itself: its index in three forms


def block_rows(row_bytes: int, chunk_rows: int = 1) -> int:
    """Rows of a block.

    Parameters
    ----------
    row_bytes
        Memory of a row.
    chunk_rows
        Rows of a chunk on disk. Blocks are whole chunks where that is possible.
    """
    row_bytes = max(1, row_bytes)
    rows = BLOCK_BYTES // row_bytes
    rows = max(1, rows, min(chunk_rows, LARGE_BLOCK_BYTES // row_bytes))
    if rows >= ROWS_PER_READ:
        return ROWS_PER_READ
    return rows - rows % chunk_rows if chunk_rows < rows else rows


@dataclass(frozen=True, slots=True)
class RowArray:
    """An array of obsm: (n_cells, d) numbers, of which nothing is read before `rows`.

    Parameters
    ----------
    array
        Array-like with one or two axes that is indexed by rows, or a dask array.
    block
        Rows of a block; a dask array has blocks of its own.
    is_table
        Whether it is a DataFrame, whose columns have names.
    """

    array: Any
    block: int
    is_table: bool = False

    @classmethod
    def of(cls, array: Any, rows: int | None = None, *, is_table: bool = False) -> RowArray:
        """Wrap an array-like.

        Parameters
        ----------
        rows
            Rows of a block; by default as many as take little memory.
        """
        if is_dask(array):
            return cls(array, 0)
        if rows is None:
            value = array.dtype.itemsize + STORED_VALUE_BYTES * isinstance(array, SparseRows)
            on_disk = getattr(array, "chunks", None)
            rows = block_rows(value * prod(array.shape[1:]), on_disk[0] if on_disk else 1)
        return cls(array, rows, is_table)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, d); an array of one axis is one column."""
        n_cells, *width = self.array.shape
        return n_cells, width[0] if width else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def ends(self) -> NDArray[np.int64]:
        """(n_blocks,) one past the last row of each block."""
        if is_dask(self.array):
            return np.cumsum(self.array.chunks[0], dtype=np.int64)
        n_cells = self.shape[0]
        ends = np.arange(self.block, max(n_cells, 1) + self.block, self.block)
        return np.minimum(ends, n_cells)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First row of each block, and the one after its last."""
        start = 0
        for end in self.ends:
            yield start, int(end)
            start = int(end)

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows `start` to `stop` in this thread; blocks of dask are computed whole."""
        part = self.array[start:stop]
        rows = np.asarray(compute_block(part, "obsm") if is_dask(part) else part)
        return rows[:, None] if rows.ndim == 1 else rows


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A sparse matrix that is indexed by rows and gives dense arrays."""

    matrix: SparseMatrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, d)."""
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.matrix.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        return self.matrix.rows(start, stop)


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """A column of nullable numbers that is indexed by rows and gives NaN where one is missing.

    Parameters
    ----------
    values, mask
        (n_cells,) numbers, and bool that is true where one is missing.
    """

    values: FileArray
    mask: FileArray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_cells,)."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, as the reference takes coordinates."""
        return np.dtype(np.float32)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            numbers = self.values[rows].astype(np.float32)
        numbers[self.mask[rows].astype(bool)] = np.nan
        return numbers


@dataclass(frozen=True, slots=True)
class StackedColumns:
    """Columns of a DataFrame in a store, side by side.

    Parameters
    ----------
    columns
        Each (n_cells,) numbers.
    """

    columns: tuple[FileArray | MaskedRows, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_columns)."""
        return self.columns[0].shape[0], len(self.columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type that holds the values of all columns."""
        return np.result_type(*(column.dtype for column in self.columns))

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return np.stack([column[rows] for column in self.columns], axis=1)


@dataclass(frozen=True, slots=True)
class ReorderedRows:
    """Rows of an array of obsm, in any order.

    Parameters
    ----------
    array
        Array of all rows.
    numbers
        (n,) int64, rows of it.
    """

    array: RowArray
    numbers: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.numbers.size, self.array.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        wanted = self.numbers[rows]
        found = np.empty((wanted.size, self.shape[1]), self.dtype)
        block = np.searchsorted(self.array.ends, wanted, side="right")
        for number in np.unique(block):  # one block in memory at a time
            here = np.flatnonzero(block == number)
            first, last = int(wanted[here].min()), int(wanted[here].max())
            found[here] = self.array.rows(first, last + 1)[wanted[here] - first]
        return found
