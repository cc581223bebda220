"""Stored bytes: where those of a chunk are, and reading them into place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Stamp: TypeAlias = tuple[int, int, int, int]  # device, inode, bytes, time of the last change in ns

RUN_BYTES: Final = 4 << 20  # of neighbouring chunks that are read at once


class UnexpectedBytesError(ValueError):
    """What is stored is not what was expected: HDF5 or zarr itself has to read it.

    It is never shown, and so has no text.
    """


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Where a chunk is stored.

    Parameters
    ----------
    number
        Its position in the array.
    path, offset, size
        Its bytes in a file, as they are coded.
    crc
        CRC-32 of them, where a zip archive holds it.
    compressed
        False where HDF5 left out the compressor, as the chunk would not have become smaller.
    """

    number: int
    path: str
    offset: int
    size: int
    crc: int | None = None
    compressed: bool = True


class ChunkTable(Protocol):
    """Where the chunks of an array are stored."""

    @property
    def stamp(self) -> Stamp | None:
        """Version of the one file that they are all in; None where each has a file of its own."""

    @property
    def checked(self) -> bool:
        """Whether there is a CRC-32 of each chunk, of which all bytes are read for that."""

    @property
    def n_bytes(self) -> int:
        """Memory that the table takes."""

    def stored(self, files: OpenFile, first: int, last: int) -> Iterator[StoredChunk]:
        """Find chunks `first` to `last`, the one after the last, in their order.

        Raises
        ------
        UnexpectedBytesError
            When one of them is not stored.
        OSError
            When a file is not there.
        """


class OpenFile:
    """The file that was read last, open; each reader has one of its own.

    Parameters
    ----------
    stamp
        Version that a file must have; None where any will do.
    """

    def __init__(self, stamp: Stamp | None) -> None:
        self._stamp = stamp
        self._path = ""
        self._file: RawIOBase | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, path: str, offset: int, out: Bytes) -> None:
        """Fill `out` with the bytes of a file from `offset`.

        Raises
        ------
        UnexpectedBytesError
            When the file ends before, or is another version.
        """
        read_exactly(self._open(path), offset, out.data)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return os.fstat(self._open(path).fileno()).st_size

    def _open(self, path: str) -> RawIOBase:
        if self._file is None or path != self._path:
            if self._file is not None:
                self._file.close()
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115  closed on exit
            self._path = path
            found = stamp_of(os.fstat(self._file.fileno()))
            if self._stamp is not None and found != self._stamp:
                raise UnexpectedBytesError  # it has changed
        return self._file


def stamp_of(found: os.stat_result) -> Stamp:
    """Version of a file."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_exactly(file: RawIOBase, offset: int, out: memoryview) -> None:
    """Fill `out`; one call of the system reads less than asked for beyond 2 GB, and as it likes.

    Raises
    ------
    UnexpectedBytesError
        When the file ends before.
    """
    file.seek(offset)
    while out:
        n_read = file.readinto(out)
        if not n_read:
            raise UnexpectedBytesError  # the file is cut off
        out = out[n_read:]


def neighbours(chunks: Iterable[StoredChunk]) -> Iterator[list[StoredChunk]]:
    """Put together chunks that follow each other in a file, up to `RUN_BYTES`."""
    run: list[StoredChunk] = []
    n_bytes = 0
    for chunk in chunks:
        if run and not (_follows(run[-1], chunk) and n_bytes + chunk.size <= RUN_BYTES):
            yield run
            run, n_bytes = [], 0
        run.append(chunk)
        n_bytes += chunk.size
    if run:
        yield run


def _follows(chunk: StoredChunk, after: StoredChunk) -> bool:
    return chunk.path == after.path and chunk.offset + chunk.size == after.offset
