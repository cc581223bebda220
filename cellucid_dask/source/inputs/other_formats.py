"""Stores of other layouts than AnnData: what each is, and how an AnnData is made of it."""

from __future__ import annotations

from typing import Any, Final

from cellucid_dask.errors import InputError
from cellucid_dask.source.storage.elements import (
    attribute,
    encoding_of,
    find_element,
    is_array,
    member_names,
)
from cellucid_dask.source.storage.members import NO_METADATA
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import readable_name

_SPATIAL: Final = ("images", "labels", "points", "shapes", "tables", "table")
_WRITE: Final = "and write it with write_h5ad"


def not_anndata_error(store: Store, root: Any) -> InputError:
    """Say what a store is that has no obs or no var."""
    names = [readable_name(name) for name in member_names(root)]
    there = set(names)
    if tables := _tables(root, there):
        what = "is a SpatialData, which holds its cells in a table"
        zipped = store.kind == "zip"
        unzip, place = ("unzip it first: ", store.folder) if zipped else ("", store.path)
        given = " or ".join(f"{place}/{table}" if place else table for table in tables[:8])
        noun = "its table is" if len(tables) == 1 else "its tables are"
        return InputError(what, where=store.path, fix=f"{unzip}{noun} {given}")
    for what, has, fix in _LAYOUTS:
        if has <= there:
            return InputError(f"is {what}, not an AnnData", where=store.path, fix=fix)
    if any(_is_10x(root, name) for name in names):
        fix = f"read it with scanpy.read_10x_h5, {_WRITE}"
        return InputError("is a matrix of 10x, not an AnnData", where=store.path, fix=fix)
    unnamed = [
        name for name in ("obs", "var") if name in there and find_element(root, name) is None
    ]
    if unnamed:
        where = f"{store.path}, {unnamed[0]}"
        return InputError(NO_METADATA, where=where, fix="copy it again")
    absent = " and no ".join(name for name in ("obs", "var") if name not in there)
    listed = ", ".join(names[:12]) or "nothing"
    what, fix = f"is not an AnnData: it has no {absent}", f"it holds: {listed}"
    return InputError(what, where=store.path, fix=fix)


_LAYOUTS: Final[tuple[tuple[str, set[str], str], ...]] = (
    (
        "a loom file",
        {"matrix", "row_attrs", "col_attrs"},
        f"read it with scanpy.read_loom, {_WRITE}",
    ),
    (
        "an h5Seurat file",
        {"assays", "cell.names", "meta.data"},
        'write it as .h5ad with SeuratDisk::Convert(FILE, dest = "h5ad")',
    ),
)


def _tables(root: Any, there: set[str]) -> list[str]:
    """Keys of the tables of a SpatialData; none of anything else."""
    marked = attribute(root, "spatialdata_attrs") is not None
    if not marked and len(there.intersection(_SPATIAL)) < 2:
        return []
    found = []
    for folder in sorted(there & {"tables", "table"}):
        group = find_element(root, folder)
        if group is not None and not is_array(group):
            members = [readable_name(name) for name in member_names(group)]
            found += [f"{folder}/{name}" for name in members if _is_anndata(group, name)]
    return found


def _is_anndata(group: Any, name: str) -> bool:
    element = find_element(group, name)
    return element is not None and encoding_of(element) == "anndata"


def _is_10x(root: Any, name: str) -> bool:
    """Whether a group is a matrix as Cell Ranger writes it, of version 3 or before that."""
    group = find_element(root, name)
    if group is None or is_array(group):
        return False
    there = set(member_names(group))
    return {"shape", "barcodes"} <= there or (name == "matrix" and "shape" in there)
