"""Files of an export: written beside and renamed, each answered with a receipt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
) -> Receipt:
    """Write one file of the export in `folder`: beside its place, then rename into it."""
    size = crc = 0

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal size, crc
        for part in parts:
            size += len(part)
            crc = zlib_ng.crc32(part, crc)
            yield part

    write_beside(f"{folder}/{resource.path}", counted())
    return Receipt(resource.path, size, crc, span)


def write_beside(path: str | Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write `path` under another name and rename it, so that it is never seen half written."""
    # Plain strings and no buffer: an export has a file per gene, most of them small.
    beside = f"{path}.{os.getpid()}.part"
    with open(beside, "wb", buffering=0) as file:  # noqa: PTH123
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[file.write(rest) :]
    os.replace(beside, path)  # noqa: PTH105


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
