"""The rows of a dataset that an export keeps, as ranges of the stored rows.

All arrays of a source share one `RowSelection`. The selected rows stay in their stored order, so a
range of selected rows is read as few ranges of the store, without the rows between them.
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Callable
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.dask_arrays import compute_block, is_dask

RANGE_BYTES = 24  # of a range: its start, its stop, and the selected position of its start
READ_BYTES = 32 << 20  # of what is read at a time, and of what is selected of it


class RowRanges:
    """Ranges of stored places, one after the other; they rise and do not overlap.

    Parameters
    ----------
    starts, stops
        (n,) int64, first place of each range, and the one after its last.
    """

    def __init__(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> None:
        self.starts, self.stops = starts, stops
        self.firsts = np.concatenate(
            [[0], np.cumsum(stops - starts)]
        )  # selected position of each start

    @property
    def total(self) -> int:
        """Number of places in all ranges."""
        return int(self.firsts[-1])

    def range_of(self, position: Any) -> Any:
        """Find the number of the range that holds each selected position."""
        return np.searchsorted(self.firsts, position, "right") - 1

    def between(self, low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the stored ranges of selected positions `low` to `high`; there is at least one."""
        first, last = int(self.range_of(low)), int(self.range_of(high - 1))
        starts, stops = self.starts[first : last + 1].copy(), self.stops[first : last + 1].copy()
        starts[0] += low - self.firsts[first]
        stops[-1] = self.starts[last] + high - self.firsts[last]
        return starts, stops

    def read(self, array: Any, low: int, high: int, step: int, rest: tuple[Any, ...] = ()) -> Any:
        """Read selected positions `low` to `high` along the first axis of an array-like.

        Parameters
        ----------
        step
            Stored places that are read at a time where some of them are not selected.
        rest
            Index of the other axes.
        """
        if high <= low:
            return _read(array, 0, 0, rest)
        starts, stops = self.between(low, high)
        first, last = int(starts[0]), int(stops[-1])
        if last - first == high - low:
            return _read(array, first, last, rest)
        found, done = np.empty(0), 0
        for begin in range(first - first % step, last, step):
            a, b = np.searchsorted(stops, begin, "right"), np.searchsorted(starts, begin + step)
            if a >= b:
                continue  # none of these is selected
            head, tail = np.maximum(starts[a:b], begin), np.minimum(stops[a:b], begin + step)
            part = _read(array, int(head[0]), int(tail[-1]), rest)
            if tail[-1] - head[0] > (tail - head).sum():
                bounds = np.stack([head, tail], axis=1).ravel()
                keep = np.arange(bounds.size - 1) % 2 == 0
                part = part[np.repeat(keep, np.diff(bounds))]
            if not done:
                found = np.empty((high - low, *part.shape[1:]), part.dtype)
            found[done : done + len(part)] = part
            done += len(part)
        return found


def _read(array: Any, start: int, stop: int, rest: tuple[Any, ...]) -> Any:
    rows = slice(start, stop)
    part = array[(rows, *rest)] if rest else array[rows]
    return compute_block(part, "obsm") if is_dask(part) else np.asarray(part)


class RowSelection:
    """The rows that are selected, of all that are stored.

    Parameters
    ----------
    n_stored
        Number of rows that are stored.
    dropped
        (n,) int64, the rows that are not selected; they rise.
    """

    def __init__(self, n_stored: int, dropped: NDArray[np.int64]) -> None:
        self.n_stored, self.dropped = n_stored, dropped
        self._path: str | None = None
        self._found: dict[Any, Any] = {}
        self._lock = Lock()

    @property
    def n_selected(self) -> int:
        """Number of selected rows."""
        return self.n_stored - self.dropped.size

    @cached_property
    def ranges(self) -> RowRanges:
        """Ranges of stored rows that are selected."""
        starts = np.concatenate([[0], self.dropped + 1]).astype(np.int64)
        stops = np.concatenate([self.dropped, [self.n_stored]]).astype(np.int64)
        some = starts < stops
        return RowRanges(starts[some], stops[some])

    @property
    def n_bytes(self) -> int:
        """Memory that every process needs for these rows, while it reads the selected rows.

        Ranges are counted three times: those of rows, and those of values of two matrices.
        """
        numbers = self.n_stored * np.dtype(self._number_type).itemsize
        ranges = 3 * RANGE_BYTES * self.ranges.starts.size
        return self.dropped.nbytes + numbers + ranges + READ_BYTES

    @property
    def _number_type(self) -> type[np.signedinteger[Any]]:
        return np.int32 if self.n_stored < 2**31 else np.int64

    @cached_property
    def _numbers(self) -> NDArray[Any]:
        """(n_stored,) number of each row among the selected rows; -1 for all others."""
        numbers = np.ones(self.n_stored, self._number_type)
        numbers[self.dropped] = 0
        np.cumsum(numbers, dtype=numbers.dtype, out=numbers)
        numbers -= 1
        numbers[self.dropped] = -1
        return numbers

    def take(self, values: Any) -> Any:
        """Take the selected rows of a complete array, or of a list."""
        return np.delete(np.asarray(values), self.dropped, axis=0)

    def renumber(self, stored: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Find which of some stored rows are selected, and their numbers among the selected rows.

        Parameters
        ----------
        stored
            (n,) row numbers in any order.

        Returns
        -------
        (n,) whether each is selected; and the new numbers of those that are, in the same order.
        """
        numbers = self._numbers[stored]
        selected = numbers >= 0
        return selected, numbers[selected].astype(stored.dtype, copy=False)

    def once(self, key: Any, find: Callable[[], Any]) -> Any:
        """Find something that follows from these rows, once in each process."""
        with self._lock:
            if key not in self._found:
                self._found[key] = find()
            return self._found[key]

    def share(self, folder: str) -> None:
        """Write the rows into `folder`, so that what is sent to workers holds a path alone.

        The name is new each time: a worker that lives on keeps what it read by the name.
        """
        path = os.path.join(folder, f"dropped-{secrets.token_hex(8)}.rows")  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(self._packed())
        self._path = path

    def _packed(self) -> bytes:
        steps = np.diff(self.dropped, prepend=0)
        return zlib.compress(steps.astype("<i8").tobytes(), 1)

    def __reduce__(self) -> Any:
        if self._path is not None and os.path.exists(self._path):  # noqa: PTH110
            return _load, (self.n_stored, self._path)
        return _unpack, (self.n_stored, self._packed())


@lru_cache(maxsize=4)
def _load(n_stored: int, path: str) -> RowSelection:
    with open(path, "rb") as file:  # noqa: PTH123
        return _unpack(n_stored, file.read())


def _unpack(n_stored: int, packed: bytes) -> RowSelection:
    steps = np.frombuffer(zlib.decompress(packed), "<i8")
    return RowSelection(n_stored, np.cumsum(steps).astype(np.int64))
