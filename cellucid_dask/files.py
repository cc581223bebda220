"""Files of an export: written beside and renamed, each answered with a receipt."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from cellucid_dask.encode import Range
from cellucid_dask.format import Resource

PARTS = "parts"  # folder beside an export that is being made, for files that are not finished
READ = 1 << 22  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was written; all that a worker sends back.

    Parameters
    ----------
    path
        Relative to the export, with forward slashes.
    size
        Bytes on disk.
    crc32
        Of those bytes.
    span
        Range of the values, where there is one.
    """

    path: str
    size: int
    crc32: int
    span: Range | None = None


def write_file(
    folder: str,
    resource: Resource,
    parts: Iterable[bytes | memoryview],
    span: Range | None = None,
) -> Receipt:
    """Write one file of the export in `folder`: outside of it, then rename into its place."""
    # Not in the export, where a worker that is killed would leave it to be published.
    beside = os.path.join(os.path.dirname(folder), PARTS)  # noqa: PTH118, PTH120
    size, crc = write_atomically(f"{folder}/{resource.path}", parts, beside)
    return Receipt(resource.path, size, crc, span)


def write_atomically(
    path: str | Path,
    parts: Iterable[bytes | memoryview],
    beside: str | None = None,
    *,
    durable: bool = False,
) -> tuple[int, int]:
    """Write a file under another name and rename it, so that it is never seen half written.

    Parameters
    ----------
    beside
        Folder, on the same disk, for the file while it is written; that of `path` if None.
    durable
        Have it on the disk before it gets its name; an export is made durable as a whole.

    Returns
    -------
    Bytes that were written, and their crc32.
    """
    folder, name = os.path.split(path)
    # A name of its own: who was taken for lost may still write, and process ids repeat on clusters.
    unfinished = f"{beside or folder}/{name}.{secrets.token_hex(4)}.part"
    size = crc = 0
    try:
        with open(unfinished, "wb", buffering=0) as file:  # noqa: PTH123
            for part in parts:
                size += len(part)
                crc = zlib_ng.crc32(part, crc)
                write_all(file, part)
            if durable:
                os.fsync(file.fileno())
        os.replace(unfinished, path)  # noqa: PTH105
    except OSError as error:
        with suppress(OSError):
            os.unlink(unfinished)  # noqa: PTH108
        if error.filename is None:  # as when the disk is full
            error.filename = str(path)
        raise
    return size, crc


def write_all(file: FileIO, part: bytes | memoryview) -> None:
    """Write all of `part`: a file without a buffer may take only some of it at a time."""
    rest = memoryview(part)
    while rest:
        rest = rest[file.write(rest) :]


def write_arrays(path: str | Path, arrays: Iterable[NDArray[Any]]) -> None:
    """Write arrays one after the other into a scratch file, in place of what was there."""
    with name_path_in_errors(path), Path(path).open("wb") as file:
        file.writelines(bytes_of(array) for array in arrays)


def bytes_of(array: NDArray[Any]) -> memoryview:
    """Bytes of an array in C order; `ndarray.tofile` says less of what goes wrong."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@contextmanager
def name_path_in_errors(path: str | Path) -> Iterator[None]:
    """Let errors say which file they are of."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def file_crc32(path: str | Path, offset: int = 0, max_bytes: int | None = None) -> tuple[int, int]:
    """Bytes of a file, or of a part of it, and their crc32.

    Parameters
    ----------
    offset, max_bytes
        Where the part begins, and its bytes; None reads up to the end.
    """
    size = crc = 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        file.seek(offset)
        while part := file.read(READ if max_bytes is None else min(READ, max_bytes - size)):
            size += len(part)
            crc = zlib_ng.crc32(part, crc)
    return size, crc


def walk_files(folder: str | Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield all that is below `folder` and no folder itself, with its path relative to `folder`.

    Links are not followed, and what may not be listed is left out. As fast as the system lists:
    there may be 60,000 files, and a `Path` of each takes ten times as long.
    """
    folders = [""]
    while folders:
        inner = folders.pop()
        try:
            with os.scandir(f"{folder}/{inner}") as listing:
                entries = list(listing)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{inner}{entry.name}/")
            else:
                yield f"{inner}{entry.name}", entry


def has_size(path: str, size: int) -> bool:
    """Whether there is a file of so many bytes."""
    try:
        return os.stat(path).st_size == size  # noqa: PTH116  there is a file per gene
    except OSError:
        return False


def sync_folder(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_array(
    file: str | FileIO, dtype: str, start: int = 0, count: int = -1, *, skip: int = 0
) -> NDArray[Any]:
    """Read `count` items of a raw array from item `start`, which begins after `skip` bytes.

    A plain read and no memory map: mapped pages would count as resident memory.

    Parameters
    ----------
    file
        Path of a file, or one that is open, which may be read from anywhere.
    """
    offset = skip + start * np.dtype(dtype).itemsize
    path = file
    if not isinstance(file, str):
        file.seek(offset)
        offset, path = 0, str(file.name)
    found = np.fromfile(file, dtype=np.dtype(dtype).newbyteorder("<"), count=count, offset=offset)
    if found.size < count:
        raise OSError(errno.EIO, "is cut short", path)
    return found
