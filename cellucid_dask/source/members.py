"""Members of a group by name: in an order that no directory decides, and what is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cellucid_dask.errors import CellucidDaskError, ReadError, TextError
from cellucid_dask.source.store import DAMAGE, Store
from cellucid_dask.source.utf8 import NAME_NOT_UTF8, readable


def names_in(group: Any) -> list[Any]:
    """Names of the members of an open group; bytes where one is not UTF-8.

    HDF5 keeps an order of its own, by name unless the writer asked for another. The members of a
    zarr group come as the directory lists them, which differs from copy to copy, so they are
    sorted, as HDF5 sorts.
    """
    return list(group) if hasattr(group, "file") else sorted(group)


def member(
    store: Store, folder: str, group: Any, name: Any, make: Callable[[Store, str, Any], Any]
) -> Any:
    """Return what `make` makes of the member `name` of the open `group` at `folder`, or an error.

    An error is returned rather than raised, since only a member that is asked for can refuse a
    file.
    """
    key = f"{folder}/{readable(name)}".lstrip("/")
    where = f"{store.path}, {key}"
    if readable(name) != name:
        return TextError(NAME_NOT_UTF8, where=where)
    try:
        return make(store, key, group[name])
    except CellucidDaskError as error:
        return error
    except DAMAGE as error:
        what = " ".join(str(error).split())
        return ReadError(_absent(group, name) or f"cannot be read ({what})", where=where)


def _absent(group: Any, name: str) -> str:
    """Say that there is no such member, or only a link to nothing; or return ""."""
    if name not in group:
        return "is not there"
    link = group.get(name, getlink=True) if hasattr(group, "file") else None
    target, file = getattr(link, "path", ""), getattr(link, "filename", "")
    if not target:
        return ""
    return f"is a link to {f'{target} in {file}' if file else target}, which is not there"
