"""Where the encoded chunks of a ready file lie in packs, until one writer puts them together."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from zlib_ng import zlib_ng

from cellucid_dask.files import name_path_in_errors

OPEN_PACKS: Final = 32  # every task writes a pack, and there may be thousands
_ENTRY: Final = np.dtype(
    [("chunk", "<i8"), ("offset", "<i8"), ("size", "<i8"), ("crc32", "<u4"), ("pack", "<u4")]
)


class ChunkTable:
    """Chunks by array and number; a context manager that closes the packs it has read.

    It can be pickled, and is read by one thread.
    """

    def __init__(self) -> None:
        self._packs: dict[str, int] = {}  # number of each path
        self._paths: list[str] = []
        self._added: dict[str, list[NDArray[np.void]]] = {}
        self._sorted: dict[str, NDArray[np.void]] = {}
        self._open: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sorted": {}, "_open": OrderedDict()}

    def add(
        self,
        array: str,
        pack: str,
        chunks: ArrayLike,
        offsets: ArrayLike,
        sizes: ArrayLike,
        crc32: ArrayLike,
    ) -> None:
        """Add chunks of one array that lie in one pack.

        Parameters
        ----------
        array
            Path of the array.
        pack
            Path of the file.
        chunks, offsets, sizes, crc32
            (n,) numbers of chunks, where they begin in the pack, their bytes and checksums.
        """
        if pack not in self._packs:
            self._packs[pack] = len(self._paths)
            self._paths.append(pack)
        entries = np.empty(np.shape(chunks), _ENTRY)
        entries["chunk"], entries["offset"], entries["size"] = chunks, offsets, sizes
        entries["crc32"], entries["pack"] = crc32, self._packs[pack]
        self._added.setdefault(array, []).append(entries)
        self._sorted.pop(array, None)

    def sizes(self, array: str, chunks: range) -> NDArray[np.int64]:
        """Bytes of each of `chunks`; raises LookupError when one was not added."""
        return self._entries(array, chunks)["size"]

    def part(self, array: str, chunks: range) -> ChunkTable:
        """Make a table of `chunks` alone, small enough for a task."""
        entries = self._entries(array, chunks)
        part = ChunkTable()
        for number in np.unique(entries["pack"]):
            found = entries[entries["pack"] == number]
            columns = (found[name] for name in ("chunk", "offset", "size", "crc32"))
            part.add(array, self._paths[number], *columns)
        return part

    def read(self, array: str, chunk: int) -> bytes:
        """Read an encoded chunk.

        Raises
        ------
        LookupError
            When it was not added: it must not be taken for a chunk of fill values.
        OSError
            When its pack cannot be read, or does not hold what was written.
        """
        entry = self._entries(array, range(chunk, chunk + 1))[0]
        path = self._paths[entry["pack"]]
        size, offset = int(entry["size"]), int(entry["offset"])
        with name_path_in_errors(path):
            payload = os.pread(self._handle(path), size, offset)
        if len(payload) != size:
            raise OSError(errno.EIO, "is cut short", path)
        if zlib_ng.crc32(payload) != entry["crc32"]:
            raise OSError(errno.EIO, "does not hold what was written", path)
        return payload

    def _entries(self, array: str, chunks: range) -> NDArray[np.void]:
        if array not in self._sorted:
            self._sorted[array] = _by_number(array, self._added.get(array, []))
        entries = self._sorted[array]
        start = int(np.searchsorted(entries["chunk"], chunks.start))
        found = entries[start : start + len(chunks)]
        if not np.array_equal(found["chunk"], np.arange(chunks.start, chunks.stop)):
            missing = sorted(set(chunks) - set(found["chunk"].tolist()))
            raise LookupError(f"chunk {missing[0]} of {array} is missing")
        return found

    def _handle(self, path: str) -> int:
        """The open pack; those that were used last stay open."""
        handle = self._open.pop(path, None)
        if handle is None:
            if len(self._open) >= OPEN_PACKS:
                os.close(self._open.popitem(last=False)[1])
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._open[path] = handle
        return handle


def _by_number(array: str, added: list[NDArray[np.void]]) -> NDArray[np.void]:
    """All chunks of an array, sorted."""
    entries = np.concatenate([np.empty(0, _ENTRY), *added])
    entries = entries[np.argsort(entries["chunk"], kind="stable")]
    twice = np.flatnonzero(np.diff(entries["chunk"]) == 0)
    if twice.size:
        raise LookupError(f"chunk {entries['chunk'][twice[0]]} of {array} is there twice")
    return entries
