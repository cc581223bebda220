"""A `Source` from a file: .h5ad, .zarr or .zarr.zip, written by anndata 0.6 to 0.12."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.columns import Column, column_in_store
from cellucid_dask.source.core import (
    Frame,
    Source,
    attempt,
    obsm_in_store,
    repeats,
    text,
)
from cellucid_dask.source.matrix import matrix_in_store
from cellucid_dask.source.memory import source_in_memory
from cellucid_dask.source.store import COPY_AGAIN, DAMAGE, Store, locate


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
            fix="it holds: " + (", ".join(sorted(root)[:12]) or "nothing"),
        )
    raw = root.get("raw")
    return Source(
        name=dataset_name(store.path),
        where=store.path,
        path=store.path,
        obs=_frame(store, "obs", root["obs"]),
        var=_frame(store, "var", root["var"]),
        obsm=_members(store, root, "obsm", obsm_in_store),
        matrices=_matrices(store, root),
        raw_var=None if raw is None or "var" not in raw else _frame(store, "raw/var", raw["var"]),
    )


def _members(store: Store, root: Any, folder: str, make: Callable[..., Any]) -> dict[str, Any]:
    found = root.get(folder, {})
    return {name: attempt(make, store, f"{folder}/{name}", found[name]) for name in found}


def _matrices(store: Store, root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("X", "raw/X"):
        if key in root and not _null(root[key]):
            found[key] = attempt(matrix_in_store, store, key, root[key])
    for folder in ("layers", "obsp"):
        for name, matrix in _members(store, root, folder, matrix_in_store).items():
            found[f"{folder}/{name}"] = matrix
    old = "uns/neighbors"
    for name in ("connectivities", "distances"):  # where graphs were before obsp
        if f"obsp/{name}" not in found and f"{old}/{name}" in root:
            element = root[f"{old}/{name}"]
            if not hasattr(element, "shape") or len(element.shape) == 2:
                made = attempt(matrix_in_store, store, f"{old}/{name}", element)
                found[f"obsp/{name}"] = made
    return found


def _null(element: Any) -> bool:
    return bool(element.attrs.get("encoding-type", "") == "null")


def _frame(store: Store, key: str, group: Any) -> Frame:
    if "column-order" not in group.attrs or "_index" not in group.attrs:
        raise InputError(
            "is no table of AnnData (no column-order or _index attribute)",
            where=f"{store.path}, {key}",
            fix="write the file with anndata 0.7 or later",
        )
    index_name = text(group.attrs["_index"])
    names = [text(name) for name in group.attrs["column-order"]]
    index = column_in_store(store, f"{key}/{index_name}", group[index_name])
    columns = {name: attempt(_column, store, f"{key}/{name}", group.get(name)) for name in names}
    return Frame(index.length, index, columns, repeats(names))


def _column(store: Store, key: str, element: Any) -> Column:
    if element is None:
        raise InputError("is named by column-order, but is not there", where=f"{store.path}, {key}")
    return column_in_store(store, key, element)


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
