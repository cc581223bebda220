"""Checks of the edges of an export, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.export_folder.contents import Contents

EDGES_PER_PIECE: Final = 1 << 20  # edges that are checked at a time


def check_edges(contents: Contents, pieces: Iterable[tuple[Array, Array]]) -> Iterator[str]:
    """Check that edges end at cells, go upwards, are sorted and unique, and the largest degree.

    No problem is reported before the last piece is read.

    Parameters
    ----------
    pieces
        Lower and higher cells of some edges, (n,) each, in the order of the file.
    """
    scan = _EdgeScan(contents.n_cells)
    for low, high in pieces:
        scan.add(low, high)
    where, n = "connectivity", contents.n_cells
    if scan.highest_cell >= n:
        yield f"{where}: an edge ends at cell {scan.highest_cell} of {n}"
        return
    if scan.n_downward:
        yield f"{where}: {scan.n_downward} edges do not go from a lower to a higher cell"
    if scan.is_unsorted:
        yield f"{where}: edges are not sorted and unique"
    stated, largest = (contents.edges or (0, 0))[1], int(scan.degree.max(initial=0))
    if not largest <= stated <= largest + 1:  # a cell that is its own neighbor counts itself
        yield f"{fmt.CONNECTIVITY_MANIFEST}, max_neighbors: is {stated}, edges have {largest}"


class _EdgeScan:
    """What the pieces so far show; it holds one number per cell, and none of the edges."""

    def __init__(self, n_cells: int) -> None:
        self.n_cells, self.highest_cell, self.n_downward = n_cells, -1, 0
        self.is_unsorted = False
        self.degree = np.zeros(0, np.uint32)
        self._last: tuple[Array, Array] | None = None

    def add(self, low: Array, high: Array) -> None:
        """Add a piece; once a cell is out of range, only the highest cell is found."""
        self.highest_cell = max(self.highest_cell, int(low.max()), int(high.max()))
        if self.highest_cell >= self.n_cells:
            return
        self.n_downward += int((low >= high).sum())
        self.is_unsorted |= _is_unsorted(low, high)
        if self._last is not None:  # the edges on both sides of the cut
            self.is_unsorted |= _is_unsorted(
                *(
                    np.concatenate([before[-1:], after[:1]])
                    for before, after in zip(self._last, (low, high), strict=True)
                )
            )
        self._last = (low[-1:].copy(), high[-1:].copy())
        self._grow_degree()
        for ends in (low, high):
            np.add.at(self.degree, ends.astype(np.int64), np.uint32(1))

    def _grow_degree(self) -> None:
        """Make room for the highest cell, and for twice as many as before."""
        size = self.degree.size
        if self.highest_cell >= size:
            grown = np.zeros(min(self.n_cells, max(self.highest_cell + 1, 2 * size)), np.uint32)
            grown[:size] = self.degree
            self.degree = grown


def split_edges(src: Array, dst: Array) -> Iterator[tuple[Array, Array]]:
    """Yield edges, `EDGES_PER_PIECE` at a time."""
    for start in range(0, src.size, EDGES_PER_PIECE):
        yield src[start : start + EDGES_PER_PIECE], dst[start : start + EDGES_PER_PIECE]


def _is_unsorted(src: Array, dst: Array) -> bool:
    """Whether some pair is not above the one before it."""
    above = (src[1:] > src[:-1]) | ((src[1:] == src[:-1]) & (dst[1:] > dst[:-1]))
    return not above.all()
