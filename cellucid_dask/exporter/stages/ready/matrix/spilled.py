"""X of a matrix that was transposed in row chunks: sparse or dense blocks of genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import Shared
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.receipts import Spill, SpillBlock
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.matrix.dense import write_chunk_columns
from cellucid_dask.exporter.stages.ready.matrix.entries import EntryWriter
from cellucid_dask.ready.layout import MatrixLayout, dense_node

ENTRY_BYTES = 24  # of an entry while it is read from the spill and put in its place


def write_spilled_entries(
    stores: ChunkStores,
    key: str,
    layout: MatrixLayout,
    spills: Shared[Sequence[Spill]],
    start: int,
    stop: int,
    first: int,
) -> ReadyWork:
    """Write the entries of genes `start` to `stop`, whose first one has number `first` in X.

    Parameters
    ----------
    spills
        All chunks, in the order of the cells, without values of 0.
    """
    blocks = [spill.read(start, stop) for spill in spills.load()]
    lengths = [np.diff(block.pointers) for block in blocks]
    counts = np.sum(lengths, axis=0, dtype=np.int64) if blocks else np.zeros(stop - start, np.int64)
    with ChunkWriter(stores) as writer:
        entries = EntryWriter(writer, layout, first)
        value_type, cell_type = entries.dtypes
        values, cells = np.empty(counts.sum(), value_type), np.empty(counts.sum(), cell_type)
        following = np.cumsum(counts) - counts  # where the next entry of each gene goes
        for block, n in zip(blocks, lengths, strict=True):
            assert block.rows is not None, "a sparse matrix is spilled sparse"
            places = np.repeat(following - block.pointers[:-1], n)
            places += np.arange(places.size)
            values[places] = block.values
            cells[places] = block.rows
            cells[places] += np.asarray(block.first, cell_type)
            following += n
        entries.write(values, cells)
        entries.close()
        return writer.work(key, counts=counts.tolist(), dtype=layout.dtype)


def write_spilled_dense(
    stores: ChunkStores,
    key: str,
    layout: MatrixLayout,
    spills: Shared[Sequence[Spill]],
    start: int,
    stop: int,
) -> ReadyWork:
    """Write the columns `start` to `stop` of a dense X, which are complete chunks."""
    node = dense_node("X", layout)
    blocks = [spill.read(start, stop) for spill in spills.load()]
    with ChunkWriter(stores) as writer:
        for low in range(start, stop, node.chunks[1]):
            high = min(low + node.chunks[1], stop)
            part = np.zeros((layout.shape[0], high - low), node.dtype)
            for i in range(high - low):
                for block in blocks:
                    _fill(part[:, i], block, low - start + i)
            write_chunk_columns(writer, node, low, part)
        return writer.work(key, dtype=layout.dtype)


def _fill(column: NDArray[np.floating], block: SpillBlock, gene: int) -> None:
    """Put the values of a gene of a block where its cells are."""
    low, high = block.pointers[gene], block.pointers[gene + 1]
    rows = slice(0, high - low) if block.rows is None else block.rows[low:high]
    column[block.first :][rows] = block.values[low:high]
