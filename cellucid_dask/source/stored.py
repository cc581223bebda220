"""A `Source` from a file: .h5ad, .zarr or .zarr.zip, written by anndata 0.6 to 0.12."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellucid_dask.errors import CellucidDaskError, InputError, ReadError
from cellucid_dask.source.columns import Column, column_in_store
from cellucid_dask.source.core import Frame, Refused, Source, obsm_in_store, repeats
from cellucid_dask.source.elements import (
    encoding_of,
    find,
    is_array,
    list_attribute,
    names_in,
    text_attribute,
)
from cellucid_dask.source.matrix import matrix_in_store
from cellucid_dask.source.members import member, members
from cellucid_dask.source.records import records_frame, records_obsm
from cellucid_dask.source.store import DAMAGE, Store, locate, said
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
            return _describe(store, root)
    except DAMAGE as error:
        what, fix = said(error, "opened")
        raise ReadError(what, where=store.path, fix=fix) from error


def dataset_name(path: str) -> str:
    """Name of the file without what says its kind."""
    name = Path(path).name
    for ending in (".zip", ".zarr", ".h5ad", ".h5"):
        name = name.removesuffix(ending)
    return name or "dataset"


def _describe(store: Store, root: Any) -> Source:
    absent = [name for name in ("obs", "var") if find(root, name) is None]
    if absent:
        raise InputError(
            f"is not an AnnData: it has no {' and no '.join(absent)}",
            where=store.path,
            fix="it holds: " + (", ".join(map(readable, names_in(root)[:12])) or "nothing"),
        )
    raw_var = member(store, "", root, "raw/var", _frame)
    if raw_var is None:
        raw_var = member(store, "", root, "raw.var", _frame)  # before anndata 0.7
    return Source(
        name=dataset_name(store.path),
        where=store.path,
        path=store.path,
        obs=_table(store, root, "obs"),
        var=_table(store, root, "var"),
        obsm=_obsm(store, root),
        matrices=_matrices(store, root),
        raw_var=raw_var,
        local=any(is_array(find(root, name)) for name in ("obs", "var")),
    )


def _obsm(store: Store, root: Any) -> dict[str, Any]:
    if is_array(find(root, "obsm")):
        records: dict[str, Any] = member(store, "", root, "obsm", records_obsm)
        return records
    return members(store, root, "obsm", obsm_in_store)


def _matrices(store: Store, root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("X", "raw/X", "raw.X"):  # the last before anndata 0.7
        made = member(store, "", root, key, _matrix)
        if made is not None:
            found[key.replace(".", "/")] = made
    for folder in ("layers", "obsp"):
        try:
            matrices = members(store, root, folder, matrix_in_store)
        except CellucidDaskError as error:
            found[folder if folder == "layers" else "obsp/connectivities"] = error
            continue
        found |= {f"{folder}/{name}": matrix for name, matrix in matrices.items()}
    for name in ("connectivities", "distances"):  # where graphs were before obsp
        old = f"uns/neighbors/{name}"
        if f"obsp/{name}" not in found:
            made = member(store, "", root, old, _old_graph)
            if made is not None:
                found[f"obsp/{name}"] = made
    return found


def _matrix(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix; None for one that was left out."""
    return None if encoding_of(element) == "null" else matrix_in_store(store, key, element)


def _old_graph(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix of ``uns``; None for an array that is none, such as its name."""
    other = is_array(element) and len(element.shape) != 2
    return None if other else matrix_in_store(store, key, element)


def _table(store: Store, root: Any, key: str) -> Frame:
    made = member(store, "", root, key, _frame)
    if isinstance(made, CellucidDaskError):
        raise made
    frame: Frame = made
    return frame


def _frame(store: Store, key: str, group: Any) -> Frame:
    if is_array(group) and group.dtype.names:
        return records_frame(store, key, group)
    index_name = text_attribute(group, "_index")
    if "column-order" not in group.attrs or not index_name:
        raise InputError(
            "is no table of AnnData (no column-order or _index attribute)",
            where=f"{store.path}, {key}",
            fix="write the file with anndata 0.7 or later",
        )
    names = list_attribute(group, "column-order")
    columns = {readable(name): _column(store, key, group, name) for name in dict.fromkeys(names)}
    index = _column(store, key, group, index_name)
    whole = [c for c in (index, *columns.values()) if not isinstance(c, CellucidDaskError)]
    if not whole and isinstance(index, CellucidDaskError):
        raise index
    return Frame(whole[0].length, index, columns, repeats(names))


def _column(store: Store, key: str, group: Any, name: str) -> Column | Refused:
    column: Column | Refused | None = member(store, key, group, name, column_in_store)
    if column is None:
        what = "is named by column-order, but is not there"
        return InputError(what, where=f"{store.path}, {key}/{name}")
    return column
