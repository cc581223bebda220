"""Files of an export: written beside and renamed, each answered with a receipt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from zlib_ng import zlib_ng

from cellucid_dask.encode import Range
from cellucid_dask.format import Resource


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


def write(
    folder: str,
    resource: Resource,
    parts: Iterable[bytes | memoryview],
    span: Range | None = None,
    *,
    beside: str | None = None,
) -> Receipt:
    """Write one file of the export in `folder`: beside its place, then rename into it."""
    size = crc = 0

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal size, crc
        for part in parts:
            size += len(part)
            crc = zlib_ng.crc32(part, crc)
            yield part

    write_beside(f"{folder}/{resource.path}", counted(), beside)
    return Receipt(resource.path, size, crc, span)


def write_beside(
    path: str | Path, parts: Iterable[bytes | memoryview], beside: str | None = None
) -> None:
    """Write a file under another name and rename it, so that it is never seen half written.

    Parameters
    ----------
    beside
        Folder, on the same disk, for the file while it is written; that of `path` if None.
    """
    # Plain strings and no buffer: an export has a file per gene, most of them small.
    folder, name = os.path.split(path)
    unfinished = f"{beside or folder}/{name}.{os.getpid()}.part"
    with open(unfinished, "wb", buffering=0) as file:  # noqa: PTH123
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[file.write(rest) :]
    os.replace(unfinished, path)  # noqa: PTH105


@contextmanager
def own_folder(parent: str, name: str) -> Iterator[str]:
    """Have a folder for the unfinished files of one task.

    Tasks that make files in one folder wait for one another at each, and ext4 looks for an inode
    among those that were freed there a moment ago: up to ten times as long per file.
    """
    folder = f"{parent}/{name}"
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_vector(path: str, dtype: str, start: int = 0, count: int = -1) -> np.ndarray:
    """Read `count` items of a raw array from item `start`.

    A plain read and no memory map: mapped pages would count as resident memory.
    """
    return np.fromfile(path, dtype=dtype, count=count, offset=start * np.dtype(dtype).itemsize)
