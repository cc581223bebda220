"""What the input says of itself in ``uns['cellucid']``, as the public writer stores it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from cellucid_dask.errors import (
    CellucidDaskError,
    InputError,
    MachineError,
    ReadError,
    refuse_fault,
)
from cellucid_dask.source.model import Source
from cellucid_dask.source.storage.damage import DAMAGE, describe_damage
from cellucid_dask.source.storage.elements import (
    encoding_of,
    find_element,
    is_array,
    member_names,
)
from cellucid_dask.source.storage.store import locate_store

PLACE: Final = "uns/cellucid"
_KEYS: Final = ("id", "name", "description", "citation", "source", "defaults")
_PLAIN: Final = ("string", "numeric-scalar", "array", "string-array")
_REPAIR: Final = "repair it, or delete uns['cellucid']"
_UNREADABLE: Final[tuple[type[Exception], ...]] = (*DAMAGE, AttributeError)  # as of old encodings


def read_record(source: Source) -> dict[str, Any]:
    """Read the record of the input, of a MuData that of the whole; empty where there is none.

    Outlier quantiles, which are large, are not read.

    Returns
    -------
    Text, numbers, truth values, lists and dicts of them.

    Raises
    ------
    InputError
        When it is no dict.
    ReadError
        When it is damaged.
    """
    if source.record is not None or source.path is None:
        record = {} if source.record is None else source.record
        if isinstance(record, CellucidDaskError):
            raise record
        if not isinstance(record, Mapping):
            what = f"is a {type(record).__name__}, not a dict"
            raise InputError(what, where=PLACE, fix=_REPAIR)
        return {key: _plain(record[key]) for key in _KEYS if key in record}
    where = f"{source.path}, {PLACE}"
    try:
        with locate_store(source.path).open() as root:
            group = find_element(root, PLACE)
            if group is None:
                return {}
            if is_array(group):
                raise InputError("is an array, not a dict", where=where, fix=_REPAIR)
            return {key: _plain(item) for key, item in _read_members(group).items()}
    except _UNREADABLE as error:
        refuse_fault(error, where)
        what, _ = describe_damage(error)
        raise ReadError(what, where=where, fix=_REPAIR) from error


def record_or_error(source: Source) -> dict[str, Any] | CellucidDaskError:
    """Record of the input, or why it cannot be read.

    Raises
    ------
    MachineError
        When the machine is at fault, and not the data.
    """
    try:
        return read_record(source)
    except MachineError:
        raise
    except CellucidDaskError as error:
        return error


def _read_members(group: Any, keys: Iterable[str] = _KEYS) -> dict[str, Any]:
    found = {key: find_element(group, key) for key in keys}
    return {key: _read(element) for key, element in found.items() if element is not None}


def _read(element: Any) -> Any:
    """Read what anndata stores as it is; the rest, which is rare, is left to it."""
    encoding = encoding_of(element)
    if encoding == "dict":
        return _read_members(element, map(str, member_names(element)))
    if encoding in _PLAIN and is_array(element):
        return element[()]
    from anndata.io import read_elem  # takes a second

    return read_elem(element)


def _plain(value: Any) -> Any:
    """A value of ``uns`` without types of numpy and pandas."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__array__"):
        return _plain(np.asarray(value).tolist())  # one value of an array of no axes
    return value
