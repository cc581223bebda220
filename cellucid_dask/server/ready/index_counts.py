"""What the gene index tells of the values of X, so that the matrix is not read once more.

While the index is built, its spilled chunks tell it half-way; later its blocks do.
"""

from __future__ import annotations

from itertools import pairwise
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.machine import cores
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.exact_values import LARGEST, are_whole
from cellucid_dask.ready.facts import LARGEST_EXACT, may_need_float64
from cellucid_dask.server.gene_index.scan import map_in_threads
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.server.ready.value_counts import ValueCounts
from cellucid_dask.source.rows.row_selection import RowSelection

READ_VALUES = 1 << 21  # values of a spilled chunk that are read at a time


class ValueTally:
    """Counts values that an index stores; threads may share it.

    Parameters
    ----------
    genes, selection
        What is counted: the genes, in the cells that are kept; None keeps all.
    """

    def __init__(self, genes: Genes, selection: RowSelection | None) -> None:
        self._columns, self._selection = genes.columns, selection
        self._wanted = np.zeros(genes.matrix.shape[1], np.bool_)
        self._wanted[genes.columns] = True
        self._undecided = may_need_float64(genes.matrix.dtype)
        self._counts = np.zeros(self._wanted.size, np.int64)
        self._finite = self._whole = self._small = True
        self._lock = Lock()

    @property
    def needs_cells(self) -> bool:
        """Whether it needs to know the cells of values."""
        return self._selection is not None

    def add(
        self, first: int, pointers: NDArray[np.int64], cells: Any, values: NDArray[Any]
    ) -> None:
        """Count values of the columns from `first` on.

        Parameters
        ----------
        pointers
            Where those of each column begin, from 0, and where the last end.
        cells
            Cell of each value, of all cells; None where `needs_cells` says so.
        """
        chosen = self._wanted[first : first + pointers.size - 1]
        kept = values != 0
        if not chosen.all():
            kept &= np.repeat(chosen, np.diff(pointers))
        if self._selection is not None:
            kept &= self._selection.renumber(cells)[0]
        before = np.zeros(kept.size + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        finite, whole, small = self._judge(values, kept)
        with self._lock:
            self._counts[first : first + chosen.size] += np.diff(before[pointers])
            self._finite &= finite
            self._whole &= whole
            self._small &= small

    def _judge(self, values: NDArray[Any], kept: NDArray[np.bool_]) -> tuple[bool, bool, bool]:
        """Whether the values that are kept are all finite, whole, and exact as float32."""
        if values.dtype != np.uint8 and not kept.all():
            values = values[kept]
        if values.dtype == np.uint8 or not values.size:
            return True, True, True
        with np.errstate(invalid="ignore"):
            low, high = float(values.min()), float(values.max())
        finite = low > -LARGEST and high < LARGEST  # else one is NaN, or may have been beyond
        # Above, float32 skips whole numbers; what it shows as this one may have been above.
        small = max(-low, high) < LARGEST_EXACT
        return finite, self._undecided and self._whole and are_whole(values), small

    def result(self) -> ValueCounts | None:
        """The counts of all that was added; None where the matrix has to be read.

        That is so where a value is to be refused, and where float32, which the index stores, does
        not tell whether the values are stored as float64.
        """
        if not self._finite or (self._undecided and self._whole and not self._small):
            return None
        return ValueCounts("<f4", self._counts[self._columns])


def count_by_index(
    store: IndexStore, genes: Genes, selection: RowSelection | None, stopped: Event
) -> ValueTally | None:
    """Count the values of a complete index; None when a block of it is damaged.

    Parameters
    ----------
    store
        Index of the matrix of all cells.
    stopped
        Set it to end the count.

    Raises
    ------
    CancelledError
        When `stopped` is set meanwhile.
    """
    assert store.starts is not None
    tally = ValueTally(genes, selection)

    def count(block: tuple[int, int, int]) -> bool:
        part = store.read_block(*block, cells=tally.needs_cells)
        if part is not None:
            tally.add(block[1], *part)
        return part is not None

    blocks = [(i, *bounds) for i, bounds in enumerate(pairwise(store.starts.tolist()))]
    return tally if all(map_in_threads(count, blocks, cores(), stopped)) else None


class SpillCounts:
    """Counts the chunks that a build of the index spills; complete when it has seen all cells.

    Parameters
    ----------
    n_cells
        Of the matrix of all cells.
    """

    def __init__(self, genes: Genes, selection: RowSelection | None, n_cells: int) -> None:
        self._what, self._n_cells = (genes, selection), n_cells
        self._lock = Lock()
        self.begin()

    def begin(self) -> None:
        """Forget all chunks: a build begins anew."""
        with self._lock:
            self._tally, self._rows = ValueTally(*self._what), 0

    def add(self, spill: Spill) -> None:
        """Count a chunk."""
        tally = self._tally
        for first, last in cut_gene_blocks(spill.counts(), READ_VALUES):
            part = spill.read(first, last)
            cells = None
            if tally.needs_cells:
                rows = np.arange(part.values.size) % spill.n_rows
                cells = (rows if part.rows is None else part.rows.astype(np.int64)) + spill.first
            tally.add(first, part.pointers, cells, part.values)
        with self._lock:
            self._rows += spill.n_rows

    @property
    def complete(self) -> bool:
        """Whether all chunks were counted."""
        return self._rows == self._n_cells

    def result(self) -> ValueCounts | None:
        """As of `ValueTally`."""
        return self._tally.result()
