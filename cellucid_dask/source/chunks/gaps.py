"""The chunks of an array that are not stored, as runs of positions in its grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

NAMED = 5  # missing chunks that a message names


@dataclass(frozen=True, slots=True)
class ChunkGaps:
    """The chunks of one array that are not stored.

    Parameters
    ----------
    grid
        Number of chunks along each axis; of a sharded array, of chunks within shards.
    chunk
        Shape of a chunk.
    runs
        (n, 2) int64, first position of each run of missing chunks, and the one after its last.
        Positions count in C order through `grid`.
    names
        How the first missing chunks are called; at most `NAMED` of them.
    left_out
        Number of missing chunks whose shard is there: its writer left them out, since a copy that
        ended early lacks whole files.
    emptied
        Whether no chunk is stored, but the folder is there that a writer makes for its first one.
    """

    grid: tuple[int, ...]
    chunk: tuple[int, ...]
    runs: NDArray[np.int64]
    names: tuple[str, ...] = ()
    left_out: int = 0
    emptied: bool = False

    @property
    def total(self) -> int:
        """Number of chunks in the grid."""
        return prod(self.grid)

    @property
    def missing(self) -> int:
        """Number of chunks that are not stored."""
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    def rows(self, length: int) -> NDArray[np.int64]:
        """Find the rows that missing chunks hold, wholly or in part.

        Parameters
        ----------
        length
            Number of rows of the array.

        Returns
        -------
        (n, 2) first row of each range, and the row after its last; they rise and are apart.
        """
        across = prod(self.grid[1:])
        first, after = self.runs[:, 0] // across, (self.runs[:, 1] - 1) // across + 1
        if not first.size:
            return self.runs
        apart = np.flatnonzero(first[1:] > after[:-1]) + 1  # both rise, as the runs do
        starts, ends = first[np.r_[0, apart]], after[np.r_[apart - 1, first.size - 1]]
        height = self.chunk[0] if self.chunk else 1
        return np.minimum(np.stack([starts, ends], axis=1) * height, length)


def runs_between(present: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Find the runs of positions from 0 to `total` that are not in `present`.

    Parameters
    ----------
    present
        (n,) distinct positions that rise.

    Returns
    -------
    (m, 2) first position of each run, and the one after its last.
    """
    edges = np.concatenate([[-1], present, [total]]).astype(np.int64)
    holes = np.flatnonzero(np.diff(edges) > 1)
    return np.stack([edges[holes] + 1, edges[holes + 1]], axis=1)


def first_positions(runs: NDArray[np.int64]) -> list[int]:
    """List the first positions of `runs`, at most `NAMED`."""
    found: list[int] = []
    for start, stop in runs[:NAMED].tolist():
        found += range(start, min(stop, start + NAMED))
    return found[:NAMED]
