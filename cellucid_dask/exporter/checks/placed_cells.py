"""The cells that have coordinates in every embedding that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.rows.row_selection import RowSelection


def find_placed_cells(embeddings: Sequence[da.Array]) -> RowSelection | None:
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
        whole_rows = array.rechunk({1: -1})
        blocks = map(dask.delayed(unplaced_rows), whole_rows.to_delayed().ravel())
        try:
            found = dask.compute(*blocks, scheduler="threads")
        except CellucidDaskError:
            return None  # the next reader reports why
        starts = np.cumsum([0, *whole_rows.chunks[0][:-1]])
        for start, rows in zip(starts, found, strict=True):
            unplaced[start + rows] = True
    dropped = np.flatnonzero(unplaced)
    kept = RowSelection(unplaced.size, dropped)
    return kept if dropped.size and kept.n_selected else None


def unplaced_rows(block: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the rows of a block of coordinates that are not finite as float32."""
    with np.errstate(over="ignore"):
        values = block.astype(np.float32)
    return np.flatnonzero(~np.isfinite(values).all(axis=1))
