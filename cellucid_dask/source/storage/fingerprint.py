"""What tells one version of a data file from another, found out without reading the data."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

METADATA = (".zarray", "zarr.json", ".zgroup", ".zattrs", ".zmetadata")  # an array's own first
FOLDERS = 20_000  # groups and arrays of one store that are looked at
CHUNK_FOLDERS = 512  # folders of chunks of one array that are looked at

Seen: TypeAlias = tuple[str, int, int]  # relative path, mtime in ns, bytes (0 for a folder)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Version of a file or of a zarr folder.

    Parameters
    ----------
    path
        Absolute, with links resolved.
    size
        Bytes; of a zarr folder those of its metadata files.
    mtime_ns
        Last change, in ns since 1970; of a zarr folder the latest one in it.
    element
        Matrix that is meant, such as ``layers/counts``; None for the whole file.
    digest
        Of a zarr folder: of the times and sizes of all that was looked at.
    """

    path: str
    size: int
    mtime_ns: int
    element: str | None = None
    digest: str = ""

    def key(self) -> str:
        """16 hex digits that no other version of the data has."""
        return short_digest(astuple(self))


def short_digest(value: Any) -> str:
    """16 hex digits of plain data, by its repr."""
    return blake2b(repr(value).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def take_fingerprint(path: str | os.PathLike[str], element: str | None = None) -> Fingerprint:
    """Take the fingerprint of an .h5ad, a .zarr.zip or a zarr folder.

    Of a zarr folder the metadata files and the folders are looked at, never the chunks: one that
    is written by rename, as zarr does, changes the time of its folder. The work is bounded, so
    that it can be done every second: only groups are listed, at most 20,000 groups and arrays are
    looked at, and of the folders in which an array of several axes has its chunks those of the
    first axis, at most 512 at even distances. So a chunk that is overwritten in place, or by
    rename in a folder that was passed over, goes unnoticed if nothing else was written with it.

    Parameters
    ----------
    element
        Looks at this part of a zarr folder alone.

    Raises
    ------
    OSError
        When there is nothing there, or it may not be read.
    """
    real = Path(path).resolve()
    found = real.stat()
    if not stat.S_ISDIR(found.st_mode):
        return Fingerprint(str(real), found.st_size, found.st_mtime_ns, element)
    top = real / element if element else real
    top.stat()
    seen = sorted(_walk(str(top)))
    size = sum(n_bytes for _, _, n_bytes in seen)
    latest = max((mtime for _, mtime, _ in seen), default=0)
    return Fingerprint(str(real), size, latest, element, short_digest(seen))


def _walk(top: str) -> Iterator[Seen]:
    """Look at a group or an array, and at all that is below a group.

    What goes away meanwhile counts as not there: the next look finds its parent changed.
    """
    left = [""]
    for _ in range(FOLDERS):
        if not left:
            break
        name = left.pop()
        metadata = [seen for file in METADATA for seen in _look(top, f"{name}/{file}")]
        yield from _look(top, name)
        yield from metadata
        chunks = _chunk_folders(f"{top}{metadata[0][0]}", *metadata[0][1:]) if metadata else None
        if chunks is None:
            left += [f"{name}/{child}" for child in _folders(f"{top}{name}")]
            continue
        for folder in chunks:
            yield from _look(top, f"{name}/{folder}")


def _look(top: str, name: str) -> Iterator[Seen]:
    try:
        found = os.stat(f"{top}{name}")  # noqa: PTH116  thousands of these every second
    except OSError:
        return
    yield name, found.st_mtime_ns, 0 if stat.S_ISDIR(found.st_mode) else found.st_size


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []


@lru_cache(maxsize=FOLDERS)
def _chunk_folders(path: str, mtime_ns: int, size: int) -> tuple[str, ...] | None:  # noqa: ARG001
    """Folders in which the array that a metadata file describes has its chunks; None of a group."""
    try:
        facts = json.loads(Path(path).read_bytes())
        return _named_folders(facts) if "shape" in facts else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return ()  # half written: it will have another time when it is whole


def _named_folders(facts: dict[str, Any]) -> tuple[str, ...]:
    """Names by the shape and the chunks, since listing them would take long."""
    head, separator = "", facts.get("dimension_separator", ".")
    if facts.get("zarr_format") != 3:
        chunks = facts["chunks"]
    else:
        chunks = facts["chunk_grid"]["configuration"]["chunk_shape"]
        encoding = facts["chunk_key_encoding"]
        default = encoding["name"] == "default"
        separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
        head = "c/" if default and separator == "/" else ""
    folders = [head] if head else []
    if separator == "/" and len(facts["shape"]) > 1:
        n_folders = -(-facts["shape"][0] // chunks[0])
        step = -(-n_folders // CHUNK_FOLDERS) or 1
        folders += [f"{head}{i}" for i in range(0, n_folders, step)]
    return tuple(folders)
