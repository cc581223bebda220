"""The files in the folder of an export, and their bytes, each read once."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.errors import InputError

_BLOCK: Final = 1 << 20  # bytes
_FOLDERS: Final = {
    fmt.Resource(kind, "x", 2).path.partition("/")[0]
    for kind in ("values", "gene", "embedding", "vectors", "src")
}
_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class DamagedError(Exception):
    """A file cannot be read, or is not what it should be; the message names the file."""


class ExportFiles:
    """The files of an export.

    Attributes
    ----------
    sizes
        Bytes of every regular file, by its path relative to `folder`, sorted.
    irregular
        What is wrong with everything that is not a regular file, by path. Folders of an export are
        good, also empty ones.
    listed
        (bytes, crc32) by path, as ``checksums.json`` has them; None without one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.irregular: dict[str, str] = {}
        self._unlistable: dict[str, str] = {}  # folders that cannot be listed, and why
        self.sizes = dict(sorted(self._walk()))
        self.listed: Mapping[str, tuple[int, int]] | None = None
        self._checked: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self.sizes or path in self.irregular

    def read(self, path: str, mismatches: list[str] | None = None) -> bytes:
        """Read all bytes of a file.

        Parameters
        ----------
        mismatches
            List that takes the difference from ``checksums.json``; None raises it.

        Raises
        ------
        DamagedError
            When the file cannot be read, or differs from ``checksums.json``.
        """
        self.mark_checked(path)
        with _errors_as_damage(path):
            size = self._regular_size(path)
            if mismatches is None:
                _raise_problem(self._find_mismatch(path, size))
            raw = (self.folder / path).read_bytes()
        crc = zlib.crc32(raw) if self.listed is not None else None
        problem = self._find_mismatch(path, len(raw), crc)
        if mismatches is None:
            _raise_problem(problem)
        elif problem:
            mismatches.append(problem)
        return raw

    def mark_checked(self, path: str) -> None:
        """Note that a file was read, or that its problem is reported elsewhere."""
        self._checked.add(path)

    def find_unread(self) -> list[str]:
        """Return the paths that exist or are listed, and are not checked; none without a list."""
        if self.listed is None:
            return []
        known = self.sizes.keys() | self.listed.keys()
        return sorted(known - self._checked - self.irregular.keys() - {fmt.CHECKSUMS})

    def check_checksum(self, path: str) -> Iterator[str]:
        """Compare a file with ``checksums.json``; only a block of it is in memory.

        Raises
        ------
        DamagedError
            When the file cannot be read.
        """
        if path not in self.sizes:
            why = self._unlistable.get(path.rpartition("/")[0])
            yield f"{path}: cannot be read ({why})" if why else f"{path}: is missing"
            return
        problem, crc = self._find_mismatch(path, self.sizes[path]), 0
        if not problem:
            try:
                with (self.folder / path).open("rb") as file:
                    while block := file.read(_BLOCK):
                        crc = zlib.crc32(block, crc)
            except OSError as error:
                raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error
            problem = self._find_mismatch(path, self.sizes[path], crc)
        if problem:
            yield problem

    def read_blocks(self, path: str) -> Iterator[bytes]:
        """Read a file in blocks; it counts as checked after the last one, or after damage.

        Raises
        ------
        DamagedError
            When the file cannot be read, or, after the last block, differs from
            ``checksums.json``.
        """
        try:
            yield from self._read_blocks(path)
        except DamagedError:
            self.mark_checked(path)
            raise
        self.mark_checked(path)

    def _read_blocks(self, path: str) -> Iterator[bytes]:
        size = crc = 0
        with _errors_as_damage(path):
            _raise_problem(self._find_mismatch(path, self._regular_size(path)))
            with (self.folder / path).open("rb") as file:
                while block := file.read(_BLOCK):
                    size += len(block)
                    crc = zlib.crc32(block, crc) if self.listed is not None else 0
                    yield block
        _raise_problem(self._find_mismatch(path, size, crc))

    def _regular_size(self, path: str) -> int:
        """Return the size of a file, which must be a regular one."""
        status = os.lstat(f"{self.folder}/{path}")  # a `Path` for every gene takes longer
        if not stat.S_ISREG(status.st_mode):
            raise DamagedError(f"{path}: is {_describe_kind(status.st_mode)}")
        return status.st_size

    def _find_mismatch(self, path: str, size: int, crc: int | None = None) -> str:
        """Say how a file of `size` bytes differs from the list; empty when it does not."""
        if self.listed is None:
            return ""
        if path not in self.listed:
            return f"{path}: is not in {fmt.CHECKSUMS}"
        expected_size, expected_crc = self.listed[path]
        if size != expected_size:
            return f"{path}: has {size} bytes, not {expected_size} as in {fmt.CHECKSUMS}"
        if crc is not None and crc != expected_crc:
            return f"{path}: its crc32 is {crc:08x}, not {expected_crc:08x} as in {fmt.CHECKSUMS}"
        return ""

    def _walk(self) -> Iterator[tuple[str, int]]:
        """Yield path and size of regular files; note unknown folders and all else as irregular."""
        folders = [""]
        while folders:
            prefix = folders.pop()
            try:
                with os.scandir(self.folder / prefix) as listing:
                    entries = list(listing)
            except OSError as error:
                self._unlistable[prefix] = str(error.strerror)
                self.irregular[prefix or "."] = f"cannot be listed ({error.strerror})"
                continue
            if prefix and not entries and prefix not in _FOLDERS:
                self.irregular[prefix] = "is not a folder of an export"
            for entry in entries:
                path = f"{prefix}/{entry.name}".lstrip("/")
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:  # the folder can be listed, but not searched
                    self.irregular[path] = f"cannot be read ({error.strerror})"
                    continue
                if stat.S_ISDIR(status.st_mode):
                    folders.append(path)
                elif stat.S_ISREG(status.st_mode):
                    yield path, status.st_size
                else:
                    self.irregular[path] = f"is {_describe_kind(status.st_mode)}"


def find_export_files(folder: Path) -> ExportFiles:
    """List the files of the export in `folder`, which has one of the manifests at least.

    Raises
    ------
    InputError
        When `folder` is not an export.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  it never raises
        raise InputError("is not a folder", where=str(folder), fix="name the folder of an export")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror})", where=str(folder)) from error
    if any(entry.name in fmt.MANIFESTS for entry in entries):
        return ExportFiles(folder)
    fix = "name the folder of one export"
    inner = [entry for entry in entries if os.path.isfile(entry / fmt.IDENTITY)]  # noqa: PTH113
    if inner:
        fix += f", such as {inner[0]}"
    raise InputError(f"is not an export: it has no {fmt.IDENTITY}", where=str(folder), fix=fix)


def is_export_folder(folder: Path) -> bool:
    """Whether a folder has one of the manifests of an export."""
    return any(os.path.lexists(folder / name) for name in fmt.MANIFESTS)


def yield_damage(check: Iterator[str]) -> Iterator[str]:
    """Yield the problems of a check; damage that ends it becomes the last one."""
    try:
        yield from check
    except DamagedError as damage:
        yield str(damage)


@contextmanager
def _errors_as_damage(path: str) -> Iterator[None]:
    """Raise errors of the operating system as damage to the file at `path`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedError(f"{path}: is missing") from None
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error


def _describe_kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "a device")


def _raise_problem(problem: str) -> None:
    if problem:
        raise DamagedError(problem)
