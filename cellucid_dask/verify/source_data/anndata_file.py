"""The AnnData an export was made of, its elements read when they are asked for."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import anndata
import h5py
import hdf5plugin  # noqa: F401  its filters are then known to h5py

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.verify.source_data.attributes import text
from cellucid_dask.verify.source_data.foreign import foreign_sparse
from cellucid_dask.verify.source_data.mudata import (
    Either,
    is_mudata,
    named_modality,
    rows_of,
    taken,
    with_whole,
)
from cellucid_dask.verify.source_data.tables import NO_FAULT, Table
from cellucid_dask.versions import layer_names, refuse_cut_blosc

UNREADABLE: Final = (
    *(OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, EOFError),
    *(MemoryError, SystemError, zipfile.BadZipFile),  # of absurd sizes in damaged headers
)


@dataclass(frozen=True, slots=True)
class Data:
    """What there is of an AnnData.

    Parameters
    ----------
    where
        Its path.
    obsm, obsp
        Arrays by key; read whole, each time they are asked for.
    matrices
        ``X``, ``layers/NAME`` and ``raw/X``, those there are; left on disk.
    raw_var
        var that goes with ``raw/X``.
    root
        Open group of all; None of a file that anndata reads as a whole.
    """

    where: str
    obs: Table
    var: Table
    obsm: Mapping[str, Any]
    obsp: Mapping[str, Any]
    matrices: Mapping[str, Any]
    raw_var: Table | None
    root: Any = None


class _Elements(Mapping[str, Any]):
    """Elements by key, each read by a function of the key."""

    def __init__(self, where: str, names: list[str], read: Callable[[str], Any]) -> None:
        self._where, self._names, self._read = where, names, read

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        try:
            return self._read(key)
        except UNREADABLE as error:
            what = f"{key!r} cannot be read ({_short(error)})"
            raise ReadError(what, where=self._where, fix=NO_FAULT) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], modality: str | None = None) -> Iterator[Data]:
    """Open the ``.h5ad``, ``.zarr`` or ``.zarr.zip`` at `path`, or a modality of a MuData.

    Raises
    ------
    InputError
        When there is none.
    ReadError
        When it is no AnnData.
    """
    where = Path(path)
    try:
        mode = where.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError("does not exist", where=str(where)) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError("is not a regular file", where=str(where))
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of names and old encodings, which are no matter here
        try:
            root = _root(where, stack)
            if is_mudata(root):
                data = _modality(where, root, modality, stack)
            elif modality is None:
                data = _data(where, root, stack)
            else:
                raise InputError("is for a MuData, which the data is not", where="--modality")
        except UNREADABLE as error:
            what = f"is no AnnData that can be read ({_short(error)})"
            raise ReadError(what, where=str(where), fix=NO_FAULT) from error
        yield data


def _root(path: Path, stack: ExitStack) -> Any:
    """Open the root group, by what the file is and not by its name."""
    if path.is_file() and not zipfile.is_zipfile(path):
        try:
            return stack.enter_context(h5py.File(path, locking=False))
        except OSError:  # a file system may refuse locks; a file that is open decides on them
            return stack.enter_context(h5py.File(path))
    import zarr

    refuse_cut_blosc()
    if path.is_dir():
        return zarr.open_group(path, mode="r", use_consolidated=False)
    archive = zarr.storage.ZipStore(path, mode="r", read_only=True)
    store, folder = stack.enter_context(contextlib.closing(archive)), _folder(path)
    return zarr.open_group(store, path=folder, mode="r", use_consolidated=False)


def _folder(path: Path) -> str:
    """Folder of a zip archive in which the zarr group is; empty for its root."""
    with zipfile.ZipFile(path) as archive:
        marked = [n for n in archive.namelist() if n.endswith((".zgroup", "zarr.json"))]
    return min((n.rpartition("/")[0] for n in marked), key=lambda n: (len(n), n), default="")


def _data(path: Path, root: Any, stack: ExitStack) -> Data:
    if text(root, "encoding-type") != "anndata":
        return _of_old(path, root, stack)
    where = str(path)
    names = [f"layers/{name}" for name in root.get("layers", ())]
    names += [name for name in ("X", "raw/X") if _there(root, name)]
    obsm, obsp = list(root.get("obsm", ())), list(root.get("obsp", ()))
    return Data(
        where=where,
        obs=Table.stored(f"{where}, obs", root["obs"]),
        var=Table.stored(f"{where}, var", root["var"]),
        obsm=_Elements(where, obsm, lambda key: _whole(root["obsm"][key])),
        obsp=_Elements(where, obsp, lambda key: _whole(root["obsp"][key])),
        matrices=_Elements(where, names, lambda key: _matrix(root[key])),
        raw_var=_raw_var(where, root),
        root=root,
    )


def _there(root: Any, name: str) -> bool:
    """Whether there is an element; below a link to nothing there is none."""
    try:
        return name in root
    except UNREADABLE:
        return False


def _modality(path: Path, root: Any, name: str | None, stack: ExitStack) -> Data:
    """One modality, with what the whole says of its cells where it has nothing itself."""
    own = _data(path, named_modality(str(path), root, name), stack)
    obs = Table.stored(f"{path}, obs", root["obs"])
    rows = rows_of(root, str(name), obs, own.obs)
    if rows is None:
        return own
    same = len(rows) == len(obs) and bool((rows == range(len(rows))).all())
    keys = [key for key in root.get("obsm", ()) if key not in root["mod"]]
    graphs = list(root.get("obsp", ())) if same else []
    obsm = _Elements(str(path), keys, lambda key: _whole(root["obsm"][key]))
    obsp = _Elements(str(path), graphs, lambda key: _whole(root["obsp"][key]))
    return replace(
        own,
        obs=with_whole(own.obs, obs, rows),
        obsm=Either(own.obsm, obsm, partial(taken, rows=rows)),
        obsp=Either(own.obsp, obsp, lambda graph: graph),
    )


def _raw_var(where: str, root: Any) -> Table | None:
    """Table of the genes of raw; None where there is none that can be read."""
    try:
        return Table.stored(f"{where}, raw/var", root["raw/var"])
    except Exception:  # noqa: BLE001  anndata raises what it does not export
        return None


def _whole(element: Any) -> Any:
    """Element of obsm or obsp, in memory."""
    foreign = foreign_sparse(element)
    return anndata.io.read_elem(element) if foreign is None else foreign.whole()


def _matrix(element: Any) -> Any:
    """Dense or sparse matrix on disk; None for one that is left out."""
    encoding = text(element, "encoding-type")
    if encoding in ("csr_matrix", "csc_matrix"):
        return foreign_sparse(element) or anndata.io.sparse_dataset(element)
    return None if encoding == "null" else element


def _of_old(path: Path, root: Any, stack: ExitStack) -> Data:
    """AnnData of a release before 0.8, which anndata reads; but for X into memory."""
    if isinstance(root, h5py.File):
        root.close()  # HDF5 wants one way of locking per file
        adata = anndata.read_h5ad(path, backed="r")
        stack.callback(adata.file.close)
    else:
        adata = anndata.read_zarr(root)
    matrices = {
        "X": adata.X,
        **{f"layers/{name}": adata.layers[name] for name in layer_names(adata)},
    }
    if adata.raw is not None:
        matrices["raw/X"] = adata.raw.X
    where = str(path)
    raw_var = None if adata.raw is None else Table.of(f"{where}, raw/var", adata.raw.var)
    obs, var = Table.of(f"{where}, obs", adata.obs), Table.of(f"{where}, var", adata.var)
    return Data(where, obs, var, adata.obsm, adata.obsp, matrices, raw_var)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
