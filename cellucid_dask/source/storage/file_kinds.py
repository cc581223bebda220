"""What a file or folder is, by its bytes more than by its name."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Final

from cellucid_dask.errors import InputError

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"  # of HDF5
EXPECTED: Final = "give an AnnData file: .h5ad, a .zarr folder or a .zarr.zip"
MARKS: Final = (".zgroup", "zarr.json", ".zmetadata")  # of a zarr group
_ENDINGS: Final = (".h5ad", ".h5mu", ".zarr", ".zip")
_USER_BLOCK: Final = 512  # bytes of the smallest one, which come before the signature
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+[^/]")
_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
)
_R: Final = (".rds", ".rda", ".rdata", ".qs")


def missing_path_error(where: str, full: Path) -> InputError:
    """Say that there is nothing at a path, and what was meant by it."""
    url = _URL.match(where)
    if url is None:
        near = _near(full.parent)
        return InputError(
            "there is no such file or folder", where=where, fix=near or "check the path"
        )
    if url[1].lower() == "file":
        return InputError("is a URL", where=where, fix="give the path alone, without file://")
    fix = "download it first, and give the path of the copy"
    return InputError("is a URL, and data are read from files only", where=where, fix=fix)


def not_a_store_error(where: str, folder: Path) -> InputError:
    """Say that a folder is no zarr group, and what it holds."""
    if any(folder.glob("matrix.mtx*")):
        fix = "read it with scanpy.read_10x_mtx, and write it with write_h5ad"
        return InputError("is a folder of 10x, not an AnnData", where=where, fix=fix)
    what = "is a folder, but not a zarr group"
    return InputError(what, where=where, fix=_near(folder) or EXPECTED)


def _near(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*") if path.suffix in _ENDINGS)
    return "in that folder: " + ", ".join(names[:8]) if names else ""


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, also one that begins with a user block.

    A user block is 512 bytes or a power of 2 above that; ``.h5mu`` files always have one.
    """
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            offset = max(_USER_BLOCK, 2 * offset)
    return False


def unknown_file_error(where: str, path: Path) -> InputError:
    """Say what a file is that is neither HDF5 nor a zip archive."""
    with path.open("rb") as file:
        head = file.read(8)
    if path.suffix.lower() in _R:
        fix = "write it as .h5ad, for example with anndataR or sceasy"
        return InputError("is an object of R, not an AnnData", where=where, fix=fix)
    for signature, name, tool in _COMPRESSED:
        if head.startswith(signature):
            tar = ".tar" in path.suffixes or path.suffix in (".tgz", ".tbz", ".txz")
            fix = f"{'tar -xf' if tar else tool} it first, and give the file that it makes"
            return InputError(f"is compressed with {name}", where=where, fix=fix)
    return InputError("is neither HDF5 nor zarr", where=where, fix=EXPECTED)


def folder_in_archive(where: str, path: Path) -> str:
    """Folder of a zip archive whose zarr group is nearest to the root; empty for the root itself.

    Raises
    ------
    InputError
        When there is none, or several are as near.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""  # zarr itself says what is wrong with it
    parents = {parent for parent, _, name in (n.rpartition("/") for n in names) if name in MARKS}
    if "" in parents:
        return ""
    depth = min((parent.count("/") for parent in parents), default=0)
    nearest = sorted(parent for parent in parents if parent.count("/") == depth)
    if len(nearest) == 1:
        return nearest[0]
    if nearest:
        fix = f"unzip it, and give one of them: {', '.join(nearest[:8])}"
        return _refuse("holds several zarr groups", where, fix)
    files = sorted(name for name in names if name.endswith((".h5ad", ".h5mu", ".h5")))
    if files:
        return _refuse(f"is an archive of {files[0]}", where, f"unzip it, and give {files[0]}")
    return _refuse("is an archive without a zarr group", where, EXPECTED)


def _refuse(what: str, where: str, fix: str) -> str:
    raise InputError(what, where=where, fix=fix)
