"""Second pass of CSR in C: sort a strip of genes from the segments of all chunks, and encode it.

Where the segments of a strip fit into memory they are read once. Else they are read one at a time:
for the statistics of the genes, and again for each run of genes whose records fit.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.receipts import StripSpill
from cellucid_dask.exporter.stages.genes.ranges import GeneRanges
from cellucid_dask.native.arena import Arena
from cellucid_dask.native.strips import (
    PLACES,
    Segment,
    count_segment,
    empty_statistics,
    sort_segment,
)

MAX_OPEN = 200  # spill files that a task keeps open; a process may often open 1,024


class Strip:
    """One strip of a spill; close it.

    Parameters
    ----------
    spills
        All chunks, in the order of the cells.
    number
        Which strip it is.
    n_genes
        How many genes it has.
    arena
        Memory for the segments.
    max_bytes
        Bytes of all segments up to which they are kept in memory.

    Attributes
    ----------
    n_bytes
        Memory that the segments take.
    """

    def __init__(
        self,
        spills: Sequence[StripSpill],
        number: int,
        n_genes: int,
        arena: Arena,
        max_bytes: int,
    ) -> None:
        self.n_genes = n_genes
        self._places = [(spill, *spill.place(number), spill.sizes[number]) for spill in spills]
        sizes = [_even(n_bytes) for _, _, n_bytes, _ in self._places]
        self._keep = sum(sizes) <= max_bytes
        self.n_bytes = sum(sizes) if self._keep else max(sizes)
        n_values = sum(n_values for *_, n_values in self._places)
        arena.reserve(self.n_bytes + 4 * n_values if self._keep else self.n_bytes)
        self._buffer = arena.take(self.n_bytes, np.uint8)
        self._kept: list[Segment] = []
        self._files: dict[str, int] = {}

    def close(self) -> None:
        """Close the spill files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def segments(self) -> Iterator[Segment]:
        """Segments of all chunks; one is gone when the next is read, unless all are kept."""
        if self._kept:
            yield from self._kept
            return
        found, at = [], 0
        for spill, start, n_bytes, n_values in self._places:
            part = self._buffer[at : at + n_bytes]
            read_exactly(self._open(spill.path), start, part, spill.path)
            segment = _split(part, spill, n_values)
            if self._keep:
                found.append(segment)
                at += _even(n_bytes)
            yield segment
        self._kept = found

    def _open(self, path: str) -> int:
        if path not in self._files:
            if len(self._files) >= MAX_OPEN:
                os.close(self._files.pop(next(iter(self._files))))
            self._files[path] = os.open(path, os.O_RDONLY)
        return self._files[path]

    def statistics(self) -> NDArray[Any]:
        """(n_genes,) statistics of the values of each gene."""
        found = empty_statistics(self.n_genes)
        for segment in self.segments():
            count_segment(segment, found)
        return found

    def sort(
        self, start: int, ranges: GeneRanges, n_values: NDArray[np.int64], records: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Sort the values of genes by gene and cell.

        Parameters
        ----------
        start
            First of the genes.
        ranges, n_values
            Of these genes alone.
        records
            (n,) uint32 or uint64 that is filled.

        Returns
        -------
        (n_genes + 1,) where the records of each gene begin.
        """
        starts = np.zeros(n_values.size + 1, np.int64)
        np.cumsum(n_values, out=starts[1:])
        places = np.zeros(n_values.size, PLACES)
        places["next"], places["stop"] = starts[:-1], starts[1:]
        if ranges.bits is not None:
            places["lowest"], places["scale"] = ranges.lowest, ranges.scale
            places["missing"] = ranges.missing
        for segment in self.segments():
            sort_segment(segment, start, places, records, codes=ranges.bits is not None)
        if np.any(places["next"] != starts[1:]):
            path = self._places[0][0].path
            raise OSError(errno.EIO, "changed while it was read", path)
        return starts


def _even(n_bytes: int) -> int:
    return n_bytes + (n_bytes & 1)


def _split(part: NDArray[np.uint8], spill: StripSpill, n_values: int) -> Segment:
    genes = 2 * spill.n_rows
    values = genes + 2 * n_values
    return Segment(
        spill.first,
        part[:genes].view(np.uint16),
        part[genes:values].view(np.uint16),
        part[values:].view(spill.dtype),
    )


def read_exactly(file: int, start: int, out: NDArray[np.uint8], path: str) -> None:
    """Fill `out` from byte `start` of an open file; one call may read less than that.

    Raises
    ------
    OSError
        When the file ends before.
    """
    view, done = out.data, 0
    while done < len(view):
        n = os.preadv(file, [view[done:]], start + done)
        if n == 0:
            raise OSError(errno.EIO, "is cut short", path)
        done += n
