"""Arrays of obsm of a ready file: float32, all columns, cut into units of whole chunks."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.ready.layout import rows_node
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.arrays.block_reader import BlockReader
from cellucid_dask.source.arrays.row_array import RowArray

UNIT_BYTES: Final = 64 << 20  # of the values of a unit


def obsm_units(catalog: ReadyCatalog, stores: ChunkStores) -> list[Unit]:
    """Units of all arrays of obsm, vector fields included."""
    units = []
    for key, array in catalog.obsm.items():
        node = rows_node(f"obsm/{key}", array.shape)
        step = max(1, UNIT_BYTES // (4 * prod(node.chunks)))
        for first in range(0, node.n_chunks, step):
            last = min(first + step, node.n_chunks)
            name = f"{node.path}/{first}-{last}"
            facts = (stores, name, node, array, first, last)
            units.append(Unit(name, write_rows, facts, (node.path,), range(first, last)))
    return units


def write_rows(
    stores: ChunkStores, key: str, node: ArrayNode, array: RowArray, first: int, last: int
) -> ReadyWork:
    """Write chunks `first` to `last` of an array of obsm; each block of it is read once."""
    reader = BlockReader(array)
    with ChunkWriter(stores) as writer:
        for chunk in range(first, last):
            rows = node.region(chunk)[0]
            values = np.empty((rows.stop - rows.start, node.shape[1]), np.float32)
            for row, part in reader.parts(rows.start, rows.stop):
                values[row - rows.start : row - rows.start + len(part)] = part
            writer.write(node, chunk, values)
        return writer.work(key)
