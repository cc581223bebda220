"""Spaces in which cells have coordinates, read side by side, one piece of cells at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32
from cellucid_dask.files import read_array
from cellucid_dask.source.arrays.block_reader import BlockReader
from cellucid_dask.source.arrays.row_array import RowArray

LATENT: Final = "latent"  # name of the latent space; an embedding has that of its dimension


@dataclass(frozen=True, slots=True)
class Space:
    """A space in which distances are measured: the latent space, or the points of an embedding.

    Parameters
    ----------
    name
        `LATENT` or the dimension.
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
        self._blocks = [None if s.array is None else BlockReader(s.array) for s in spaces]

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
