"""A `Source` from a file: .h5ad, .zarr or .zarr.zip, written by anndata 0.6 to 0.12."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellucid_dask.errors import CellucidDaskError, InputError, ReadError
from cellucid_dask.source.columns import Column, column_in_store
from cellucid_dask.source.core import Frame, Refused, Source, obsm_in_store, repeats, text
from cellucid_dask.source.matrix import matrix_in_store
from cellucid_dask.source.members import member, names_in
from cellucid_dask.source.memory import source_in_memory
from cellucid_dask.source.store import COPY_AGAIN, DAMAGE, Store, locate
from cellucid_dask.source.utf8 import readable


def source_in_store(path: Any) -> Source:
    """Describe the AnnData at `path`.

    Raises
    ------
    InputError
        When there is none there.
    ReadError
        When the file is damaged.
    """
    store = locate(path)
    try:
        with store.open() as root:
            if not _compound(root):
                return _describe(store, root)
        return _ancient(store)
    except DAMAGE as error:
        what = " ".join(str(error).split())
        raise ReadError(f"cannot be opened ({what})", where=store.path, fix=COPY_AGAIN) from error


def dataset_name(path: str) -> str:
    """Name of the file without what says its kind."""
    name = Path(path).name
    for ending in (".zip", ".zarr", ".h5ad", ".h5"):
        name = name.removesuffix(ending)
    return name or "dataset"


def _describe(store: Store, root: Any) -> Source:
    absent = [name for name in ("obs", "var") if name not in root]
    if absent:
        raise InputError(
            f"is not an AnnData: it has no {' and no '.join(absent)}",
            where=store.path,
            fix="it holds: " + (", ".join(map(readable, names_in(root)[:12])) or "nothing"),
        )
    raw_var = member(store, "", root, "raw/var", _frame) if "raw/var" in root else None
    return Source(
        name=dataset_name(store.path),
        where=store.path,
        path=store.path,
        obs=_table(store, root, "obs"),
        var=_table(store, root, "var"),
        obsm=_members(store, root, "obsm", obsm_in_store),
        matrices=_matrices(store, root),
        raw_var=raw_var,
    )


def _members(store: Store, root: Any, folder: str, make: Callable[..., Any]) -> dict[str, Any]:
    group = root.get(folder, {})
    return {readable(name): member(store, folder, group, name, make) for name in names_in(group)}


def _matrices(store: Store, root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("X", "raw/X"):
        made = member(store, "", root, key, _matrix) if key in root else None
        if made is not None:
            found[key] = made
    for folder in ("layers", "obsp"):
        for name, matrix in _members(store, root, folder, matrix_in_store).items():
            found[f"{folder}/{name}"] = matrix
    for name in ("connectivities", "distances"):  # where graphs were before obsp
        old = f"uns/neighbors/{name}"
        if f"obsp/{name}" not in found and old in root:
            made = member(store, "", root, old, _old_graph)
            if made is not None:
                found[f"obsp/{name}"] = made
    return found


def _matrix(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix; None for one that was left out."""
    null = element.attrs.get("encoding-type", "") == "null"
    return None if null else matrix_in_store(store, key, element)


def _old_graph(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix of ``uns``; None for an array that is none, such as its name."""
    other = hasattr(element, "shape") and len(element.shape) != 2
    return None if other else matrix_in_store(store, key, element)


def _table(store: Store, root: Any, key: str) -> Frame:
    made = member(store, "", root, key, _frame)
    if isinstance(made, CellucidDaskError):
        raise made
    frame: Frame = made
    return frame


def _frame(store: Store, key: str, group: Any) -> Frame:
    if "column-order" not in group.attrs or "_index" not in group.attrs:
        raise InputError(
            "is no table of AnnData (no column-order or _index attribute)",
            where=f"{store.path}, {key}",
            fix="write the file with anndata 0.7 or later",
        )
    names = [text(name) for name in group.attrs["column-order"]]
    columns = {readable(name): _column(store, key, group, name) for name in dict.fromkeys(names)}
    index = member(store, key, group, text(group.attrs["_index"]), column_in_store)
    whole = [c for c in (index, *columns.values()) if not isinstance(c, CellucidDaskError)]
    if not whole:
        raise index
    return Frame(whole[0].length, index, columns, repeats(names))


def _column(store: Store, key: str, group: Any, name: str) -> Column | Refused:
    if readable(name) == name and name not in group:
        what = "is named by column-order, but is not there"
        return InputError(what, where=f"{store.path}, {key}/{name}")
    column: Column | Refused = member(store, key, group, name, column_in_store)
    return column


def _compound(root: Any) -> bool:
    return any(hasattr(root.get(name), "shape") for name in ("obs", "var"))


def _ancient(store: Store) -> Source:
    """Tables as compound datasets, from before anndata 0.7: anndata itself knows them best."""
    import anndata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = anndata.read_h5ad(store.path, backed="r")
    try:
        source = source_in_memory(adata)
    finally:
        adata.file.close()
    return Source(
        name=dataset_name(store.path),
        where=store.path,
        path=store.path,
        obs=source.obs,
        var=source.var,
        obsm=source.obsm,
        matrices=source.matrices,
        raw_var=source.raw_var,
        local=True,
    )
