"""What the consolidated metadata of a zarr store lists, and the store itself lacks.

A copy that ended early lacks whole arrays, not only chunks of them. Nothing else tells that such
an array ever was there: without it there are no genes, no graph, or another latent space.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from cellucid_dask.errors import Problem, refuse_fault
from cellucid_dask.source.chunks.missing import Findings
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.store import Store

WHAT: Final = "is not there, but the consolidated metadata lists it"
REMOVED: Final = "copy it again; if it was removed on purpose, use --accept-missing-chunks"

_UNREADABLE: Final[tuple[type[Exception], ...]] = (*DAMAGE, AttributeError)


def add_lost_elements(
    found: Findings, store: Store, is_wanted: Callable[[str], bool], *, accept: bool
) -> None:
    """Add the arrays that a store lost whole to what is missing of it.

    Parameters
    ----------
    is_wanted
        Whether an array is read, by its key.
    accept
        Whether the user takes the store for whole.
    """
    if store.kind == "hdf5":
        return
    try:
        with _open_files(store) as files:
            lost = _find_lost(_read_listing(files), files, is_wanted)
    except _UNREADABLE as error:  # as a listing is that zarr does not read either
        refuse_fault(error, store.path)
        return
    for key in lost:
        where = f"{store.path}, {key}"
        if accept:
            found.warnings.append(f"{where}: {WHAT}")
        else:
            found.problems.append(Problem(WHAT, where, REMOVED))


class _Files(Protocol):
    """The files of a store, by their keys."""

    def read(self, key: str) -> bytes | None:
        """Content of a file; None when there is none."""

    def has(self, key: str) -> bool:
        """Whether there is a file or a folder of that name."""


class _FolderFiles:
    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def read(self, key: str) -> bytes | None:
        path = self._root / key
        return path.read_bytes() if path.is_file() else None

    def has(self, key: str) -> bool:
        return os.path.lexists(self._root / key)


class _ZipFiles:
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive, self._head = archive, f"{folder}/" if folder else ""
        self._names = set(archive.namelist())
        self._folders = {
            name[:i] for name in self._names for i, letter in enumerate(name) if letter == "/"
        }

    def read(self, key: str) -> bytes | None:
        name = self._head + key
        return self._archive.read(name) if name in self._names else None

    def has(self, key: str) -> bool:
        return self._head + key in self._names or self._head + key in self._folders


@contextmanager
def _open_files(store: Store) -> Iterator[_Files]:
    if store.kind == "zip":
        with zipfile.ZipFile(store.path) as archive:
            yield _ZipFiles(archive, store.folder)
    else:
        yield _FolderFiles(store.path)


def listed_documents(consolidated: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the documents that a ``.zmetadata`` or the ``zarr.json`` of a root lists, by key."""
    if "zarr_format" not in consolidated:
        listed: dict[str, dict[str, Any]] = consolidated["metadata"]
        return listed
    inline = consolidated.get("consolidated_metadata") or {}
    return {f"{key}/zarr.json": document for key, document in inline.get("metadata", {}).items()}


def _read_listing(files: _Files) -> dict[str, dict[str, Any]]:
    """Read what the consolidated metadata list; empty where there are none."""
    found = (files.read(name) for name in (".zmetadata", "zarr.json"))
    raw = next((content for content in found if content is not None), None)
    return {} if raw is None else listed_documents(json.loads(raw))


def _find_lost(
    listed: dict[str, dict[str, Any]], files: _Files, is_wanted: Callable[[str], bool]
) -> list[str]:
    """Keys of the outermost elements that are not there, of the arrays that are wanted."""
    lost = dict[str, None]()
    for key, document in listed.items():
        path, _, name = key.rpartition("/")
        is_array = name == ".zarray" or document.get("node_type") == "array"
        if is_array and is_wanted(path) and not files.has(path):
            lost[_outermost(path, files)] = None
    return list(lost)


def _outermost(path: str, files: _Files) -> str:
    parts = path.split("/")
    heads = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return next((head for head in heads if not files.has(head)), path)
