"""Memory that the tasks of a thread use again: fresh pages cost as much as the work itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64  # bytes, a cache line
SLACK = 8  # a buffer is larger by this part of itself: the next task may need a little more


class Arena:
    """Buffer of a thread, from which one task at a time takes arrays."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint8)
        self._taken = self._most = 0

    def reserve(self, n_bytes: int) -> None:
        """Have room for arrays of `n_bytes`, before the first one is taken."""
        if n_bytes > self._buffer.size:
            self._buffer = np.empty(0, np.uint8)  # free it before the next one is made
            self._buffer = np.empty(n_bytes + n_bytes // SLACK, np.uint8)

    def take(self, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of `n` items that are not initialized; valid until the task ends."""
        size = n * np.dtype(dtype).itemsize
        start = self._taken
        self._taken += _aligned(size)
        self._most = max(self._most, self._taken)
        if self._taken > self._buffer.size:
            return np.empty(n, dtype)
        return self._buffer[start : start + size].view(dtype)

    def give_back(self, array: NDArray[Any]) -> None:
        """Give back the array that was taken last."""
        self._taken -= _aligned(array.nbytes)

    def reset(self) -> None:
        """End the task: the next one finds a buffer that would have held all of its arrays."""
        self.reserve(self._most)
        self._taken = self._most = 0


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


_local = threading.local()


@contextmanager
def open_arena() -> Iterator[Arena]:
    """Have the arena of this thread for the arrays of one task."""
    arena: Arena | None = getattr(_local, "arena", None)
    if arena is None:
        arena = _local.arena = Arena()
    try:
        yield arena
    finally:
        arena.reset()
