"""The keys of a zarr store, in a folder or in an archive, and how they are kept there."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cellucid_dask.verify.ready_file.stored import errors_as_damage

DOCUMENTS: Final = frozenset({".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"})
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644


@dataclass(slots=True)
class StoreKeys:
    """The keys of a store.

    Parameters
    ----------
    path
        The folder or the archive.
    sizes
        Bytes by key, in the order of the archive.
    problems
        What no store has: links, empty folders, deflated entries.
    """

    path: Path
    sizes: Mapping[str, int]
    problems: list[str] = field(default_factory=list)

    def read(self, key: str) -> bytes:
        """Read what is at a key.

        Raises
        ------
        DamagedError
            When it cannot be read.
        """
        with errors_as_damage(key):
            if self.path.is_dir():
                return (self.path / key).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(key)
        raise AssertionError


def list_keys(path: Path) -> StoreKeys:
    """List the keys of a store.

    Raises
    ------
    DamagedError
        When an archive has no directory.
    """
    if path.is_dir():
        problems: list[str] = []
        return StoreKeys(path, dict(sorted(_walk(path, problems))), problems)
    with errors_as_damage(path.name), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    keys = StoreKeys(path, {entry.filename: entry.file_size for entry in entries})
    keys.problems += _check_entries(entries)
    return keys


def _walk(root: Path, problems: list[str]) -> Iterator[tuple[str, int]]:
    """Yield key and size of every regular file."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            with os.scandir(root / prefix) as listing:
                entries = list(listing)
        except OSError as error:
            problems.append(f"{prefix or '.'}: cannot be listed ({error.strerror})")
            continue
        if prefix and not entries:
            problems.append(f"{prefix}: is an empty folder")
        for entry in entries:
            key = f"{prefix}/{entry.name}".lstrip("/")
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                folders.append(key)
            elif stat.S_ISREG(status.st_mode):
                yield key, status.st_size
            else:
                problems.append(f"{key}: is not a regular file")


def _check_entries(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Check that entries are stored as a viewer reads them: in place, chunks before metadata."""
    seen: set[str] = set()
    last_chunk, first_document, roots = -1, len(entries), []
    for i, entry in enumerate(entries):
        key = entry.filename
        if key in seen:
            yield f"{key}: is twice in the archive"
        seen.add(key)
        if entry.compress_type != zipfile.ZIP_STORED:
            yield f"{key}: is compressed in the archive, so that no range of it can be read"
        if entry.date_time != _TIME or (entry.external_attr >> 16) & 0o7777 != _MODE:
            yield f"{key}: has not the time 1980-01-01 and the mode 0644"
        if key.rpartition("/")[2] not in DOCUMENTS:
            last_chunk = i
        else:
            first_document = min(first_document, i)
            roots += [i] if "/" not in key else []
    if first_document < last_chunk:
        yield f"{entries[first_document].filename}: lies before chunks in the archive"
    if roots and len(entries) - min(roots) != len(roots):
        yield f"{entries[min(roots)].filename}: is not at the end of the archive"
