"""The consolidated metadata that a zarr store lacks: a browser cannot list its folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_VERSION_2: Final = frozenset({".zarray", ".zattrs", ".zgroup"})


def consolidate(folder: Path) -> tuple[str, bytes] | None:
    """Make the consolidated document of a store; None when it has one.

    Returns
    -------
    Its key, ``.zmetadata`` of version 2 or ``zarr.json`` of version 3, and its bytes.

    Raises
    ------
    OSError, ValueError
        When a document cannot be read.
    """
    root = folder / "zarr.json"
    if not root.is_file():
        if (folder / ".zmetadata").is_file():
            return None
        metadata = {key: _read(folder / key) for key in _documents(folder, _VERSION_2)}
        return ".zmetadata", _dump({"zarr_consolidated_format": 1, "metadata": metadata})
    document = _read(root)
    if isinstance(document.get("consolidated_metadata"), dict):
        return None
    keys = (key for key in _documents(folder, frozenset({"zarr.json"})) if "/" in key)
    nodes = {key.removesuffix("/zarr.json"): _read(folder / key) for key in keys}
    inline = {"kind": "inline", "must_understand": False, "metadata": nodes}
    return "zarr.json", _dump({**document, "consolidated_metadata": inline})


def _documents(folder: Path, names: frozenset[str]) -> list[str]:
    """Keys of the documents of a store, sorted; folders of chunks are not looked into."""
    found = []
    for path, folders, files in _walk(folder):
        there = names & set(files)
        if ".zarray" in there or ("zarr.json" in there and _is_array(path / "zarr.json")):
            folders.clear()
        folders.sort()
        found += [(path / name).relative_to(folder).as_posix() for name in there]
    return sorted(found, key=lambda key: (key.count("/"), key))


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:

    return ((Path(path), folders, files) for path, folders, files in os.walk(folder))


def _is_array(path: Path) -> bool:
    return _read(path).get("node_type") == "array"


def _read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is no JSON object")  # noqa: TRY004  damage of a file
    return document


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
