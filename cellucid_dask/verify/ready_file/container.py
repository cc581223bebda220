"""Which kind of file a path is, and the opening of a ready file."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import h5py

from cellucid_dask.errors import InputError
from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.ready_file.hdf5_file import open_hdf5_tree
from cellucid_dask.verify.ready_file.stored import StoredGroup, StoredTree
from cellucid_dask.verify.ready_file.zarr_keys import list_keys
from cellucid_dask.verify.ready_file.zarr_store import open_zarr_tree

Kind = Literal["zarr", "zarr.zip", "h5ad"]

_MARKS: Final = (".zgroup", ".zmetadata", "zarr.json")
_ZIP: Final = b"PK"
_FIX: Final = "name a folder that export wrote, or a ready .zarr, .zarr.zip or .h5ad"


@dataclass(slots=True)
class ReadyFile:
    """A file that is verified.

    Parameters
    ----------
    sizes
        Bytes of each file of it, by path; the path of a file is its own name.
    tree
        None when it cannot be opened.
    """

    path: Path
    kind: Kind
    sizes: Mapping[str, int] = field(default_factory=dict)
    tree: StoredTree | None = None
    problems: list[str] = field(default_factory=list)


def find_kind(path: Path) -> Kind | None:
    """Return which ready file a path may be; None for a folder of other files, or nothing.

    Raises
    ------
    InputError
        When it is a file of another kind.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        marked = any((path / name).is_file() for name in _MARKS)
        return "zarr" if marked or path.name.endswith(".zarr") else None
    if not stat.S_ISREG(mode):
        return None
    if path.name.endswith(".h5ad") or _is_hdf5(path):
        return "h5ad"
    if path.name.endswith(".zip") or _is_zip(path):
        return "zarr.zip"
    what = "is neither the folder of an export nor a ready file"
    raise InputError(what, where=str(path), fix=_FIX)


def _is_hdf5(path: Path) -> bool:
    try:
        return bool(h5py.is_hdf5(path))
    except (OSError, ValueError):
        return False


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == _ZIP
    except OSError:
        return False


@contextmanager
def open_ready_file(path: Path, kind: Kind, *, is_listed: bool) -> Iterator[ReadyFile]:
    """Open a ready file; one that cannot be opened has no tree, but a problem.

    Parameters
    ----------
    is_listed
        Whether checksums lie beside it, as of an export alone.

    Raises
    ------
    InputError
        When it is an AnnData, but not a ready file.
    """
    file = ReadyFile(path, kind)
    if kind != "zarr":
        file.sizes = {path.name: path.stat().st_size}
    with ExitStack() as stack:
        try:
            file.tree = stack.enter_context(_open_tree(file))
        except DamagedError as damage:
            file.problems.append(str(damage))
        else:
            file.problems += file.tree.problems
            if not is_listed:
                _refuse_others(path, file.tree)
        yield file


def _open_tree(file: ReadyFile) -> AbstractContextManager[StoredTree]:
    if file.kind == "h5ad":
        return open_hdf5_tree(file.path)
    keys = list_keys(file.path)
    if file.kind == "zarr":
        file.sizes = keys.sizes
    return open_zarr_tree(file.path, keys)


def _refuse_others(path: Path, tree: StoredTree) -> None:
    """Refuse an AnnData that is no ready file, and a MuData.

    Raises
    ------
    InputError
        When the file is one of them.
    """
    root = tree.nodes.get("")
    kind = root.attributes.get("encoding-type") if isinstance(root, StoredGroup) else None
    if kind == "MuData":
        what = "is a MuData: verify reads ready files of one modality"
        raise InputError(what, where=str(path), fix="export a modality with --modality")
    if tree.nodes and "uns/cellucid" not in tree.nodes and "uns/cellucid/schema" not in tree.nodes:
        what = "is not a ready file: it has no uns['cellucid']"
        fix = "export writes one with --format zarr, zarr.zip or h5ad; " + _FIX
        raise InputError(what, where=str(path), fix=fix)
