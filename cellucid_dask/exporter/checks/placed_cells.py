"""The cells that have coordinates in every embedding that is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.rows.row_selection import RowSelection

R = TypeVar("R")
THREADS: Final = 4  # that read blocks: more would hold more blocks, and wait for one disk


def find_placed_cells(embeddings: Sequence[RowArray]) -> RowSelection | None:
    """Find the cells whose coordinates are finite as float32 in all of `embeddings`.

    Parameters
    ----------
    embeddings
        (n_cells, d) coordinates, each read once in blocks of rows.

    Returns
    -------
    None when all cells have a place, none has one, or the embeddings cannot be read.
    """
    if not embeddings:
        return None
    unplaced = np.zeros(int(embeddings[0].shape[0]), bool)
    for array in embeddings:
        try:
            found = map_blocks(unplaced_rows, array)
        except CellucidDaskError:
            return None  # the next reader reports why
        for start, rows in found:
            unplaced[start + rows] = True
    dropped = np.flatnonzero(unplaced)
    kept = RowSelection(unplaced.size, dropped)
    return kept if dropped.size and kept.n_selected else None


def map_blocks(work: Callable[[NDArray[Any]], R], array: RowArray) -> list[tuple[int, R]]:
    """Apply `work` to each block of rows, in threads.

    Returns
    -------
    The first row of each block, and the result for it.
    """

    def work_on(block: tuple[int, int]) -> tuple[int, R]:
        return block[0], work(array.rows(*block))

    blocks = list(array.blocks())
    if len(blocks) == 1:
        return [work_on(blocks[0])]
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work_on, blocks))


def unplaced_rows(block: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the rows of a block of coordinates that are not finite as float32."""
    with np.errstate(over="ignore"):
        values = block.astype(np.float32)
    return np.flatnonzero(~np.isfinite(values).all(axis=1))
