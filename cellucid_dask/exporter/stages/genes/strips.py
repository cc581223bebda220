"""Second pass of CSR in C: sort a strip of genes from the segments of all chunks.

Where the segments of a strip fit into memory they are read once. Else they are read in batches: for
the statistics of the genes, and again for each run of genes whose records fit.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.planning.cuts import cut_gene_blocks
from cellucid_dask.exporter.receipts import StripSpill
from cellucid_dask.exporter.stages.genes.ranges import GeneRanges
from cellucid_dask.native.arena import Arena
from cellucid_dask.native.calls import ERRORS, NativeError
from cellucid_dask.native.entries import count_entries, sort_entries
from cellucid_dask.native.strips import (
    PLACES,
    Segment,
    count_segment,
    empty_statistics,
    sort_segment,
)

RECORD_BYTES = 8  # at most


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """Where the segment of a chunk is: bytes `start` up to `start + n_bytes` of the spill file."""

    spill: StripSpill
    start: int
    n_bytes: int
    n_values: int

    @property
    def room(self) -> int:
        """Bytes in the buffer: even, so that 16-bit numbers of the next segment are aligned."""
        return self.n_bytes + (self.n_bytes & 1)


class Strip:
    """One strip of a spill.

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
        Bytes of all segments up to which they are kept in memory; else a batch has half of that.

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
        places = [
            SegmentPlace(spill, *spill.place(number), int(spill.sizes[number])) for spill in spills
        ]
        rooms = np.array([place.room for place in places], np.int64)
        cuts = cut_gene_blocks(rooms, max_bytes if rooms.sum() <= max_bytes else max_bytes // 2)
        self._batches = [places[first:last] for first, last in cuts]
        self.n_bytes = max((int(rooms[first:last].sum()) for first, last in cuts), default=0)
        if len(cuts) == 1:  # with the records; what is not used of it takes no memory
            n_values = sum(place.n_values for place in places)
            arena.reserve(self.n_bytes + RECORD_BYTES * n_values)
        self._buffer = arena.take(self.n_bytes, np.uint8)
        self._read: list[Segment] = []  # those of the only batch

    def segments(self) -> Iterator[Segment]:
        """Segments of all chunks, in the order of the cells; valid until the next batch is read."""
        if self._read:
            yield from self._read
            return
        for batch in self._batches:
            segments = _read_batch(batch, self._buffer)
            if len(self._batches) == 1:
                self._read = segments
            yield from segments

    def statistics(self) -> NDArray[Any]:
        """(n_genes,) statistics of the values of each gene."""
        found = empty_statistics(self.n_genes)
        with self._blame_spill():
            for segment in self.segments():
                count_segment(_as_float32(segment), found)
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
        with self._blame_spill():
            for segment in self.segments():
                part = _as_float32(segment)
                sort_segment(part, start, places, records, codes=ranges.bits is not None)
            if np.any(places["next"] != starts[1:]):
                raise NativeError(ERRORS[-4])
        return starts

    def counts(self) -> NDArray[np.int64]:
        """(n_genes,) values of each gene."""
        found = np.zeros(self.n_genes, np.int64)
        with self._blame_spill():
            for segment in self.segments():
                count_entries(segment, found)
        return found

    def sort_entries(
        self, start: int, n_values: NDArray[np.int64], cells: NDArray[Any], values: NDArray[Any]
    ) -> None:
        """Sort the values of genes by gene and cell into two arrays.

        Parameters
        ----------
        start
            First of the genes.
        n_values
            Of these genes alone.
        cells, values
            (n,) int32 or int64, and float32 or float64, which are filled.
        """
        ends = np.cumsum(n_values)
        places = ends - n_values
        with self._blame_spill():
            for segment in self.segments():
                sort_entries(segment, start, places, ends, cells, values)
            if np.any(places != ends):
                raise NativeError(ERRORS[-4])

    @contextmanager
    def _blame_spill(self) -> Iterator[None]:
        """Values that do not fit together are those of spill files that changed."""
        try:
            yield
        except NativeError as error:
            folder = str(Path(self._batches[0][0].spill.path).parent)
            raise OSError(errno.EIO, f"a spill file changed ({error})", folder) from error


def _as_float32(segment: Segment) -> Segment:
    """The segment with values as a folder shows them."""
    if segment.values.itemsize <= np.dtype(np.float32).itemsize:
        return segment
    return replace(segment, values=segment.values.astype(np.float32))


def _read_batch(batch: Sequence[SegmentPlace], buffer: NDArray[np.uint8]) -> list[Segment]:
    """Read segments into `buffer`; each file is opened once, and is the only one that is open.

    A process of 64 threads has 64 spill files, which all 64 strips at work would have open.
    """
    ends = np.cumsum([place.room for place in batch]).tolist()
    parts = [
        buffer[end - place.room :][: place.n_bytes] for place, end in zip(batch, ends, strict=True)
    ]
    in_files = sorted(range(len(batch)), key=lambda i: (batch[i].spill.path, batch[i].start))
    for path, numbers in groupby(in_files, key=lambda i: batch[i].spill.path):
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            for i in numbers:
                read_exactly(file, batch[i].start, parts[i])
    return [
        _split(part, place.spill, place.n_values) for part, place in zip(parts, batch, strict=True)
    ]


def _split(part: NDArray[np.uint8], spill: StripSpill, n_values: int) -> Segment:
    genes = 2 * spill.n_rows
    values = genes + 2 * n_values
    return Segment(
        spill.first,
        part[:genes].view(np.uint16),
        part[genes:values].view(np.uint16),
        part[values:].view(spill.dtype),
    )


def read_exactly(file: FileIO, start: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` from byte `start` of an open file; one call may read less than that.

    Raises
    ------
    OSError
        When the file ends before.
    """
    view, done = out.data, 0
    while done < len(view):
        n = os.preadv(file.fileno(), [view[done:]], start + done)
        if n == 0:
            raise OSError(errno.EIO, "is cut short", file.name)
        done += n
