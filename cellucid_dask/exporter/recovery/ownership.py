"""Whether a ready file is one: only those are deleted when others replace them."""

from __future__ import annotations

import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from cellucid_dask import format as fmt
from cellucid_dask.files import walk_files
from cellucid_dask.ready.facts import FORMATS, ZARR_NAMES

RECORD: Final = "uns/cellucid"  # what makes an AnnData a ready file
GROUPS: Final = (f"{RECORD}/.zgroup", f"{RECORD}/zarr.json")
CHUNK: Final = re.compile(r"[0-9]+(\.[0-9]+)*|c")  # last part of the key of a chunk


def is_ready(path: Path, name: str) -> bool:
    """Whether `path` is a ready file of the format `name` and holds nothing else."""
    if path.is_symlink() or path.is_dir() != (name == "zarr"):
        return False
    with suppress(OSError, zipfile.BadZipFile, ValueError):
        return {"zarr": _is_store, "zarr.zip": _is_zip, "h5ad": _is_h5ad}[name](path)
    return False


def is_output(path: Path) -> bool:
    """Whether `path` is an export folder or a ready file of any format."""
    if path.is_symlink():
        return False
    return (path / fmt.IDENTITY).is_file() or any(is_ready(path, name) for name in FORMATS)


def is_checksums(path: Path) -> bool:
    """Whether `path` is a file of checksums as runs write them."""
    try:
        with path.open("rb") as file:
            return not path.is_symlink() and b'"checksums_v1"' in file.read(64)
    except OSError:
        return False


def _is_store(path: Path) -> bool:
    if not any((path / group).is_file() for group in GROUPS):
        return False
    return all(
        not entry.is_symlink() and (entry.name in ZARR_NAMES or CHUNK.fullmatch(entry.name))
        for _, entry in walk_files(path)
    )


def _is_zip(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(group in archive.NameToInfo for group in GROUPS)


def _is_h5ad(path: Path) -> bool:
    import h5py

    with h5py.File(path, "r") as file:
        return RECORD in file
