"""Resuming ready files: the chunks that a journal names are read, and kept if they are intact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
from zlib_ng import zlib_ng

from cellucid_dask.exporter.ready_receipts import ChunkReceipts, ReadyWork, StoredChunks
from cellucid_dask.files import READ, file_crc32
from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.zarr_keys import chunk_keys

PART_BYTES: Final = 64 << 20  # of chunks that are checked together
PART_CHUNKS: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class StoredPart:
    """Some of the chunks that work of a ready file has stored in one place.

    Parameters
    ----------
    work
        Key of the work.
    store
        Folder of the store where each chunk is a file; empty where they are in a pack.
    stored
        The chunks.
    """

    work: str
    store: str
    stored: StoredChunks

    @property
    def n(self) -> int:
        """Number of chunks."""
        return len(self.stored.chunks)

    @property
    def size(self) -> int:
        """Bytes of all chunks."""
        return int(self.stored.chunks["size"].sum())

    def holds(self) -> bool:
        """Whether each chunk has the expected size and checksum."""
        chunks = self.stored.chunks
        try:
            if self.stored.pack:
                return _pack_holds(self.stored.pack, chunks)
            if not self.store:
                return False
            keys = file_keys(self.stored)
            sizes = zip(chunks["size"].tolist(), chunks["crc32"].tolist(), strict=True)
            return all(
                file_crc32(f"{self.store}/{key}") == expected
                for key, expected in zip(keys, sizes, strict=True)
            )
        except (OSError, ValueError):
            return False


def file_keys(stored: StoredChunks) -> list[str]:
    """Paths in the store of chunks that are files; none of chunks in a pack."""
    if stored.pack:
        return []
    zarr_format = cast("ZarrFormat", stored.zarr_format)
    return chunk_keys(stored.array, stored.grid, stored.chunks["chunk"].tolist(), zarr_format)


def stored_parts(work: ReadyWork, stores: Mapping[str, Path]) -> Iterator[StoredPart]:
    """Everything that work has stored, cut into parts; `stores` are the ready files of the run."""
    for stored in (*work.chunks, *work.pieces):
        store = "" if stored.pack else str(stores.get(stored.target, ""))
        for chunks in _cut(stored.chunks):
            part = StoredChunks(
                stored.target, stored.array, stored.pack, chunks, stored.grid, stored.zarr_format
            )
            yield StoredPart(work.key, store, part)


def _cut(chunks: ChunkReceipts) -> list[ChunkReceipts]:
    """Cut receipts where they come to more bytes or chunks than are checked together."""
    before = np.cumsum(chunks["size"]) - chunks["size"]
    part = np.maximum(before // PART_BYTES, np.arange(len(chunks)) // PART_CHUNKS)
    return np.split(chunks, np.flatnonzero(np.diff(part)) + 1)


def _pack_holds(path: str, chunks: ChunkReceipts) -> bool:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        for offset, size, crc32 in chunks[["offset", "size", "crc32"]].tolist():
            file.seek(offset)
            rest, crc = size, 0
            while rest and (part := file.read(min(READ, rest))):
                rest, crc = rest - len(part), zlib_ng.crc32(part, crc)
            if rest or crc != crc32:
                return False
    return True
