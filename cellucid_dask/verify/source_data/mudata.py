"""One modality of a MuData as an AnnData, together with the global obs, obsm and obsp."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.verify.source_data.attributes import text_attribute, text_attributes
from cellucid_dask.verify.source_data.tables import INDEX, Table

GLOBAL: Final = "whole:"  # prefix of a global key that the modality has too


def is_mudata(root: Any) -> bool:
    """Whether an open root group is that of a MuData."""
    return text_attribute(root, "encoding-type") == "MuData" or ("mod" in root and "X" not in root)


def open_modality_group(where: str, root: Any, name: str | None) -> Any:
    """Open the group of the modality that a user named.

    Raises
    ------
    InputError
        When none was named, or the MuData has no modality of this name.
    """
    names = list(dict.fromkeys([*text_attributes(root["mod"], "mod-order"), *root["mod"]]))
    known = ", ".join(map(repr, names)) or "none"
    if name is None:
        what = f"is a MuData, which holds an AnnData for each modality: {known}"
        raise InputError(what, where=where, fix="name one with --modality")
    if name not in names:
        raise InputError(f"there is no modality {name!r}", where="--modality", fix=f"has {known}")
    return root["mod"][name]


def find_modality_rows(
    root: Any, name: str, global_obs: Table, own_obs: Table
) -> NDArray[np.int64] | None:
    """Find the global row of each cell of a modality.

    Returns
    -------
    (n_own,) positions; None when the names do not identify the cells.
    """
    global_names, own_names = (
        pd.Index(obs.read_column(INDEX).astype(str)) for obs in (global_obs, own_obs)
    )
    if "obsmap" in root and name in root["obsmap"]:
        positions = np.asarray(root["obsmap"][name][...]).astype(np.int64).ravel()
        (present,) = np.nonzero(positions)
        rows = present[np.argsort(positions[present], kind="stable")]
        if np.array_equal(global_names[rows], own_names):
            return rows
    if global_names.equals(own_names):
        return np.arange(len(own_names))
    if not global_names.is_unique:
        return None
    rows = global_names.get_indexer(own_names)
    return None if np.any(rows < 0) else rows


def add_global_columns(own: Table, global_obs: Table, rows: NDArray[np.int64]) -> Table:
    """Add the global columns to the obs of a modality, but those that it has itself."""
    added = {
        name: partial(_read_rows, global_obs, name, rows)
        for name in global_obs.readers
        if name not in own.readers
    }
    return Table(own.where, {**added, **own.readers})


def _read_rows(table: Table, name: str, rows: NDArray[np.int64]) -> pd.Series[Any]:
    return table.read_column(name).iloc[rows]


def take_rows(value: Any, rows: NDArray[np.int64]) -> Any:
    """Take rows of an array, a sparse matrix or a table."""
    return value.iloc[rows] if isinstance(value, pd.DataFrame) else value[rows]


class MergedElements(Mapping[str, Any]):
    """Elements of a modality, and the global ones; `GLOBAL` marks global keys that are in both.

    Parameters
    ----------
    own, global_elements
        Elements by key.
    select
        Function that takes the cells of the modality from a global element.
    """

    def __init__(
        self,
        own: Mapping[str, Any],
        global_elements: Mapping[str, Any],
        select: Callable[[Any], Any],
    ) -> None:
        self._own, self._global, self._select = own, global_elements, select

    def __getitem__(self, key: str) -> Any:
        if key in self._own:
            return self._own[key]
        return self._select(self._global[key.removeprefix(GLOBAL)])

    def __contains__(self, key: object) -> bool:
        return key in list(self)  # without reading it

    def __iter__(self) -> Any:
        added = (f"{GLOBAL}{key}" if key in self._own else key for key in self._global)
        return iter([*self._own, *added])

    def __len__(self) -> int:
        return len(self._own) + len(self._global)
