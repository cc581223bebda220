"""What lies in the folder of an export, and the bytes of its files, each read once.

Part of `cellucid_dask.verify`, which says why nothing here imports the code that writes exports.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from cellucid_dask import format as fmt

_BLOCK: Final = 1 << 20
_FOLDERS: Final = {
    fmt.Resource(kind, "x", 2).path.partition("/")[0]
    for kind in ("values", "gene", "vectors", "src")
}
_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class DamagedError(Exception):
    """A file cannot be read, or is not what it should be; says which file."""


class Files:
    """The files of an export.

    Attributes
    ----------
    sizes
        Bytes of every regular file, by its path relative to `folder`, sorted.
    odd
        What is wrong with everything that is not a regular file, by path. Folders of an export are
        good, also empty ones.
    listed
        (bytes, crc32) by path, as ``checksums.json`` has them; None without one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.odd: dict[str, str] = {}
        self._closed: dict[str, str] = {}  # folders that cannot be listed, and why
        self.sizes = dict(sorted(self._walk()))
        self.listed: Mapping[str, tuple[int, int]] | None = None
        self._settled: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self.sizes or path in self.odd

    def read(self, path: str, told: list[str] | None = None) -> bytes:
        """All bytes of a file.

        Parameters
        ----------
        told
            Where to put it when the bytes are not those of ``checksums.json``; else it is raised.

        Raises
        ------
        DamagedError
            When they cannot be read, or are not those.
        """
        self.settle(path)
        try:
            status = (self.folder / path).lstat()
            if not stat.S_ISREG(status.st_mode):
                raise DamagedError(f"{path}: is {_kind(status.st_mode)}")
            if told is None:
                _fail(self._unlike(path, status.st_size))
            raw = (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise DamagedError(f"{path}: is missing") from None
        except OSError as error:
            raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error
        wrong = self._unlike(path, len(raw), zlib.crc32(raw)) if self.listed is not None else ""
        if told is None:
            _fail(wrong)
        elif wrong:
            told.append(wrong)
        return raw

    def settle(self, path: str) -> None:
        """Note that a file was read, or that what is wrong with it is told elsewhere."""
        self._settled.add(path)

    def rest(self) -> list[str]:
        """Files that are there or listed, and not settled; none without a list."""
        if self.listed is None:
            return []
        known = self.sizes.keys() | self.listed.keys()
        return sorted(known - self._settled - self.odd.keys() - {fmt.CHECKSUMS})

    def checksum(self, path: str) -> Iterator[str]:
        """Say how a file differs from ``checksums.json``, not holding all of it in memory."""
        if path not in self.sizes:
            why = self._closed.get(path.rpartition("/")[0])
            yield f"{path}: cannot be read ({why})" if why else f"{path}: is missing"
            return
        wrong, crc = self._unlike(path, self.sizes[path]), 0
        if not wrong:
            try:
                with (self.folder / path).open("rb") as file:
                    while block := file.read(_BLOCK):
                        crc = zlib.crc32(block, crc)
            except OSError as error:
                raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error
            wrong = self._unlike(path, self.sizes[path], crc)
        if wrong:
            yield wrong

    def blocks(self, path: str) -> Iterator[bytes]:
        """All bytes of a file, in pieces; it is settled when they end, for good or with damage.

        Raises
        ------
        DamagedError
            When they cannot be read, or, after the last one, are not those of ``checksums.json``.
        """
        try:
            yield from self._blocks(path)
        except DamagedError:
            self.settle(path)
            raise
        self.settle(path)

    def _blocks(self, path: str) -> Iterator[bytes]:
        size = crc = 0
        try:
            status = (self.folder / path).lstat()
            if not stat.S_ISREG(status.st_mode):
                raise DamagedError(f"{path}: is {_kind(status.st_mode)}")
            _fail(self._unlike(path, status.st_size))
            with (self.folder / path).open("rb") as file:
                while block := file.read(_BLOCK):
                    size += len(block)
                    crc = zlib.crc32(block, crc) if self.listed is not None else 0
                    yield block
        except (FileNotFoundError, NotADirectoryError):
            raise DamagedError(f"{path}: is missing") from None
        except OSError as error:
            raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error
        _fail(self._unlike(path, size, crc))

    def _unlike(self, path: str, size: int, crc: int | None = None) -> str:
        """Say how a file of `size` bytes is not as listed; nothing when it is."""
        if self.listed is None:
            return ""
        if path not in self.listed:
            return f"{path}: is not in {fmt.CHECKSUMS}"
        wanted, sum_wanted = self.listed[path]
        if size != wanted:
            return f"{path}: has {size} bytes, not {wanted} as in {fmt.CHECKSUMS}"
        if crc is not None and crc != sum_wanted:
            return f"{path}: its crc32 is {crc:08x}, not {sum_wanted:08x} as in {fmt.CHECKSUMS}"
        return ""

    def _walk(self) -> Iterator[tuple[str, int]]:
        """Path and size of regular files; puts all else that is no known folder into `odd`."""
        folders = [""]
        while folders:
            prefix = folders.pop()
            try:
                with os.scandir(self.folder / prefix) as listing:
                    entries = list(listing)
            except OSError as error:
                self._closed[prefix] = str(error.strerror)
                self.odd[prefix or "."] = f"cannot be listed ({error.strerror})"
                continue
            if prefix and not entries and prefix not in _FOLDERS:
                self.odd[prefix] = "is no folder of an export"
            for entry in entries:
                path = f"{prefix}/{entry.name}".lstrip("/")
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:  # of a folder that can be listed and not searched
                    self.odd[path] = f"cannot be read ({error.strerror})"
                    continue
                if stat.S_ISDIR(status.st_mode):
                    folders.append(path)
                elif stat.S_ISREG(status.st_mode):
                    yield path, status.st_size
                else:
                    self.odd[path] = f"is {_kind(status.st_mode)}"


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "a device")


def _fail(wrong: str) -> None:
    if wrong:
        raise DamagedError(wrong)


def noticing(found: Iterator[str]) -> Iterator[str]:
    """Pass on problems as they are found; damage to a file ends them as the last one."""
    try:
        yield from found
    except DamagedError as damage:
        yield str(damage)
