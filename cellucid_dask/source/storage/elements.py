"""Elements of an open store: found by key, listed by name, and their attributes as Python values.

Of zarr, the metadata of what is asked for is read and no other: consolidated metadata describes
every element of a store, and a single one that the installed zarr does not know would refuse all.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from cellucid_dask.source.storage.utf8 import as_text
from cellucid_dask.versions import refuse_cut_blosc


def open_group(store: Any, path: str = "") -> Any:
    """Open the zarr group at `path` of a folder or of a zarr store, for reading."""
    import zarr

    refuse_cut_blosc()
    try:
        return zarr.open_group(store, path=path, mode="r", use_consolidated=False)
    except AttributeError as error:
        raise ValueError("its metadata are no JSON object") from error


def find_element(group: Any, key: str) -> Any:
    """Open the element at `key` below an open group; None when there is none.

    Parameters
    ----------
    group
        h5py.Group or zarr.Group.
    key
        Name, or names with a slash between them.

    Raises
    ------
    Exception
        One of `cellucid_dask.source.storage.store.DAMAGE`, when it is there and cannot be read.
    """
    if isinstance(group, h5py.Group):
        if key not in group:  # get() would return None for one that is damaged, too
            return None
        return group[key]
    import zarr

    path, version = f"{group.path}/{key}".strip("/"), group.metadata.zarr_format
    try:
        return zarr.open(
            group.store, path=path, mode="r", zarr_format=version, use_consolidated=False
        )
    except FileNotFoundError:
        return None
    except AttributeError as error:  # zarr takes whatever JSON there is for an object
        raise ValueError(f"the metadata of {path} are no JSON object") from error


def require_element(group: Any, key: str) -> Any:
    """Open the element at `key` below an open group.

    Raises
    ------
    ValueError
        When there is none; others as `find_element`.
    """
    element = find_element(group, key)
    if element is None:
        raise ValueError(f"there is no {key!r}")
    return element


def member_names(group: Any) -> list[Any]:
    """Names of the members of an open group; bytes where one is not UTF-8.

    HDF5 keeps an order of its own, by name unless the writer asked for another. The members of a
    zarr group come as the directory lists them, which differs from copy to copy, so they are
    sorted, as HDF5 sorts.
    """
    if isinstance(group, h5py.Group):
        return list(group)
    from zarr.core.sync import sync

    async def listed() -> list[str]:
        return [name.rstrip("/") async for name in group.store.list_dir(group.path)]

    # Iterating over the group itself would read the metadata of every member.
    return sorted({n for n in sync(listed()) if n[:1] not in ("", ".") and n != "zarr.json"})


def has_files(group: Any, name: str) -> bool:
    """Whether a folder of that name holds anything; only zarr has folders that are no elements."""
    if isinstance(group, h5py.Group):
        return False
    from zarr.core.sync import sync

    async def anything() -> bool:
        return bool([_ async for _ in group.store.list_dir(f"{group.path}/{name}".strip("/"))])

    return sync(anything())


def is_array(element: Any) -> bool:
    """Whether an open element is an array, and no group."""
    return hasattr(element, "shape")


def attribute(element: Any, name: str, default: Any = None) -> Any:
    """Read an attribute: a text of any storage as str, several texts as a list of str.

    anndata writes texts of variable length; other programs write them with a fixed length, which
    h5py returns as bytes.
    """
    value = element.attrs.get(name)
    if value is None or isinstance(value, h5py.Empty):
        return default
    if isinstance(value, bytes | str):
        return as_text(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
        return [as_text(item) for item in value.ravel()]
    return value


def text_attribute(element: Any, name: str) -> str:
    """Read an attribute that is one text, also as an array of one; empty when there is none."""
    value = attribute(element, name, "")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else ""


def list_attribute(element: Any, name: str) -> list[str]:
    """Read an attribute that is a list of texts; empty when there is none, or none in it."""
    value = attribute(element, name, [])
    return [value] if isinstance(value, str) else [as_text(item) for item in value]


def encoding_of(element: Any) -> str:
    """Name of the encoding that anndata gives an element; empty when there is none."""
    return text_attribute(element, "encoding-type")
