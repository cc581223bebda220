"""What the gene index tells of the values of X, so that the matrix is not read once more."""

from __future__ import annotations

from itertools import pairwise
from threading import Event
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.machine import cores
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.stages.genes.exact_values import LARGEST, are_whole
from cellucid_dask.ready.facts import LARGEST_EXACT, may_need_float64
from cellucid_dask.server.gene_index.scan import map_in_threads
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.server.ready.value_counts import ValueCounts
from cellucid_dask.source.rows.row_selection import RowSelection

# Counts of the columns of a block, and whether its values are all finite, whole, and small.
_Found: TypeAlias = tuple[NDArray[np.int64], bool, bool, bool]


def count_by_index(
    store: IndexStore, genes: Genes, selection: RowSelection | None, stopped: Event
) -> ValueCounts | None:
    """Count the values that a complete index stores.

    Parameters
    ----------
    store
        Index of the matrix of all cells.
    selection
        Cells that are kept; None keeps all.

    Returns
    -------
    None where the matrix has to be read: a block is damaged, a value is to be refused, or float32,
    which the index stores, does not tell whether the values are stored as float64.

    Raises
    ------
    CancelledError
        When `stopped` is set meanwhile.
    """
    assert store.starts is not None
    wanted = np.zeros(store.shape[1], np.bool_)
    wanted[genes.columns] = True
    undecided = may_need_float64(genes.matrix.dtype)

    def count(block: int, first: int, last: int) -> _Found | None:
        chosen = wanted[first:last]
        if not chosen.any():
            return np.zeros(last - first, np.int64), True, True, True
        part = store.read_block(block, first, last, cells=selection is not None)
        if part is None:
            return None
        pointers, cells, values = part
        kept = values != 0
        if not chosen.all():
            kept &= np.repeat(chosen, np.diff(pointers))
        if selection is not None:
            assert cells is not None
            kept &= selection.renumber(cells)[0]
        before = np.zeros(kept.size + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        return np.diff(before[pointers]), *_judge(values, kept, undecided=undecided)

    blocks = [(i, *bounds) for i, bounds in enumerate(pairwise(store.starts.tolist()))]
    counts, whole, small = list[Any](), True, True
    for found in map_in_threads(lambda task: count(*task), blocks, cores(), stopped):
        if found is None or not found[1]:
            return None
        counts.append(found[0])
        whole, small = whole and found[2], small and found[3]
    if undecided and whole and not small:
        return None
    total = np.concatenate([np.zeros(0, np.int64), *counts])
    return ValueCounts("<f4", total[genes.columns])


def _judge(
    values: NDArray[Any], kept: NDArray[np.bool_], *, undecided: bool
) -> tuple[bool, bool, bool]:
    """Whether the values that are kept are all finite, whole, and exact as float32."""
    if values.dtype == np.uint8:
        return True, True, True
    if not kept.all():
        values = values[kept]
    if not values.size:
        return True, True, True
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    finite = low >= -LARGEST and high <= LARGEST  # or one is NaN
    # Above, float32 skips whole numbers; what it shows at this number may have been above.
    small = max(-low, high) < LARGEST_EXACT
    return finite, not undecided or small or are_whole(values), small
