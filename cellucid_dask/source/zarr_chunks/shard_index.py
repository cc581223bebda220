"""The index of a shard of zarr v3: which of its chunks are stored. No chunk is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.zarr_chunks.files import ChunkFiles

_ABSENT = np.uint64(2**64 - 1)  # offset and length of a chunk that is not stored
_CHECKSUM = 4  # bytes


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How the shards of an array are indexed.

    Parameters
    ----------
    chunk
        Shape of the chunks within a shard.
    per_shard
        Number of chunks along each axis of a shard.
    at_start
        Whether the index stands at the start of a shard, not at its end.
    dtype
        ``<u8`` or ``>u8``, the type of its numbers.
    checked
        Whether a CRC32C follows it.
    """

    chunk: tuple[int, ...]
    per_shard: tuple[int, ...]
    at_start: bool
    dtype: str
    checked: bool

    @classmethod
    def of(cls, metadata: Mapping[str, Any], shard: tuple[int, ...]) -> Self | None:
        """Read it from the metadata of an array; None where the array has no shards.

        None as well where its index is coded in a way that zarr does not define.

        Parameters
        ----------
        shard
            Shape of a shard.
        """
        codecs = list(metadata.get("codecs", ()))
        if len(codecs) != 1 or codecs[0].get("name") != "sharding_indexed":
            return None
        facts = codecs[0]["configuration"]
        names = [codec["name"] for codec in facts["index_codecs"]]
        if names not in (["bytes"], ["bytes", "crc32c"]):
            return None
        endian = facts["index_codecs"][0].get("configuration", {}).get("endian", "little")
        chunk = tuple(facts["chunk_shape"])
        return cls(
            chunk=chunk,
            per_shard=tuple(n // c for n, c in zip(shard, chunk, strict=True)),
            at_start=facts.get("index_location", "end") == "start",
            dtype=">u8" if endian == "big" else "<u8",
            checked="crc32c" in names,
        )

    def region(self, size: int) -> tuple[int, int]:
        """Offset and length of the index within a shard of `size` bytes."""
        length = 16 * prod(self.per_shard) + _CHECKSUM * self.checked
        return (0 if self.at_start else max(0, size - length)), length

    def entries(self, raw: bytes, size: int, path: str) -> NDArray[np.uint64]:
        """Read an index.

        Parameters
        ----------
        raw
            What stands in the `region` of a shard of `size` bytes.
        path
            How errors name the shard.

        Returns
        -------
        (n, 2) offset and length of each chunk, in C order through `per_shard`; both are
        2**64 - 1 for a chunk that is not stored.

        Raises
        ------
        ValueError
            When the shard is shorter than its index says, or the checksum of the index is wrong.
        """
        if len(raw) != self.region(size)[1]:
            raise ValueError(f"shard {path} is cut off: its index is not there")
        count = len(raw) - _CHECKSUM * self.checked
        table, checksum = raw[:count], raw[count:]
        if self.checked and google_crc32c.value(table) != int.from_bytes(checksum, "little"):
            raise ValueError(f"the index of shard {path} does not match its checksum")
        entries = np.frombuffer(table, self.dtype).astype(np.uint64, copy=False).reshape(-1, 2)
        there = entries[_is_stored(entries)]
        if there.size and int(there.sum(axis=1, dtype=np.uint64).max()) > size:
            raise ValueError(f"shard {path} is cut off: its index names bytes after its end")
        return entries

    def stored(self, files: ChunkFiles, path: str) -> NDArray[np.int64]:
        """Find the chunks that the shard at `path` holds.

        Returns
        -------
        (n,) positions, in C order through `per_shard`, that rise.

        Raises
        ------
        ValueError
            As `entries`.
        """
        size = files.size(path)
        entries = self.entries(files.read(path, *self.region(size)), size, path)
        return np.flatnonzero(_is_stored(entries))


def _is_stored(entries: NDArray[np.uint64]) -> NDArray[np.bool_]:
    stored: NDArray[np.bool_] = (entries != _ABSENT).any(axis=1)
    return stored
