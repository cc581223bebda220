"""Cells on a grid of pixels: counted in by numpy, as millions of markers would take minutes.

A pixel holds a number: 0 where no cell is, else ``rank << 16 | slot``. Of the cells that meet in a
pixel the one of the highest rank is seen; the slot says its colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellucid_dask.previewer.colors import MISSING, Shades

Array: TypeAlias = NDArray[np.generic]
Pixels: TypeAlias = NDArray[np.uint32]
Packed: TypeAlias = Callable[[slice], Pixels]

FINE: Final = 3  # pixels of the grid along one of the picture: soft edges, and mixed colours
BLOCK: Final = 1 << 20  # cells that are looked at together
NONE: Final = 0xFFFF  # slot of cells without a value, which lie beneath all others
TURN, TILT = np.radians(-60), np.radians(25)  # from where an embedding in 3D is seen
BAND: Final = 0.7  # height of an embedding in 1D, its width being 2


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where every cell of an embedding lies on a picture.

    Parameters
    ----------
    shape
        (height, width) of the grid.
    cells
        (n_cells,) int32 pixels of the grid, row by row.
    order
        (n_cells,) uint16, 1 and more: which cell is seen of those that are alike otherwise.
        The nearest one in 3D, else one at random, which is fair to every category.
    radius
        Of the disc of a cell, in pixels of the grid.
    """

    shape: tuple[int, int]
    cells: NDArray[np.int32]
    order: NDArray[np.uint16]
    radius: float

    def draw(self, packed: Packed, shades: Shades) -> Shades:
        """(height, width, 3) RGB picture.

        Parameters
        ----------
        packed
            Ranks and slots of the cells of a slice.
        shades
            Colours of the slots from 1 on.
        """
        grid = np.zeros(self.shape[0] * self.shape[1], np.uint32)
        for part in blocks(self.cells.size):
            np.maximum.at(grid, self.cells[part], packed(part))
        slots = discs(grid.reshape(self.shape), self.radius) & np.uint32(NONE)
        table = np.zeros((NONE + 1, 3), np.uint8)
        table[0], table[NONE] = 255, MISSING
        table[1 : 1 + len(shades)] = shades
        return mixed(table, slots)


def place(points: NDArray[np.float32], width: int, height: int) -> Canvas:
    """Place (n, d) points on a picture of `width` x `height` pixels, as large as they fit."""
    n = len(points)
    radius = FINE * float(np.clip(0.3 * np.sqrt(width * height / n), 0.8, 3))
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for part in blocks(n):
        seen = flat(points[part], part.start)[:2]
        low, high = np.minimum(low, seen.min(axis=1)), np.maximum(high, seen.max(axis=1))
    grid = np.array([width, height]) * FINE
    room = grid - 2 * (radius + 2 * FINE)  # so that no disc is cut off
    scale = float(np.min(room / np.maximum(high - low, 1e-6)))
    cells, order = np.empty(n, np.int32), np.empty(n, np.uint16)
    for part in blocks(n):  # once more: kept, it would be as much again as the points
        seen = flat(points[part], part.start)
        at = (seen[:2] - ((low + high) / 2)[:, None]) * scale + (grid / 2)[:, None]
        column, row = at.astype(np.int32)
        cells[part] = (grid[1] - 1 - row) * grid[0] + column
        order[part] = seen[2]
    return Canvas((int(grid[1]), int(grid[0])), cells, order, radius)


def flat(points: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    """(3, n): right, up, and which is seen of several; `first` is the number of the first cell."""
    n, dim = points.shape
    if dim == 3:
        x, y, z = points.T
        away = np.sin(TURN) * x + np.cos(TURN) * y
        near = np.sin(TILT) * z - np.cos(TILT) * away
        up = np.cos(TILT) * z + np.sin(TILT) * away
        right = np.cos(TURN) * x - np.sin(TURN) * y
        return np.stack([right, up, 1 + 65533 * (near + 2) / 4]).astype(np.float32)
    order = scattered(first, n)
    up = points[:, 1] if dim == 2 else BAND * (scattered(first + (1 << 40), n) / 65535 - 0.5)
    return np.stack([points[:, 0], up, order]).astype(np.float32)


def scattered(first: int, n: int) -> NDArray[np.float64]:
    """(n,) numbers from 1 to 65535 for cells from `first` on: random, yet always the same."""
    mixed_up = np.arange(first, first + n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed_up = (mixed_up ^ (mixed_up >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return 1 + (mixed_up >> np.uint64(48)).astype(np.float64) * (65534 / 65535)


def blocks(n: int) -> Iterator[slice]:
    """Slices of all cells."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def discs(grid: Pixels, radius: float) -> Pixels:
    """Make a disc of every cell: each pixel gets the highest number that is within `radius`."""
    found, height = grid.copy(), len(grid)
    for dy in range(int(radius) + 1):
        half = int(np.sqrt(radius**2 - dy**2))
        wide = ndimage.maximum_filter1d(grid, 2 * half + 1, axis=1, mode="constant")
        for to, of in {(dy, 0), (0, dy)}:
            rows = slice(to, height - of)
            np.maximum(found[rows], wide[of : height - to], out=found[rows])
    return found


def mixed(table: Shades, slots: Pixels) -> Shades:
    """Picture of a grid: each pixel has the mean colour of its part of it."""
    height, width = slots.shape[0] // FINE, slots.shape[1] // FINE
    total = np.zeros((height, width, 3), np.uint16)
    for row in range(FINE):
        for column in range(FINE):
            total += table[slots[row::FINE, column::FINE]]
    return ((total + FINE**2 // 2) // FINE**2).astype(np.uint8)
