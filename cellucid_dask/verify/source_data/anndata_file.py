"""The AnnData that an export was made from; an element is read when it is requested."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import anndata
import h5py

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.hdf5_filters import refuse_missing_filters
from cellucid_dask.verify.source_data.attributes import text_attribute
from cellucid_dask.verify.source_data.foreign import open_foreign_sparse
from cellucid_dask.verify.source_data.mudata import (
    MergedElements,
    add_global_columns,
    find_modality_rows,
    is_mudata,
    open_modality_group,
    take_rows,
)
from cellucid_dask.verify.source_data.sparse_parts import SPARSE, check_indices, check_pointers
from cellucid_dask.verify.source_data.tables import FIX_UNREADABLE, Table
from cellucid_dask.versions import layer_names, refuse_cut_blosc

UNREADABLE: Final = (
    *(OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, EOFError),
    *(MemoryError, SystemError, zipfile.BadZipFile, zlib.error),  # absurd sizes, cut chunks
)
_COLORS: Final = "_colors"  # ending of the names of lists of colors in uns


@dataclass(frozen=True, slots=True)
class SourceData:
    """The elements of an AnnData.

    Parameters
    ----------
    where
        Path of the file or folder.
    obsm, obsp
        Arrays by key; each access reads the whole array.
    matrices
        ``X``, ``layers/NAME`` and ``raw/X``, where they exist; they stay on disk.
    raw_var
        var of ``raw/X``.
    colors
        What uns says of the colors of an obs column; each access reads it.
    root
        Open root group; None for a file that anndata reads as a whole.
    """

    where: str
    obs: Table
    var: Table
    obsm: Mapping[str, Any]
    obsp: Mapping[str, Any]
    matrices: Mapping[str, Any]
    raw_var: Table | None
    colors: Mapping[str, Any]
    root: Any = None


class _LazyElements(Mapping[str, Any]):
    """Elements by key; each access reads one."""

    def __init__(self, where: str, names: list[str], read: Callable[[str], Any]) -> None:
        self._where, self._names, self._read = where, names, read

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        try:
            return self._read(key)
        except UNREADABLE as error:
            what = f"{key!r} cannot be read ({_one_line(error)})"
            raise ReadError(what, where=self._where, fix=FIX_UNREADABLE) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _ColorsOfModality(Mapping[str, Any]):
    """Colors by obs column: a modality has those of its own columns, the MuData the others."""

    def __init__(self, own: Mapping[str, Any], others: Mapping[str, Any], obs: Table) -> None:
        self._own, self._others, self._obs = own, others, obs

    def __getitem__(self, key: str) -> Any:
        return (self._own if key in self._obs else self._others)[key]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *self._others])

    def __len__(self) -> int:
        return len(self._own) + len(self._others)


@contextlib.contextmanager
def open_source_data(
    path: str | os.PathLike[str], modality: str | None = None
) -> Iterator[SourceData]:
    """Open the ``.h5ad``, ``.zarr`` or ``.zarr.zip`` at `path`, or a modality of a MuData.

    Raises
    ------
    InputError
        When there is no such file.
    ReadError
        When it is not an AnnData.
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
        warnings.simplefilter("ignore")  # names and old encodings do not matter here
        try:
            root = _open_root(where, stack)
            refuse_missing_filters(root, str(where))
            if is_mudata(root):
                data = _open_modality(where, root, modality, stack)
            elif modality is None:
                data = _open_elements(where, root, stack)
            else:
                raise InputError("needs a MuData, but the data is an AnnData", where="--modality")
        except UNREADABLE as error:
            what = f"cannot be read as an AnnData ({_one_line(error)})"
            raise ReadError(what, where=str(where), fix=FIX_UNREADABLE) from error
        yield data


def _open_root(path: Path, stack: ExitStack) -> Any:
    """Open the root group; the content decides on the kind of file, not the name."""
    if path.is_file() and not zipfile.is_zipfile(path):
        try:
            return stack.enter_context(h5py.File(path, locking=False))
        except OSError:  # an open file keeps its mode of locking
            return stack.enter_context(h5py.File(path))
    import zarr

    refuse_cut_blosc()
    if path.is_dir():
        return zarr.open_group(path, mode="r", use_consolidated=False)
    archive = zarr.storage.ZipStore(path, mode="r", read_only=True)
    store, folder = stack.enter_context(contextlib.closing(archive)), _find_group_in_zip(path)
    return zarr.open_group(store, path=folder, mode="r", use_consolidated=False)


def _find_group_in_zip(path: Path) -> str:
    """Return the folder of the zarr group in a zip archive; empty for its root."""
    with zipfile.ZipFile(path) as archive:
        marked = [n for n in archive.namelist() if n.endswith((".zgroup", "zarr.json"))]
    return min((n.rpartition("/")[0] for n in marked), key=lambda n: (len(n), n), default="")


def _open_elements(path: Path, root: Any, stack: ExitStack) -> SourceData:
    if text_attribute(root, "encoding-type") != "anndata":
        return _read_old_release(path, root, stack)
    where = str(path)
    names = [f"layers/{name}" for name in root.get("layers", ())]
    names += [name for name in ("X", "raw/X") if _has_element(root, name)]
    obsm, obsp = list(root.get("obsm", ())), list(root.get("obsp", ()))
    return SourceData(
        where=where,
        obs=Table.from_group(f"{where}, obs", root["obs"]),
        var=Table.from_group(f"{where}, var", root["var"]),
        obsm=_LazyElements(where, obsm, lambda key: _read_element(root["obsm"][key])),
        obsp=_LazyElements(where, obsp, lambda key: _read_element(root["obsp"][key])),
        matrices=_LazyElements(where, names, lambda key: _open_matrix(root[key])),
        raw_var=_open_raw_var(where, root),
        colors=_open_colors(where, root),
        root=root,
    )


def _has_element(root: Any, name: str) -> bool:
    """Whether an element exists; below a broken link none does."""
    try:
        return name in root
    except UNREADABLE:
        return False


def _open_modality(path: Path, root: Any, name: str | None, stack: ExitStack) -> SourceData:
    """Open one modality; obs, obsm and obsp of the MuData fill what it does not have itself."""
    own = _open_elements(path, open_modality_group(str(path), root, name), stack)
    obs = Table.from_group(f"{path}, obs", root["obs"])
    rows = find_modality_rows(root, str(name), obs, own.obs)
    if rows is None:
        return own
    same_cells = len(rows) == len(obs) and bool((rows == range(len(rows))).all())
    keys = [key for key in root.get("obsm", ()) if key not in root["mod"]]
    graphs = list(root.get("obsp", ())) if same_cells else []
    obsm = _LazyElements(str(path), keys, lambda key: _read_element(root["obsm"][key]))
    obsp = _LazyElements(str(path), graphs, lambda key: _read_element(root["obsp"][key]))
    return replace(
        own,
        obs=add_global_columns(own.obs, obs, rows),
        obsm=MergedElements(own.obsm, obsm, partial(take_rows, rows=rows)),
        obsp=MergedElements(own.obsp, obsp, lambda graph: graph),
        colors=_ColorsOfModality(own.colors, _open_colors(str(path), root), own.obs),
    )


def _open_raw_var(where: str, root: Any) -> Table | None:
    """Open the table of the genes of raw; None when it is missing or cannot be read."""
    try:
        return Table.from_group(f"{where}, raw/var", root["raw/var"])
    except Exception:  # noqa: BLE001  anndata raises exceptions that it does not export
        return None


def _open_colors(where: str, root: Any) -> _LazyElements:
    """Open the lists of colors in uns, by obs column."""
    try:
        uns = root["uns"]
        names = [name.removesuffix(_COLORS) for name in uns if name.endswith(_COLORS)]
    except UNREADABLE:  # of which nothing else is read
        return _LazyElements(where, [], str)
    return _LazyElements(where, names, lambda key: anndata.io.read_elem(uns[key + _COLORS]))


def _read_element(element: Any) -> Any:
    """Read an element of obsm or obsp into memory."""
    check_pointers(element)
    foreign = open_foreign_sparse(element)
    read = anndata.io.read_elem(element) if foreign is None else foreign.read_all()
    return check_indices(read) if getattr(read, "format", "") in ("csr", "csc") else read


def _open_matrix(element: Any) -> Any:
    """Open a dense or sparse matrix on disk; None for an empty one."""
    encoding = text_attribute(element, "encoding-type")
    if encoding in SPARSE:
        check_pointers(element)
        return open_foreign_sparse(element) or anndata.io.sparse_dataset(element)
    return None if encoding == "null" else element


def _read_old_release(path: Path, root: Any, stack: ExitStack) -> SourceData:
    """Read the AnnData of a release before 0.8 with anndata: all but X into memory."""
    if isinstance(root, h5py.File):
        root.close()  # HDF5 allows one way of locking per file
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
    raw_var = None if adata.raw is None else Table.from_frame(f"{where}, raw/var", adata.raw.var)
    obs, var = (
        Table.from_frame(f"{where}, obs", adata.obs),
        Table.from_frame(f"{where}, var", adata.var),
    )
    colors = {k.removesuffix(_COLORS): v for k, v in adata.uns.items() if k.endswith(_COLORS)}
    return SourceData(where, obs, var, adata.obsm, adata.obsp, matrices, raw_var, colors)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
