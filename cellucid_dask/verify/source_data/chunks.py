"""Counts of missing chunks, without the code that counts them before an export.

zarr gives the names of chunks; the index of a shard says which of its chunks are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import h5py
import numpy as np

ACCEPT: Final = "if its writer left them out, use --accept-missing-chunks"
_CHECKSUM: Final = 4  # bytes


@dataclass(frozen=True, slots=True)
class Chunks:
    """Numbers of chunks of an array.

    Parameters
    ----------
    key
        Path of the array.
    missing, total
        Chunks that are not stored, and all chunks.
    fill
        Value that a missing chunk reads as; None stands for 0.
    """

    key: str
    missing: int
    total: int
    fill: Any


def count_chunks(element: Any, key: str) -> Iterator[Chunks]:
    """Count the chunks of an array, or of all arrays in a group."""
    if not hasattr(element, "shape"):
        for name in element:
            yield from count_chunks(element[name], f"{key}/{name}")
        return
    if isinstance(element, h5py.Dataset):
        if element.chunks:
            total = prod(_chunk_grid(element.shape, element.chunks))
            missing = max(0, total - element.id.get_num_chunks())
            yield Chunks(key, missing, total, element.fillvalue)
        return
    chunk = element.chunks
    total = prod(_chunk_grid(element.shape, chunk))
    missing = total - _count_stored(element, chunk, getattr(element, "shards", None))
    yield Chunks(key, missing, total, element.fill_value)


def _chunk_grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True))


def _count_stored(array: Any, chunk: tuple[int, ...], shard: tuple[int, ...] | None) -> int:
    """Count the stored chunks of a zarr array."""
    from zarr.core.sync import sync

    async def list_names() -> set[str]:
        return {name async for name in array.store.list_prefix(f"{array.path}/")}

    names, stored = sync(list_names()), 0
    for index in np.ndindex(_chunk_grid(array.shape, shard or chunk)):
        name = f"{array.path}/{array.metadata.encode_chunk_key(index)}"
        if name in names:
            stored += 1 if shard is None else _count_in_shard(array, name, index, shard)
    return stored


def _count_in_shard(array: Any, name: str, index: tuple[int, ...], shard: tuple[int, ...]) -> int:
    """Count the stored chunks of a shard, without those beyond the end of the array."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    (codec,) = array.metadata.to_dict()["codecs"]
    settings, inner_grid = codec["configuration"], _chunk_grid(shard, array.chunks)
    n = 16 * prod(inner_grid)
    has_crc = any(c["name"] == "crc32c" for c in settings["index_codecs"])
    is_at_end = settings.get("index_location", "end") == "end"
    request = SuffixByteRequest(n + _CHECKSUM * has_crc) if is_at_end else RangeByteRequest(0, n)
    read = sync(array.store.get(name, default_buffer_prototype(), request))
    offsets = np.frombuffer(read.to_bytes()[:n], "<u8").reshape(*inner_grid, 2)
    is_stored = ~(offsets == np.iinfo(np.uint64).max).all(axis=-1)
    within = [
        slice(0, -(-(size - i * length) // step))
        for size, i, length, step in zip(array.shape, index, shard, array.chunks, strict=True)
    ]
    return int(is_stored[tuple(within)].sum())
