"""Which row of a MuData each cell of a modality has, found by the names of the cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, InputError
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.stored_columns import TextColumn
from cellucid_dask.source.storage.file_array import FileArray


def match_cells(
    whole: Column | CellucidDaskError,
    own: Column | CellucidDaskError,
    positions: FileArray | None,
) -> NDArray[np.int64]:
    """Find the row of the whole for each cell of a modality.

    The names of the cells decide: whatever the file says of positions must agree with them. They
    are compared by 64-bit hashes, so that not all names are in memory.

    Parameters
    ----------
    whole, own
        Names of the cells of the whole and of the modality.
    positions
        (n_whole,) row in the modality, counted from 1, or 0; None where that is not known.

    Returns
    -------
    (n_own,) rows of the whole.

    Raises
    ------
    CellucidDaskError
        When the names cannot be read, or do not say which cells are the same.
    """
    if isinstance(whole, CellucidDaskError):
        raise whole
    if isinstance(own, CellucidDaskError):
        raise own
    all_names, names = _hashes(whole), _hashes(own)
    for rows in _candidates(all_names, names, positions):
        if np.array_equal(all_names[rows], names):
            return rows
    raise InputError("the names of its cells do not say which are those of the modality")


def _candidates(
    all_names: NDArray[np.uint64], names: NDArray[np.uint64], positions: FileArray | None
) -> Iterator[NDArray[np.int64]]:
    """Rows as they may be: as the file says, in the same order, or in the order of the names."""
    if positions is not None and positions.shape == all_names.shape:
        given = positions[:].astype(np.int64)
        (present,) = np.nonzero(given > 0)
        if np.array_equal(np.sort(given[present]), np.arange(1, names.size + 1)):
            rows = np.empty(names.size, np.int64)
            rows[given[present] - 1] = present
            yield rows
    if names.size == all_names.size:
        yield np.arange(names.size)
    order = np.argsort(all_names, kind="stable")
    ordered = all_names[order]
    if names.size and ordered.size and not np.any(ordered[1:] == ordered[:-1]):
        yield order[np.minimum(np.searchsorted(ordered, names), ordered.size - 1)]


def _hashes(names: Column) -> NDArray[np.uint64]:
    if not isinstance(names, TextColumn):
        return _hashed(np.asarray(names.strings(), dtype=object))
    pieces = [_hashed(piece) for piece in names.pieces()]
    return np.concatenate([np.zeros(0, np.uint64), *pieces])


def _hashed(names: NDArray[np.object_]) -> NDArray[np.uint64]:
    import pandas as pd  # only a MuData needs it here

    texts = np.array([str(name) for name in names], dtype=object)
    return pd.util.hash_array(texts, categorize=False)
