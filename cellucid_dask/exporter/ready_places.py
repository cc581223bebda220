"""What may lie where a ready file is written: nothing, or with --force one of the same kind."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cellucid_dask.errors import Problem
from cellucid_dask.exporter.recovery.outputs import checksums_path
from cellucid_dask.ready.facts import CHECKSUMS
from cellucid_dask.source.storage.file_kinds import MARKS, is_hdf5

_HEAD: Final = 64  # bytes of a file of checksums that say what it is
_OTHER: Final = "remove it yourself if it should go, or choose another --out"
_REPLACE: Final = "choose another --out, or replace it with --force"


def ready_place_problems(kind: str, out: Path, where: str, *, force: bool) -> Iterator[Problem]:
    """Find what is in the way of a ready file and of its checksums.

    Parameters
    ----------
    kind
        Its format.
    where
        The path in the user's words.

    Raises
    ------
    OSError
        When what is there cannot be read.
    """
    fault = _store_fault(out) if kind == "zarr" else _file_fault(kind, out)
    if fault:
        yield Problem(fault, where, _OTHER)
    elif out.exists() and not force and not _is_empty_folder(out):
        yield Problem("exists", where, _REPLACE)
    beside = checksums_path(kind, out)
    if fault := _checksums_fault(beside):
        yield Problem(fault, where + CHECKSUMS, _OTHER)
    elif beside.exists() and not force and not out.exists():
        yield Problem("exists", where + CHECKSUMS, _REPLACE)


def _store_fault(out: Path) -> str:
    """Why what is there cannot be replaced by a zarr folder; empty if it can, or nothing is."""
    if out.exists() and not out.is_dir():
        return "is a file, and zarr is a folder"
    if out.is_dir() and any(out.iterdir()) and not any((out / mark).is_file() for mark in MARKS):
        return "is a folder that is no zarr store"
    return ""


def _file_fault(kind: str, out: Path) -> str:
    """Why what is there cannot be replaced by a file; empty if it can, or nothing is."""
    if out.is_dir():
        return f"is a folder, and {kind} is a file"
    if out.exists() and not out.is_file():
        return "is no regular file"
    if not out.exists() or not out.stat().st_size:
        return ""
    if kind == "h5ad":
        return "" if is_hdf5(out) else "is a file of another kind than HDF5"
    return "" if _is_zipped_store(out) else "is a file of another kind than a zip of a zarr store"


def _is_zipped_store(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] in MARKS for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _checksums_fault(path: Path) -> str:
    """Why what is there cannot be replaced by checksums; empty if it can, or nothing is."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "is no regular file, and the checksums need this name"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    ours = not head or (b'"_format"' in head and b"checksums" in head)
    return "" if ours else "is a file of another kind than the checksums that need this name"


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
