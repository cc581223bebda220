"""The steps of a chunk of rows on its way to genes, beside those of the numpy path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.native.timing import Work, draw_chunk, time_turns
from cellucid_dask.encode import as_exported, encode_gene
from cellucid_dask.exporter.stages.genes.ranges import GeneRanges
from cellucid_dask.native import strips
from cellucid_dask.native.encoder import encode_strip, record_dtype

HEADER = (
    "| step | native, ns | numpy path, ns |",
    "|---|---:|---:|",
)
STRIP_VALUES = 3_000_000
NUMPY_STEP = {"cut": "tocsc", "encode": "genes"}  # step: what numpy does in place of it, and before


class NativeSteps:
    """A chunk that goes through all native steps; each leaves what the next one takes."""

    def __init__(self, rows: Any) -> None:
        self.n_cells, n_genes = rows.shape
        self.pointers = rows.indptr.astype(np.int64)
        self.indices, self.values = rows.indices.astype(np.int32), rows.data.copy()
        n_strips = 1 + self.values.size // STRIP_VALUES
        ends = np.cumsum(np.bincount(self.indices, minlength=n_genes))
        inner = np.searchsorted(ends, ends[-1] * np.arange(1, n_strips) / n_strips)
        self.bounds = np.unique(np.concatenate([[0], inner, [n_genes]])).astype(np.int64)
        self.cuts = np.empty((self.n_cells, self.bounds.size), np.uint32)
        self.find()
        self.bytes = strips.segment_bytes(self.n_cells, self.sizes, 4)
        self.out = np.empty(int(self.bytes.sum()), np.uint8)
        self.cut()
        self.segments = list(self._split())
        self.count()
        self.sorted = [np.empty(n, record_dtype(self.n_cells, 1)) for n in self.sizes.tolist()]
        self.sort()

    def works(self) -> dict[str, Work]:
        """All steps in their order."""
        return {
            "check": self.check,
            "test for counts": self.test_counts,
            "find": self.find,
            "cut": self.cut,
            "statistics": self.count,
            "sort": self.sort,
            "encode": self.encode,
        }

    def check(self) -> None:
        """Check that rows rise."""
        assert strips.rows_are_sorted(self.pointers, self.indices, int(self.bounds[-1]))

    def test_counts(self) -> None:
        """Find out whether uint8 holds all values."""
        strips.are_small_counts(self.values)

    def find(self) -> None:
        """Find where rows cross the strips."""
        self.sizes = strips.find_cuts(self.bounds, self.pointers, self.indices, self.cuts)

    def cut(self) -> None:
        """Copy the values into the segments of the strips."""
        parts = (self.bounds, self.indices, self.values, self.cuts, self.sizes, self.out)
        strips.cut_rows(*parts, width=4)

    def count(self) -> None:
        """Count the values of genes and find their ranges."""
        self.statistics = []
        for segment, (low, high) in zip(self.segments, pairwise(self.bounds), strict=True):
            self.statistics.append(strips.empty_statistics(int(high - low)))
            strips.count_segment(segment, self.statistics[-1])
        self.ranges = [GeneRanges.of(found, self.n_cells, 8) for found in self.statistics]

    def sort(self) -> None:
        """Sort and quantize."""
        self.starts = []
        for segment, found, ranges, records in zip(
            self.segments, self.statistics, self.ranges, self.sorted, strict=True
        ):
            starts = np.concatenate([[0], np.cumsum(found["n_values"])])
            places = np.zeros(found.size, strips.PLACES)
            places["next"], places["stop"] = starts[:-1], starts[1:]
            places["lowest"], places["scale"] = ranges.lowest, ranges.scale
            places["missing"] = ranges.missing
            strips.sort_segment(segment, 0, places, records, codes=True)
            self.starts.append(starts)

    def encode(self) -> list[bytes]:
        """Encode all genes as gzip members."""
        found = []
        for starts, records, ranges in zip(self.starts, self.sorted, self.ranges, strict=True):
            members, offsets = encode_strip(self.n_cells, 1, starts, records, ranges.background)
            found += [members[a:b].tobytes() for a, b in pairwise(offsets.tolist())]
        return found

    def _split(self) -> Iterator[strips.Segment]:
        start = 0
        for n_bytes, n in zip(self.bytes.tolist(), self.sizes.tolist(), strict=True):
            part: NDArray[np.uint8] = self.out[start : start + n_bytes]
            genes = 2 * self.n_cells
            values = genes + 2 * n
            yield strips.Segment(
                0,
                part[:genes].view(np.uint16),
                part[genes:values].view(np.uint16),
                part[values:].view(np.float32),
            )
            start += n_bytes


class NumpySteps:
    """The same chunk by scipy, numpy and zlib-ng."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.turn()

    def works(self) -> dict[str, Work]:
        """Both steps in their order."""
        return {"tocsc": self.turn, "genes": self.encode}

    def turn(self) -> None:
        """Transpose."""
        self.turned = self.rows.tocsc()
        self.turned.sum_duplicates()
        self.values = as_exported(self.turned.data)

    def encode(self) -> list[bytes]:
        """Encode all genes: range, quantization, a vector of all cells, run-length gzip."""
        n_cells, n_genes = self.rows.shape
        cells, found = self.turned.indices, []
        for low, high in pairwise(self.turned.indptr[: n_genes + 1].tolist()):
            pieces = [(0, cells[low:high], self.values[low:high])]
            found.append(encode_gene(pieces, n_cells, 8, 6, native=False).payload)
        return found


def measure_steps(n_cells: int, n_genes: int, rounds: int) -> Iterator[str]:
    """Yield a row for each step: ns for each stored value."""
    rows = draw_chunk(n_cells, n_genes)
    native, numpy = NativeSteps(rows), NumpySteps(rows)
    seconds = time_turns({**native.works(), **numpy.works()}, rounds)
    each = {name: 1e9 * spent / rows.nnz for name, spent in seconds.items()}
    for step in native.works():
        beside = NUMPY_STEP.get(step)
        shown = f"{each[beside]:.2f} ({beside})" if beside else ""
        yield f"| {step} | {each[step]:.2f} | {shown} |"
    ours = sum(each[step] for step in native.works())
    theirs = sum(each[step] for step in numpy.works())
    yield f"| all: {theirs / ours:.1f}x | {ours:.2f} | {theirs:.2f} |"
