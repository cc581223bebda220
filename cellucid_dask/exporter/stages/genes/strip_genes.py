"""Tasks of the second pass of CSR in C: write the genes of one strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.block_writer import BlockWriter
from cellucid_dask.compute.shared import Shared
from cellucid_dask.encode import pack_vector
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks
from cellucid_dask.exporter.receipts import GENE_RECEIPT, GeneReceipts, StripSpill
from cellucid_dask.exporter.stages.genes.blocks import GeneSettings
from cellucid_dask.exporter.stages.genes.ranges import GeneRanges
from cellucid_dask.exporter.stages.genes.strips import Strip
from cellucid_dask.format import gene_paths, value_dtype
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.encoder import can_encode, encode_bound, encode_strip, record_dtype

STEP: Final = 1 << 16  # records at a time, whose cells and codes are copies
_Encoded = Iterator[tuple[int, bytes | memoryview]]  # numbers of genes, and their files


def write_strip_genes(
    settings: GeneSettings,
    spills: Shared[Sequence[StripSpill]],
    strip: int,
    n_genes: int,
    wanted: NDArray[np.int64],
    numbers: NDArray[np.int64],
    ids: Sequence[str],
    max_bytes: int,
) -> GeneReceipts:
    """Write genes of a strip.

    Parameters
    ----------
    spills
        All chunks, in the order of the cells.
    strip, n_genes
        Number of the strip, and how many genes it has.
    wanted, numbers, ids
        Genes to write: where they are in the strip, rising; their numbers in the export; their ids.
    max_bytes
        Memory that the task may take.
    """
    receipts = np.zeros(wanted.size, GENE_RECEIPT)
    receipts["gene"] = numbers
    paths = gene_paths(ids, settings.bits, gz=settings.level > 0)
    position = {int(gene): i for i, gene in enumerate(wanted)}
    with open_arena() as arena, BlockWriter(settings.folder, settings.parts) as writer:
        values = Strip(spills.load(), strip, n_genes, arena, max_bytes // 2)
        statistics = values.statistics()
        ranges = GeneRanges.of(statistics, settings.n_cells, settings.bits)
        ranges.record(receipts, wanted)
        counts = statistics["n_values"]
        dtype = record_dtype(settings.n_cells, ranges.width)
        room = max_bytes - values.n_bytes - 3 * ranges.width * settings.n_cells  # of one vector
        for first, last in _runs(counts, position, settings, room):
            records = arena.take(int(counts[first:last].sum()), dtype)
            starts = values.sort(first, ranges[first:last], counts[first:last], records)
            for i, content in _encode(settings, ranges[first:last], starts, records):
                if (place := position.get(first + i)) is not None:
                    written = writer.write(paths[place], content)
                    receipts["size"][place], receipts["crc32"][place] = written
            arena.give_back(records)
    return receipts


def _runs(
    counts: NDArray[np.int64], wanted: dict[int, int], settings: GeneSettings, max_bytes: int
) -> Iterator[tuple[int, int]]:
    """Runs of genes whose records and files fit into `max_bytes`, and which hold a wanted one."""
    width = np.dtype(value_dtype(settings.bits)).itemsize
    record = record_dtype(settings.n_cells, width).itemsize
    n_cells = settings.n_cells
    sizes = [record * n + encode_bound(n, 1, n_cells, width) for n in counts.tolist()]
    for first, last in cut_gene_blocks(np.array(sizes, np.int64), max(max_bytes, 1)):
        if not wanted.keys().isdisjoint(range(first, last)):
            yield first, last


def _encode(
    settings: GeneSettings, ranges: GeneRanges, starts: NDArray[np.int64], records: NDArray[Any]
) -> _Encoded:
    """Yield the file of each gene; the same bytes as `cellucid_dask.encode.encode_gene` makes."""
    n_cells, background = settings.n_cells, ranges.background
    native = settings.level > 0 and can_encode(n_cells, ranges.width)
    sparse = (np.diff(starts) < n_cells) & native
    edges = np.flatnonzero(np.diff(sparse)) + 1
    for run in np.split(np.arange(sparse.size), edges):
        first, last = int(run[0]), int(run[-1]) + 1
        if sparse[first]:
            part = starts[first : last + 1]
            codes = background[first:last]
            members, offsets = encode_strip(n_cells, ranges.width, part, records, codes)
            view = members.data
            for i, (start, stop) in enumerate(pairwise(offsets.tolist()), first):
                yield i, view[start:stop]
            continue
        for i in range(first, last):
            vector = _fill(settings, background[i], records[starts[i] : starts[i + 1]])
            yield i, pack_vector(vector, settings.level, background[i], native=native)


def _fill(settings: GeneSettings, background: np.uint32, records: NDArray[Any]) -> NDArray[Any]:
    """(n_cells,) codes, or values, of one gene."""
    dtype = np.dtype(value_dtype(settings.bits))
    bits = 8 if records.dtype == np.uint32 else 32
    code = np.dtype(f"<u{dtype.itemsize}")
    vector = np.full(settings.n_cells, background, code)
    for start in range(0, records.size, STEP):
        part = records[start : start + STEP]
        vector[part >> bits] = part & np.asarray((1 << bits) - 1, part.dtype)
    return vector.view(dtype)
