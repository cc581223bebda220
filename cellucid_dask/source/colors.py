"""Colors of the categories of an obs column, as scanpy keeps them in ``uns``."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from itertools import islice
from typing import Any

import numpy as np

from cellucid_dask.errors import CellucidDaskError, InputError
from cellucid_dask.source.model import COLORS_ENDING, Source, StoredColors
from cellucid_dask.source.storage.elements import is_array
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.members import describe_member
from cellucid_dask.source.storage.store import Store, locate_store
from cellucid_dask.source.storage.utf8 import decode_text


def read_colors(source: Source, key: str, n: int) -> list[Any] | None:
    """Read what ``uns`` gives as the colors of the first `n` categories of an obs column.

    No more than that is read, whatever lies there.

    Returns
    -------
    One value for each category, most likely text; None where ``uns`` has nothing.

    Raises
    ------
    CellucidDaskError
        When it is no list, is shorter, or cannot be read.
    """
    if isinstance(source.colors, StoredColors):
        return _read_stored(source.colors, key, n)
    given = source.colors.get(key)
    return None if given is None else _take(given, n)


def _take(given: Any, n: int) -> list[Any]:
    """Take the first values of what an AnnData in memory has."""
    if isinstance(given, str):  # of one category
        given = [given]
    if isinstance(given, Mapping | set | frozenset) or not isinstance(given, Sized):
        raise InputError(f"is a {type(given).__name__}, not a list")
    _check_length(len(given), n)
    values = islice(iter(given), n)  # type: ignore[call-overload]
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _read_stored(colors: StoredColors, key: str, n: int) -> list[Any] | None:
    """Read the first values of a list in a file."""

    def read(store: Store, place: str, element: Any) -> list[Any]:
        if not is_array(element) or len(element.shape) > 1:
            raise InputError("is no list of texts")
        if not element.shape:  # old releases store one category so
            _check_length(1, n)
            return decode_text(np.asarray(element[()]).reshape(1), place).tolist()
        array = FileArray.of(store, place, element)
        _check_length(array.shape[0], n)
        return decode_text(array[:n], place).tolist()

    store, base = locate_store(colors.path), colors.bases.get(key, "")
    place = f"{base}/uns".lstrip("/")
    with store.open() as root:
        uns = describe_member(store, "", root, place, lambda *opened: opened[-1])
        if uns is None or is_array(uns) or isinstance(uns, CellucidDaskError):
            return None
        found: list[Any] | CellucidDaskError | None = describe_member(
            store, place, uns, key + COLORS_ENDING, read
        )
    if isinstance(found, CellucidDaskError):
        raise found
    return found


def _check_length(length: int, n: int) -> None:
    """Refuse a list that is too short; a longer one has colors that nothing uses."""
    if length < n:
        raise InputError(f"has colors for {length} of {n} categories")
