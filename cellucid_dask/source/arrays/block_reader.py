"""Rows of an array of obsm in the order of the cells, each block read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.row_array import RowArray


class BlockReader:
    """Reads rows of an array of obsm block by block: the last block stays in memory."""

    def __init__(self, array: RowArray) -> None:
        self._array = array
        self._ends = array.ends
        self._first = self._last = 0
        self._block: NDArray[Any] | None = None

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows `start` to `stop` in parts, each with the number of its first row."""
        while start < stop:
            if self._block is None or not self._first <= start < self._last:
                self._load(start)
            assert self._block is not None
            end = min(stop, self._last)
            yield start, self._block[start - self._first : end - self._first]
            start = end

    def _load(self, row: int) -> None:
        self._block = None  # before the next one takes memory
        i = int(np.searchsorted(self._ends, row, side="right"))
        self._first, self._last = int(self._ends[i - 1]) if i else 0, int(self._ends[i])
        self._block = self._array.rows(self._first, self._last)
