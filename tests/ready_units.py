"""Run the units of ready files, and read the arrays that their chunks make, without our code.

Chunks are those of an h5ad: deflated, their bytes shuffled where the node says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, Target
from cellucid_dask.exporter.stages.ready.units import Unit, do_unit
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.open import open_source


def chunk_stores(folder: Path) -> ChunkStores:
    """Stores of a run that makes an h5ad."""
    for name in ("parts", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return ChunkStores((Target("h5ad", "hdf5"),), str(folder / "parts"), str(folder / "scratch"))


def catalog_of(data: Any, modality: str | None = None) -> ReadyCatalog:
    """A catalog of nothing yet."""
    source = open_source(data, modality)
    return ReadyCatalog(source.n_cells, source)


def run_units(units: Iterable[Unit]) -> dict[str, ReadyWork]:
    """Do all units, and return what they did by key; each names itself as its unit does."""
    done = {unit.key: do_unit(unit) for unit in units}
    assert [work.key for work in done.values()] == list(done)
    return done


def read_array(works: Iterable[ReadyWork], node: ArrayNode) -> np.ndarray:
    """Put an array together from its chunks, each of which must be there once."""
    array = np.zeros(node.shape, node.dtype)
    seen = []
    for stored in (stored for work in works for stored in work.chunks if stored.array == node.path):
        for chunk, offset, size, _ in stored.chunks.tolist():
            seen.append(chunk)
            with open(stored.pack, "rb") as pack:  # noqa: PTH123
                pack.seek(offset)
                raw = zlib.decompress(pack.read(size))
            array[node.region(chunk)] = _decode(node, raw)[
                tuple(slice(0, s.stop - s.start) for s in node.region(chunk))
            ]
    assert sorted(seen) == list(range(node.n_chunks))
    return array


def _decode(node: ArrayNode, raw: bytes) -> np.ndarray:
    values = np.frombuffer(raw, np.uint8)
    if node.shuffle and node.itemsize > 1:
        values = np.ascontiguousarray(values.reshape(node.itemsize, -1).T).reshape(-1)
    return values.view(node.dtype).reshape(node.chunks)
