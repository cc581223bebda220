"""The writer of chunks: each is encoded once, and stored for every ready file of the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter, Target
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import TEXT
from cellucid_dask.ready.nodes import ArrayNode


@pytest.mark.parametrize("dtype", ["<f4", TEXT])
def test_chunks_are_stored_for_each_target(tmp_path: Path, dtype: str) -> None:
    """Numbers of an h5ad and of a zip share a place in the pack; their texts have other bytes."""
    for name in ("store", "parts", "scratch"):
        (tmp_path / name).mkdir()
    targets = (
        Target("zarr", "zarr2", str(tmp_path / "store")),
        Target("zarr.zip", "zarr2"),
        Target("h5ad", "hdf5"),
    )
    stores = ChunkStores(targets, str(tmp_path / "parts"), str(tmp_path / "scratch"))
    node = ArrayNode("a", (5,), dtype, (3,), shuffle=dtype != TEXT)
    values = np.arange(5, dtype="f4") if dtype != TEXT else np.array(list("abcde"), object)
    with ChunkWriter(stores) as writer:
        writer.write(node, 0, values[:3])
        writer.write(node, 1, values[3:])
        work = writer.work("a")
    places = {}
    for stored in work.chunks:
        coding = next(target.coding for target in targets if target.format == stored.target)
        for chunk, offset, size, _ in stored.chunks.tolist():
            path = Path(stored.pack) if stored.pack else tmp_path / "store" / "a" / str(chunk)
            raw = path.read_bytes()[offset : offset + size]
            assert raw == encode_chunk(node, values[3 * chunk : 3 * chunk + 3], coding)
            places[stored.target, chunk] = offset
    assert len(places) == 6
    shared = {places["zarr.zip", i] == places["h5ad", i] for i in (0, 1)}
    assert shared == {dtype != TEXT}
