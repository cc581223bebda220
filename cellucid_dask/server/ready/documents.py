"""The metadata documents of a zarr store, each read from its own file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from cellucid_dask.source.storage.store import Store

Documents: TypeAlias = dict[str, dict[str, Any]]

_VERSION_2: Final = (".zarray", ".zattrs", ".zgroup")
_VERSION_3: Final = ("zarr.json",)
_ENCRYPTED: Final = 1  # bit of the flags of a member of an archive


def read_documents(store: Store) -> Documents:
    """Documents of a zarr folder or archive by their keys, those nearer to the root first.

    The consolidated one of version 2 is not among them. Folders of chunks are not listed: they may
    hold millions.

    Raises
    ------
    OSError, ValueError, BadZipFile
        When a document cannot be read, or the store cannot be served as it lies: both versions are
        there, a part of a folder is a link or lost its document, the members of an archive are not
        as a ready file has them.
    """
    found = _read_archive(store) if store.kind == "zip" else _read_folder(Path(store.path))
    return dict(sorted(found, key=lambda item: (item[0].count("/"), item[0])))


def read_document(store: Store, key: str) -> bytes | None:
    """One document of a zarr folder or archive as it lies; None without it.

    Raises
    ------
    OSError, BadZipFile
        When it cannot be read.
    """
    if store.kind != "zip":
        path = Path(store.path, key)
        return path.read_bytes() if path.is_file() else None
    with zipfile.ZipFile(store.path) as archive:
        return archive.read(key) if key in archive.namelist() else None


def _read_folder(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    names = _names_of_version(lambda name: (root / name).exists())
    left = [""]
    while left:
        head, is_array, is_node = left.pop(), False, False
        for name in names:
            path = root / (head + name)
            if path.is_symlink():
                raise ValueError(f"{head}{name} is a link")
            if path.is_file():
                document = parse_document(path.read_bytes())
                is_array = is_array or is_array_document(name, document)
                is_node = is_node or name != ".zattrs"
                yield head + name, document
        if is_array:
            continue
        children = list((root / head).iterdir())
        if children and not is_node:
            raise ValueError(f"{head} has no metadata of zarr")
        for child in children:
            if child.is_dir() and not child.name.startswith("."):
                if child.is_symlink():
                    raise ValueError(f"{head}{child.name} is a link")
                left.append(f"{head}{child.name}/")


def _read_archive(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    if store.folder:
        raise ValueError(f"the store is below {store.folder}, not at the top of the archive")
    with zipfile.ZipFile(store.path) as archive:
        members = archive.infolist()
        listed = {member.filename for member in members}
        names = _names_of_version(listed.__contains__)
        if len(listed) != len(members):
            raise ValueError("the archive holds a key more than once")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
                raise ValueError(f"{member.filename} is deflated or encrypted")
            if member.filename.rpartition("/")[2] in names:
                yield member.filename, parse_document(archive.read(member))


def _names_of_version(is_there: Any) -> tuple[str, ...]:
    """Names of the documents of the one version that a store has."""
    has_2, has_3 = any(map(is_there, (*_VERSION_2, ".zmetadata"))), is_there("zarr.json")
    if has_2 and has_3:
        raise ValueError("the store is of version 2 and of version 3")
    return _VERSION_3 if has_3 else _VERSION_2


def is_array_document(key: str, document: dict[str, Any]) -> bool:
    """Whether a document is that of an array, below which there are only chunks."""
    return key.endswith(".zarray") or document.get("node_type") == "array"


def parse_document(raw: bytes) -> dict[str, Any]:
    """A document as an object.

    Raises
    ------
    ValueError
        When it is none.
    """
    document = json.loads(raw)
    if not isinstance(document, dict):
        raise ValueError("a document is no JSON object")  # noqa: TRY004  damage of a file
    return document
