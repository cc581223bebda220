"""One modality of a MuData as an AnnData, with what the whole says of its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.verify.source_data.attributes import text, texts
from cellucid_dask.verify.source_data.tables import INDEX, Table

WHOLE = "whole:"  # before the name of what the modality has too


def is_mudata(root: Any) -> bool:
    """Whether an open root group is that of a MuData."""
    return text(root, "encoding-type") == "MuData" or ("mod" in root and "X" not in root)


def named_modality(where: str, root: Any, name: str | None) -> Any:
    """Open the group of the modality that a user named.

    Raises
    ------
    InputError
        When none was named, or there is none of that name.
    """
    there = list(dict.fromkeys([*texts(root["mod"], "mod-order"), *root["mod"]]))
    listed = ", ".join(map(repr, there)) or "none"
    if name is None:
        what = f"is a MuData, which holds an AnnData for each modality: {listed}"
        raise InputError(what, where=where, fix="name one with --modality")
    if name not in there:
        raise InputError(f"there is no modality {name!r}", where="--modality", fix=f"has {listed}")
    return root["mod"][name]


def rows_of(root: Any, name: str, whole: Table, own: Table) -> NDArray[np.int64] | None:
    """Row of the whole for each cell of a modality; None when the names do not say.

    Returns
    -------
    (n_own,) positions.
    """
    every, names = (pd.Index(table.column(INDEX).astype(str)) for table in (whole, own))
    if "obsmap" in root and name in root["obsmap"]:
        positions = np.asarray(root["obsmap"][name][...]).astype(np.int64).ravel()
        (present,) = np.nonzero(positions)
        rows = present[np.argsort(positions[present], kind="stable")]
        if np.array_equal(every[rows], names):
            return rows
    if every.equals(names):
        return np.arange(len(names))
    if not every.is_unique:
        return None
    found = every.get_indexer(names)
    return None if np.any(found < 0) else found


def with_whole(own: Table, whole: Table, rows: NDArray[np.int64]) -> Table:
    """Add columns of the whole to the obs of a modality, in whose place none stand."""
    added = {
        name: partial(_taken_column, whole, name, rows)
        for name in whole.readers
        if name not in own.readers
    }
    return Table(own.where, {**added, **own.readers})


def _taken_column(whole: Table, name: str, rows: NDArray[np.int64]) -> pd.Series[Any]:
    return whole.column(name).iloc[rows]


def taken(value: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of an array, a sparse matrix or a table."""
    return value.iloc[rows] if isinstance(value, pd.DataFrame) else value[rows]


class Either(Mapping[str, Any]):
    """Elements of a modality, and under other names those of the whole.

    Parameters
    ----------
    own, whole
        Elements by key.
    take
        What is taken of one of the whole.
    """

    def __init__(
        self, own: Mapping[str, Any], whole: Mapping[str, Any], take: Callable[[Any], Any]
    ) -> None:
        self._own, self._whole, self._take = own, whole, take

    def __getitem__(self, key: str) -> Any:
        if key in self._own:
            return self._own[key]
        return self._take(self._whole[key.removeprefix(WHOLE)])

    def __contains__(self, key: object) -> bool:
        return key in list(self)  # without reading it

    def __iter__(self) -> Any:
        added = (f"{WHOLE}{key}" if key in self._own else key for key in self._whole)
        return iter([*self._own, *added])

    def __len__(self) -> int:
        return len(self._own) + len(self._whole)
