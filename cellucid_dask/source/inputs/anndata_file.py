"""A `Source` from a file: .h5ad, .zarr or .zarr.zip, written by anndata 0.6 to 0.12."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cellucid_dask.errors import CellucidDaskError, InputError, ReadError, refuse_fault
from cellucid_dask.hdf5_filters import refuse_missing_filters
from cellucid_dask.source.arrays.column_encodings import open_column
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.matrix import open_matrix
from cellucid_dask.source.arrays.obsm import open_obsm_array
from cellucid_dask.source.inputs.legacy_records import read_records_obsm, read_records_table
from cellucid_dask.source.inputs.mudata import (
    Whole,
    is_mudata,
    merge_whole,
    modalities,
    modality_key,
)
from cellucid_dask.source.inputs.other_formats import not_anndata_error
from cellucid_dask.source.model import Frame, Source, StoredColors, repeated_names
from cellucid_dask.source.storage.damage import DAMAGE, describe_damage
from cellucid_dask.source.storage.elements import (
    encoding_of,
    find_element,
    is_array,
    list_attribute,
    require_element,
    text_attribute,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.members import describe_member, describe_members
from cellucid_dask.source.storage.store import Store, locate_store
from cellucid_dask.source.storage.utf8 import readable_name


def open_anndata_file(path: Any, modality: str | None = None) -> Source:
    """Describe the AnnData at `path`, or one modality of the MuData there.

    Raises
    ------
    InputError
        When there is none there.
    ReadError
        When the file is damaged.
    """
    store = locate_store(path)
    try:
        with store.open() as root:
            refuse_missing_filters(root, store.path)
            if is_mudata(root):
                return _modality(store, root, modality)
            if modality is not None:
                what = "needs a MuData, but the data is an AnnData"
                raise InputError(what, where="--modality", fix="leave it out")
            return _describe(store, "", root)
    except DAMAGE as error:
        refuse_fault(error, store.path)
        what, fix = describe_damage(error, "opened")
        raise ReadError(what, where=store.path, fix=fix) from error


def dataset_name(path: str) -> str:
    """Name of the file without what says its kind."""
    name = Path(path).name
    for ending in (".zip", ".zarr", ".h5ad", ".h5mu", ".h5"):
        name = name.removesuffix(ending)
    return name or "dataset"


def _describe(store: Store, base: str, root: Any) -> Source:
    """Describe the AnnData at `base`, whose open group is `root`."""
    if find_element(root, "obs") is None or find_element(root, "var") is None:
        raise not_anndata_error(store, root)
    raw_var = describe_member(store, base, root, "raw/var", _frame)
    if raw_var is None:
        raw_var = describe_member(store, base, root, "raw.var", _frame)  # before anndata 0.7
    return Source(
        name=dataset_name(store.path),
        where=store.path,
        path=store.path,
        obs=_table(store, base, root, "obs"),
        var=_table(store, base, root, "var"),
        obsm=_obsm(store, base, root),
        matrices=_matrices(store, base, root),
        raw_var=raw_var,
        colors=StoredColors(store.path),
        local=any(is_array(find_element(root, name)) for name in ("obs", "var")),
    )


def _modality(store: Store, root: Any, name: str | None) -> Source:
    """Describe one modality, with what the MuData as a whole says of its cells."""
    base = modality_key(store, root, name)
    own = _describe(store, base, require_element(root, base))
    colors = StoredColors(store.path, dict.fromkeys(own.obs.columns, base))
    own = replace(own, name=f"{own.name}-{name}", colors=colors)
    if find_element(root, "obs") is None:
        return own
    positions = find_element(root, f"obsmap/{name}")
    whole = Whole(
        obs=_table(store, "", root, "obs"),
        obsm=describe_members(store, "", root, "obsm", open_obsm_array),
        obsp=describe_members(store, "", root, "obsp", open_matrix),
        positions=FileArray.of(store, f"obsmap/{name}", positions) if is_array(positions) else None,
        modalities=modalities(root),
    )
    return merge_whole(own, whole, str(name))


def _obsm(store: Store, base: str, root: Any) -> dict[str, Any]:
    if is_array(find_element(root, "obsm")):
        records: dict[str, Any] = describe_member(store, base, root, "obsm", read_records_obsm)
        return records
    return describe_members(store, base, root, "obsm", open_obsm_array)


def _matrices(store: Store, base: str, root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("X", "raw/X", "raw.X"):  # the last before anndata 0.7
        made = describe_member(store, base, root, key, _matrix)
        if made is not None:
            found[key.replace(".", "/")] = made
    for folder in ("layers", "obsp"):
        try:
            matrices = describe_members(store, base, root, folder, open_matrix)
        except CellucidDaskError as error:
            found[folder if folder == "layers" else "obsp/connectivities"] = error
            continue
        found |= {f"{folder}/{name}": matrix for name, matrix in matrices.items()}
    for name in ("connectivities", "distances"):  # where graphs were before obsp
        if f"obsp/{name}" not in found:
            made = describe_member(store, base, root, f"uns/neighbors/{name}", _old_graph)
            if made is not None:
                found[f"obsp/{name}"] = made
    return found


def _matrix(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix; None for one that was left out."""
    return None if encoding_of(element) == "null" else open_matrix(store, key, element)


def _old_graph(store: Store, key: str, element: Any) -> Any:
    """Describe a matrix of ``uns``; None for an array that is none, such as its name."""
    other = is_array(element) and len(element.shape) != 2
    return None if other else open_matrix(store, key, element)


def _table(store: Store, base: str, root: Any, key: str) -> Frame:
    made = describe_member(store, base, root, key, _frame)
    if isinstance(made, CellucidDaskError):
        raise made
    frame: Frame = made
    return frame


def _frame(store: Store, key: str, group: Any) -> Frame:
    if is_array(group) and group.dtype.names:
        return read_records_table(store, key, group)
    index_name = text_attribute(group, "_index")
    if "column-order" not in group.attrs or not index_name:
        raise InputError(
            "is no table of AnnData (no column-order or _index attribute)",
            where=f"{store.path}, {key}",
            fix="write the file with anndata 0.7 or later",
        )
    names = list_attribute(group, "column-order")
    columns = {
        readable_name(name): _column(store, key, group, name) for name in dict.fromkeys(names)
    }
    index = _column(store, key, group, index_name)
    whole = [c for c in (index, *columns.values()) if not isinstance(c, CellucidDaskError)]
    if not whole and isinstance(index, CellucidDaskError):
        raise index
    return Frame(whole[0].length, index, columns, repeated_names(names))


def _column(store: Store, key: str, group: Any, name: str) -> Column | CellucidDaskError:
    column: Column | CellucidDaskError | None = describe_member(
        store, key, group, name, open_column
    )
    if column is None:
        what = "is named by column-order, but is not there"
        return InputError(what, where=f"{store.path}, {key}/{name}")
    return column
