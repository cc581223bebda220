"""Elements of a store that are read whole, and what columns of a store have in common."""

from __future__ import annotations

from typing import Any

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.columns import PLAIN
from cellucid_dask.source.storage.elements import is_array
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store


def read_element(store: Store, key: str) -> Any:
    """Read a whole element the way anndata does."""
    with store.open_element(key) as element:
        if is_array(element) and element.dtype.kind in PLAIN:
            return element[...]  # anndata would warn where an old file does not say that it is one
        from anndata.io import read_elem  # here, as its import takes half a second

        return read_elem(element)


def place_of(array: FileArray) -> str:
    """How messages name an array."""
    return f"{array.store.path}, {array.key}"


def check_one_axis(array: FileArray) -> None:
    """Raise InputError when an array has not exactly one axis."""
    if array.ndim != 1:
        what = f"has shape {array.shape}, not one axis"
        raise InputError(what, where=f"{array.store.path}, {array.key}")
