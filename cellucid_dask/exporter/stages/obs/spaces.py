"""Spaces in which cells have coordinates, read side by side, one piece of cells at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32
from cellucid_dask.files import read_array
from cellucid_dask.source.arrays.row_array import RowArray


@dataclass(frozen=True, slots=True)
class Space:
    """A space in which distances are measured: the latent space, or the points of an embedding.

    Parameters
    ----------
    name
        ``latent`` or the dimension.
    array
        (n_cells, d) latent space; None where `path` has (n_cells, `width`) float32 points.
    """

    name: str
    width: int
    array: RowArray | None = None
    path: str = ""

    def read_points(self, start: int, stop: int) -> Float32:
        """Points of cells `start` to `stop`."""
        flat = read_array(self.path, "float32", start * self.width, (stop - start) * self.width)
        return flat.reshape(-1, self.width)


def total_width(spaces: Sequence[Space]) -> int:
    """Coordinates of a cell in all `spaces`."""
    return sum(space.width for space in spaces)


class SpaceReader:
    """Reads the coordinates of cells in all spaces; each block of an array of obsm once.

    Pieces must be asked for in the order of the cells.
    """

    def __init__(self, spaces: Sequence[Space]) -> None:
        self._spaces = spaces
        self._blocks = [None if s.array is None else _BlockReader(s.array) for s in spaces]

    def fill(self, buffer: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """Read cells `start` to `stop` in all spaces, beside one another, into `buffer`.

        One buffer for all pieces: memory that is mapped anew costs more than the arithmetic on it.
        """
        done = 0
        for space, blocks in zip(self._spaces, self._blocks, strict=True):
            columns = buffer[:, done : done + space.width]
            done += space.width
            if blocks is None:
                columns[:] = space.read_points(start, stop)
                continue
            for row, part in blocks.parts(start, stop):
                with np.errstate(over="ignore"):  # float32, as the reference takes them
                    rounded = part.astype(np.float32, copy=False)
                columns[row - start : row - start + len(part)] = rounded
        return buffer


class _BlockReader:
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
