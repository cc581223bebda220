"""X of a matrix that was cut at gene strips: each task sorts a strip and stores its entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import Shared
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.receipts import StripSpill
from cellucid_dask.exporter.stages.genes.strips import Strip
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.matrix.entries import EntryWriter
from cellucid_dask.native.arena import open_arena
from cellucid_dask.ready.layout import MatrixLayout


def write_strip_entries(
    stores: ChunkStores,
    key: str,
    layout: MatrixLayout,
    spills: Shared[Sequence[StripSpill]],
    strip: int,
    n_genes: int,
    first: int,
    max_bytes: int,
) -> ReadyWork:
    """Write the entries of a strip.

    Parameters
    ----------
    spills
        All chunks, in the order of the cells, without values of 0.
    strip, n_genes
        Number of the strip, and how many genes it has.
    first
        Number of its first entry in the matrix.
    max_bytes
        Memory that the task may take.
    """
    with open_arena() as arena, ChunkWriter(stores) as writer:
        values = Strip(spills.load(), strip, n_genes, arena, max_bytes // 2)
        counts = values.counts()
        entries = EntryWriter(writer, layout, first)
        value_type, cell_type = (np.dtype(dtype) for dtype in entries.dtypes)
        width = value_type.itemsize + cell_type.itemsize
        for start, stop in _runs(counts * width, max_bytes - values.n_bytes):
            n = int(counts[start:stop].sum())
            cells, data = arena.take(n, cell_type), arena.take(n, value_type)
            values.sort_entries(start, counts[start:stop], cells, data)
            entries.write(data, cells)
            arena.give_back(data)
            arena.give_back(cells)
        entries.close()
        return writer.work(key, counts=counts.tolist(), dtype=layout.dtype)


def _runs(sizes: NDArray[np.int64], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Runs of genes whose entries fit, and which have one."""
    for start, stop in cut_gene_blocks(sizes, max(max_bytes, 1)):
        if sizes[start:stop].any():
            yield start, stop
