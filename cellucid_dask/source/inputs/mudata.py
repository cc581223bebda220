"""One modality of a MuData, together with what the MuData as a whole says of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, InputError, suggest
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.row_array import ReorderedRows, RowArray
from cellucid_dask.source.model import MUDATA_PREFIX, Frame, Source
from cellucid_dask.source.rows.match_cells import match_cells
from cellucid_dask.source.rows.reordered_column import ReorderedColumn
from cellucid_dask.source.storage.elements import (
    encoding_of,
    find_element,
    is_array,
    list_attribute,
    member_names,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import readable_name

OWN = "the modality has its own"


@dataclass(frozen=True, slots=True)
class Whole:
    """What a MuData holds of the cells of all its modalities.

    Parameters
    ----------
    obs
        Table of all cells.
    obsm, obsp
        As in `Source`, of all cells.
    positions
        (n_cells,) for each cell of the whole its row in the modality, counted from 1; 0 where it
        has none. None where the file does not say.
    modalities
        Their names.
    """

    obs: Frame
    obsm: Mapping[str, RowArray | CellucidDaskError]
    obsp: Mapping[str, Matrix | CellucidDaskError]
    positions: FileArray | None
    modalities: tuple[str, ...]


def is_mudata(root: Any) -> bool:
    """Whether an open root group is that of a MuData."""
    if encoding_of(root) == "MuData":
        return True
    group = find_element(root, "mod")  # some writers leave the encoding out
    return group is not None and not is_array(group) and find_element(root, "X") is None


def modalities(root: Any) -> tuple[str, ...]:
    """Names of the modalities, in the order of the file."""
    group = find_element(root, "mod")
    if group is None or is_array(group):
        return ()
    there = [readable_name(name) for name in member_names(group)]
    ordered = [name for name in list_attribute(group, "mod-order") if name in there]
    return (*ordered, *(name for name in there if name not in ordered))


def modality_key(store: Store, root: Any, name: str | None) -> str:
    """Key of the modality that a user named.

    Raises
    ------
    InputError
        When none was named, or there is none of that name.
    """
    there = list(modalities(root))
    if not there:
        raise InputError("is a MuData without modalities", where=store.path)
    if name is None:
        listed = ", ".join(map(repr, there))
        what = f"is a MuData, which holds an AnnData for each modality: {listed}"
        raise InputError(what, where=store.path, fix=f"name one: --modality {there[0]}")
    if name not in there:
        what, fix = f"there is no modality {name!r}", suggest(name, there)
        raise InputError(what, where="--modality", fix=fix)
    return f"mod/{name}"


def merge_whole(own: Source, whole: Whole, name: str) -> Source:
    """Add to a modality what the whole says of its cells.

    What both have under one name is that of the modality; of obsm and obsp, that of the whole is
    under ``whole:NAME``, for who asks for it. Of cells that are not those of the whole in its
    order, columns and arrays are taken row by row; graphs are left out.
    """
    try:
        rows = match_cells(whole.obs.index, own.obs.index, whole.positions)
    except CellucidDaskError as error:
        reasons = "; ".join(problem.what for problem in error.problems)
        return replace(own, warnings=(f"nothing is taken of the MuData as a whole: {reasons}",))
    same = rows.size == whole.obs.length and np.array_equal(rows, np.arange(rows.size))
    chosen = None if same else rows
    notes: list[str] = []
    columns = _columns(own, whole, name, chosen, notes)
    obsm = _arrays(own, whole, chosen, notes)
    graphs, lost = _graphs(own, whole, chosen, notes)
    return replace(
        own,
        obs=replace(own.obs, columns={**own.obs.columns, **columns}),
        obsm={**own.obsm, **obsm},
        matrices={**own.matrices, **graphs},
        notes=tuple(notes),
        warnings=lost,
    )


def _columns(
    own: Source, whole: Whole, name: str, rows: NDArray[np.int64] | None, notes: list[str]
) -> dict[str, Column | CellucidDaskError]:
    """Columns of obs of the whole, but those that the modality has."""
    found: dict[str, Column | CellucidDaskError] = {}
    for key, column in whole.obs.columns.items():
        # MuData copies a column of a modality to the whole with the modality before its name.
        if key in own.obs.columns or key.removeprefix(f"{name}:") in own.obs.columns:
            notes.append(f"ignored   obs/{key} of the whole MuData: {OWN}")
        elif key in whole.obs.repeated:
            found[key] = InputError("stands on more than one column", where=f"obs[{key!r}]")
        elif rows is None or isinstance(column, CellucidDaskError):
            found[key] = column
        else:
            found[key] = ReorderedColumn(column, rows)
    return found


def _arrays(
    own: Source, whole: Whole, rows: NDArray[np.int64] | None, notes: list[str]
) -> dict[str, RowArray | CellucidDaskError]:
    """Arrays of obsm of the whole, but the masks that say which cells a modality has."""
    found: dict[str, RowArray | CellucidDaskError] = {}
    for key, array in whole.obsm.items():
        if key in whole.modalities:
            continue
        name = f"{MUDATA_PREFIX}{key}" if key in own.obsm else key
        if name != key:
            notes.append(f"ignored   obsm/{key} of the whole MuData: {OWN}; name it as {name}")
        if isinstance(array, CellucidDaskError):
            found[name] = array
        elif array.shape[0] != whole.obs.length:
            what = f"has shape {array.shape}, but the whole has {whole.obs.length} cells"
            found[name] = InputError(what, where=f"obsm/{name}")
        else:
            found[name] = array
            if rows is not None:
                found[name] = RowArray.of(ReorderedRows(array, rows), is_table=array.is_table)
    return found


def _graphs(
    own: Source, whole: Whole, rows: NDArray[np.int64] | None, notes: list[str]
) -> tuple[dict[str, Matrix | CellucidDaskError], tuple[str, ...]]:
    """Graphs of the whole, and what is said of those that cannot be taken."""
    found: dict[str, Matrix | CellucidDaskError] = {}
    lost: list[str] = []
    for key, graph in whole.obsp.items():
        name = f"{MUDATA_PREFIX}{key}" if key in own.keys("obsp") else key
        if rows is not None:
            what = "its cells are not those of the modality, in the same order"
            lost.append(f"obsp/{key} of the whole MuData is not used: {what}")
            continue
        if name != key:
            notes.append(f"ignored   obsp/{key} of the whole MuData: {OWN}; name it as {name}")
        found[f"obsp/{name}"] = graph
    return found, tuple(lost)
