"""The files of a zarr array: one for each chunk or shard, in a folder or in a zip."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from cellucid_dask.source.storage.direct.stored import (
    RUN_BYTES,
    Bytes,
    ChunkTable,
    OpenFile,
    Stamp,
    StoredChunk,
    UnexpectedBytesError,
)
from cellucid_dask.source.zarr_chunks.keys import ChunkKeys
from cellucid_dask.source.zarr_chunks.shard_index import ShardIndex

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")  # of a member of a zip: lengths of name and extra
_LOCAL_MAGIC: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class FolderTable:
    """Chunks or shards that are files of a folder.

    Parameters
    ----------
    folder
        Of the array.
    keys
        Their names below it.
    """

    folder: str
    keys: ChunkKeys

    @property
    def stamp(self) -> None:
        """As in `ChunkTable`."""
        return

    @property
    def checked(self) -> bool:
        """As in `ChunkTable`."""
        return False

    @property
    def n_bytes(self) -> int:
        """As in `ChunkTable`."""
        return 0

    def stored(self, files: OpenFile, first: int, last: int) -> Iterator[StoredChunk]:
        """As in `ChunkTable`."""
        for number in range(first, last):
            path = f"{self.folder}/{self.keys.name(number)}"
            yield StoredChunk(number, path, 0, files.size(path))


@dataclass(frozen=True, slots=True)
class ZipTable:
    """Chunks or shards that are members of a zip, stored as they are.

    Parameters
    ----------
    path, stamp
        The zip, and the version of it that was looked at.
    headers, sizes, crcs
        (n,) int64, int64 and uint32, of each member; header -1 for one that has to be read by zarr.
    """

    path: str
    stamp: Stamp | None
    headers: NDArray[np.int64]
    sizes: NDArray[np.int64]
    crcs: NDArray[np.uint32]

    @property
    def checked(self) -> bool:
        """As in `ChunkTable`."""
        return True

    @property
    def n_bytes(self) -> int:
        """As in `ChunkTable`."""
        return self.headers.nbytes + self.sizes.nbytes + self.crcs.nbytes

    def stored(self, files: OpenFile, first: int, last: int) -> Iterator[StoredChunk]:
        """As in `ChunkTable`."""
        for number in range(first, last):
            header = int(self.headers[number])
            if header < 0:
                raise UnexpectedBytesError  # a member of the zip is not there, or compressed
            head = _read(files, self.path, header, _LOCAL_HEADER.size)
            magic, *lengths = _LOCAL_HEADER.unpack(head.tobytes())
            if magic != _LOCAL_MAGIC:
                raise UnexpectedBytesError  # a member of the zip is elsewhere
            start = header + 30 + sum(lengths)
            size, crc = int(self.sizes[number]), int(self.crcs[number])
            yield StoredChunk(number, self.path, start, size, crc)


def members_of_zip(path: str, folder: str, keys: ChunkKeys, stamp: Stamp | None) -> ZipTable:
    """Read the table of contents of a zip; of two members of one name, the last one counts."""
    n = keys.total
    table = ZipTable(path, stamp, np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.uint32))
    head = f"{folder}/" if folder else ""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.startswith(head):
                continue
            number = keys.position(member.filename[len(head) :])
            if number < 0:
                continue
            as_it_is = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
            table.headers[number] = member.header_offset if as_it_is else -1
            table.sizes[number], table.crcs[number] = member.file_size, member.CRC
    return table


@dataclass(frozen=True, slots=True)
class ShardTable:
    """Chunks within shards.

    Parameters
    ----------
    shards
        The shards.
    index
        How they are indexed.
    """

    shards: ChunkTable
    index: ShardIndex

    @property
    def stamp(self) -> Stamp | None:
        """As in `ChunkTable`."""
        return self.shards.stamp

    @property
    def checked(self) -> bool:
        """As in `ChunkTable`."""
        return False

    @property
    def n_bytes(self) -> int:
        """As in `ChunkTable`."""
        return self.shards.n_bytes

    def stored(self, files: OpenFile, first: int, last: int) -> Iterator[StoredChunk]:
        """As in `ChunkTable`."""
        per = prod(self.index.per_shard)
        for shard in self.shards.stored(files, first // per, -(-last // per)):
            start, length = self.index.region(shard.size)
            length = min(length, shard.size)
            raw = _read(files, shard.path, shard.offset + start, length)
            entries = self.index.entries(raw.tobytes(), shard.size, shard.path).tolist()
            low, high = max(0, first - shard.number * per), min(per, last - shard.number * per)
            if shard.crc is not None and high - low == per:
                _check_crc(files, shard)  # as zarr does, of a shard that is read whole
            for inner in range(low, high):
                offset, size = entries[inner]
                if offset + size > shard.size:
                    raise UnexpectedBytesError  # a chunk is not in its shard
                number = shard.number * per + inner
                yield StoredChunk(number, shard.path, shard.offset + offset, size)


def _check_crc(files: OpenFile, shard: StoredChunk) -> None:
    crc = 0
    for start in range(0, shard.size, RUN_BYTES):
        piece = _read(files, shard.path, shard.offset + start, min(RUN_BYTES, shard.size - start))
        crc = zlib_ng.crc32(piece.data, crc)
    if crc != shard.crc:
        raise UnexpectedBytesError  # a checksum of the zip is wrong


def _read(files: OpenFile, path: str, offset: int, size: int) -> Bytes:
    raw = np.empty(size, np.uint8)
    files.read(path, offset, raw)
    return raw
