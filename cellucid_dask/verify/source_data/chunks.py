"""Chunks that the data lack, counted without the code that looks for them before an export.

The names of chunks are those that zarr gives them; what of a shard is stored, its index says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import h5py
import numpy as np

_CHECKSUM: Final = 4  # bytes


@dataclass(frozen=True, slots=True)
class Chunks:
    """How many chunks of an array there are.

    Parameters
    ----------
    key
        Where it is.
    missing, total
        Chunks that are not stored, and all there should be.
    fill
        What a missing chunk reads as; None stands for 0.
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
            total = prod(_grid(element.shape, element.chunks))
            missing = max(0, total - element.id.get_num_chunks())
            yield Chunks(key, missing, total, element.fillvalue)
        return
    chunk = element.chunks
    total = prod(_grid(element.shape, chunk))
    missing = total - _stored(element, chunk, getattr(element, "shards", None))
    yield Chunks(key, missing, total, element.fill_value)


def _grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True))


def _stored(array: Any, chunk: tuple[int, ...], shard: tuple[int, ...] | None) -> int:
    """Number of chunks of a zarr array that are stored."""
    from zarr.core.sync import sync

    async def listed() -> set[str]:
        return {name async for name in array.store.list_prefix(f"{array.path}/")}

    names, found = sync(listed()), 0
    for index in np.ndindex(_grid(array.shape, shard or chunk)):
        name = f"{array.path}/{array.metadata.encode_chunk_key(index)}"
        if name in names:
            found += 1 if shard is None else _stored_in_shard(array, name, index, shard)
    return found


def _stored_in_shard(array: Any, name: str, index: tuple[int, ...], shard: tuple[int, ...]) -> int:
    """Number of chunks that a shard holds, without those beyond the end of the array."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    (codec,) = array.metadata.to_dict()["codecs"]
    facts, per = codec["configuration"], _grid(shard, array.chunks)
    n = 16 * prod(per)
    checked = any(c["name"] == "crc32c" for c in facts["index_codecs"])
    last = facts.get("index_location", "end") == "end"
    wanted = SuffixByteRequest(n + _CHECKSUM * checked) if last else RangeByteRequest(0, n)
    read = sync(array.store.get(name, default_buffer_prototype(), wanted))
    numbers = np.frombuffer(read.to_bytes()[:n], "<u8").reshape(*per, 2)
    there = ~(numbers == np.iinfo(np.uint64).max).all(axis=-1)
    ends = [
        slice(0, -(-(size - i * length) // step))
        for size, i, length, step in zip(array.shape, index, shard, array.chunks, strict=True)
    ]
    return int(there[tuple(ends)].sum())
