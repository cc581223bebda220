"""The ids of cells: the names in the index of obs, as text, some at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from cellucid_dask.errors import CellucidDaskError, InputError, MachineError
from cellucid_dask.exporter.checks.ready.row_names import read_names
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.chunks.array_uses import uses_of_ids
from cellucid_dask.source.chunks.missing import find_missing_chunks
from cellucid_dask.source.model import Source
from cellucid_dask.source.storage.utf8 import decode_text

_MISSING = "nan"  # as pandas has a missing name as text


def survey_cell_ids(source: Source, catalog: Any) -> TypedColumn | None:
    """Describe the ids; None after a warning where they cannot be read."""
    try:
        index = (source.all_cells or source).obs.index
        if isinstance(index, CellucidDaskError):
            raise index
        if source.path is not None:
            _refuse_missing_chunks(index)
        return _describe(source)
    except MachineError:
        raise  # which says nothing of the ids
    except CellucidDaskError as error:
        catalog.warnings.append(without_ids(error))
        return None


def without_ids(error: CellucidDaskError) -> str:
    """Warning that ids are left out, and why."""
    what = error.problems[0].what
    verb = "has " if what.startswith("missing chunks") else ""
    return f"cell ids are left out: the index of obs {verb}{what}"


def read_ids(ids: TypedColumn, start: int, stop: int) -> list[str]:
    """Ids of cells `start` to `stop`.

    Raises
    ------
    CellucidDaskError
        When they cannot be read.
    """
    names: Any
    if ids.kind == "text" and ids.where:
        # Without pandas: to import it takes as long as a small export.
        names = decode_text(np.asarray(ids.array[start:stop]).reshape(-1), ids.where)
        if ids.mask is not None:
            is_missing = np.asarray(ids.mask[start:stop]).reshape(-1).astype(bool)
            names = [None if gone else name for name, gone in zip(names, is_missing, strict=True)]
    else:
        names = read_names(ids, start, stop)
    return [_MISSING if name is None else str(name) for name in names]


def _describe(source: Source) -> TypedColumn:
    index: Any = source.obs.index
    if index.length != source.n_cells:
        what = f"has {index.length} rows, but there are {source.n_cells} cells"
        raise InputError(what)
    try:
        return index.typed()
    except InputError:  # dates and the like, which are read whole
        texts = np.empty(index.length, object)
        texts[:] = index.strings()
        return TypedColumn("text", texts)


def _refuse_missing_chunks(index: Column) -> None:
    found = find_missing_chunks(uses_of_ids(index), accept=False)
    if found.problems:
        raise InputError.of(found.problems)
