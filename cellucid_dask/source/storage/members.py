"""Members of a group, each described or refused by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import h5py

from cellucid_dask.errors import (
    CellucidDaskError,
    InputError,
    MachineError,
    ReadError,
    TextError,
    refuse_fault,
)
from cellucid_dask.source.storage.damage import COPY_AGAIN, DAMAGE, describe_damage
from cellucid_dask.source.storage.elements import find_element, has_files, is_array, member_names
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import NAME_NOT_UTF8, readable_name

NO_METADATA: Final = "has no metadata of zarr, so it is not known what it is"

Make = Callable[[Store, str, Any], Any]


def describe_member(store: Store, folder: str, group: Any, name: Any, make: Make) -> Any:
    """Return what `make` makes of the member `name` of the open `group` at `folder`, or an error.

    An error is returned rather than raised, since only a member that is asked for can refuse a
    file. None when there is no such member.
    """
    key = f"{folder}/{readable_name(name)}".lstrip("/")
    where = f"{store.path}, {key}"
    if readable_name(name) != name:
        return TextError(NAME_NOT_UTF8, where=where)
    try:
        element = find_element(group, name)
        if element is not None:
            return make(store, key, element)
    except MachineError:
        raise  # which says nothing of the member
    except CellucidDaskError as error:
        return error
    except DAMAGE as error:
        refuse_fault(error, where)
        return _refusal(group, name, where, error)
    return _refusal(group, name, where, None)


def _refusal(group: Any, name: str, where: str, error: Exception | None) -> ReadError | None:
    """Say what is wrong with a member that cannot be opened; None when it is not there."""
    if target := _target(group, name):
        return ReadError(f"is a link to {target}, which is not there", where=where)
    if error is None:
        if not has_files(group, name):
            return None
        return ReadError(NO_METADATA, where=where)
    what, fix = describe_damage(error)
    # Whoever asks for what is damaged says how to do without it.
    return ReadError(what, where=where, fix="" if fix == COPY_AGAIN else fix)


def describe_members(store: Store, base: str, root: Any, name: str, make: Make) -> dict[str, Any]:
    """Describe every member of the group `name` of the open `root` at `base`.

    Each is described as `describe_member` does.

    Nothing when there is no such group.

    Raises
    ------
    CellucidDaskError
        When the group itself cannot be opened.
    """

    def each(_store: Store, folder: str, group: Any) -> dict[str, Any]:
        if is_array(group):
            raise InputError("is an array, not a group", where=f"{store.path}, {folder}")
        return {
            readable_name(inner): describe_member(store, folder, group, inner, make)
            for inner in member_names(group)
        }

    found = describe_member(store, base, root, name, each)
    if isinstance(found, CellucidDaskError):
        raise found
    return found or {}


def _target(group: Any, name: str) -> str:
    """Name what a link of HDF5 on the way to `name` fails to lead to; empty when none does."""
    parts = name.split("/") if isinstance(group, h5py.Group) else []
    for end in range(1, len(parts) + 1):
        way = "/".join(parts[:end])
        link = group.get(way, getlink=True)
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink) and not _leads_somewhere(group, way):
            file = getattr(link, "filename", "")
            return f"{link.path} in {file}" if file else str(link.path)
    return ""


def _leads_somewhere(group: h5py.Group, way: str) -> bool:
    try:
        return group.get(way) is not None
    except DAMAGE:  # links that lead to one another
        return False
