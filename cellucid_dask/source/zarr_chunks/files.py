"""The files of a zarr store, a folder or a zip: their names, and parts of what they hold."""

from __future__ import annotations

import os
import struct
import zipfile
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

_LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of a zip: lengths of its name and extra field


class ChunkFiles(Protocol):
    """The files of a store, by their paths from its root."""

    def names(self, folder: str, depth: int) -> Iterator[str]:
        """Paths, from `folder`, of the files `depth` levels below it."""

    def has_folder(self, folder: str) -> bool:
        """Whether `folder` is there, even if empty."""

    def size(self, path: str) -> int:
        """Bytes of a file."""

    def read(self, path: str, start: int, count: int) -> bytes:
        """Read `count` bytes of a file from `start`."""


class FolderFiles:
    """A store that is a folder.

    Parameters
    ----------
    root
        Its path.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    def names(self, folder: str, depth: int) -> Iterator[str]:
        """As in `ChunkFiles`; each folder is listed once, and of files only links are looked at."""
        yield from _files_below(f"{self._root}/{folder}", depth)

    def has_folder(self, folder: str) -> bool:
        """As in `ChunkFiles`."""
        return Path(self._root, folder).is_dir()

    def size(self, path: str) -> int:
        """As in `ChunkFiles`."""
        return Path(self._root, path).stat().st_size

    def read(self, path: str, start: int, count: int) -> bytes:
        """As in `ChunkFiles`."""
        with Path(self._root, path).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), count, start)


def _files_below(folder: str, depth: int) -> Iterator[str]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if depth == 1:
                if entry.is_dir(follow_symlinks=False):
                    continue
                if not entry.is_symlink() or Path(entry.path).exists():  # dangling: not fetched
                    yield entry.name
            elif entry.is_dir():
                for name in _files_below(entry.path, depth - 1):
                    yield f"{entry.name}/{name}"


class ZipFiles:
    """A store that is a zip file; its table of contents is read once.

    Parameters
    ----------
    path
        Path of the zip file.
    """

    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self._names = sorted(self._archive.namelist())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()

    def names(self, folder: str, depth: int) -> Iterator[str]:
        """As in `ChunkFiles`."""
        head = f"{folder}/" if folder else ""
        for i in range(bisect_left(self._names, head), len(self._names)):
            name = self._names[i]
            if not name.startswith(head):
                return
            inner = name[len(head) :]
            if inner.count("/") == depth - 1 and inner[-1:] != "/":
                yield inner

    def has_folder(self, folder: str) -> bool:
        """As in `ChunkFiles`; many zip files hold no folders of their own."""
        at = bisect_left(self._names, f"{folder}/")
        return self._names[at : at + 1] == [f"{folder}/"]

    def size(self, path: str) -> int:
        """As in `ChunkFiles`."""
        return self._archive.getinfo(path).file_size

    def read(self, path: str, start: int, count: int) -> bytes:
        """As in `ChunkFiles`; what is stored uncompressed is not read from its beginning."""
        member = self._archive.getinfo(path)
        if member.compress_type != zipfile.ZIP_STORED:
            with self._archive.open(member) as file:
                file.seek(start)
                return file.read(count)
        with Path(self._archive.filename or "").open("rb") as raw:
            raw.seek(member.header_offset)
            lengths = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
            raw.seek(member.header_offset + _LOCAL_HEADER.size + sum(lengths) + start)
            return raw.read(count)
