"""Chunks that a ready file lacks: who reads it as it lies would take them for zeros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

from cellucid_dask.errors import CellucidDaskError, MachineError, refuse_fault
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.source.chunks.array_uses import (
    Part,
    Use,
    uses_of_array,
    uses_of_column,
    uses_of_ids,
    uses_of_matrix,
)
from cellucid_dask.source.chunks.missing import Findings, find_missing_chunks
from cellucid_dask.source.inputs.mudata import is_mudata, modalities
from cellucid_dask.source.model import Frame, Source
from cellucid_dask.source.open import open_source
from cellucid_dask.source.record import PLACE
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.store import Store

Opened = TypeVar("Opened")

_UNREADABLE: Final[tuple[type[Exception], ...]] = (CellucidDaskError, *DAMAGE)


def find_missing(store: Store, *, accept: bool) -> Findings | None:
    """Find the chunks that a ready file lacks, of all of its arrays, and judge them.

    Chunks are listed, not read, so that this takes a second for half a million of them.

    Parameters
    ----------
    accept
        Whether the user takes missing chunks for what they read as, wherever that is possible.

    Returns
    -------
    None where an element cannot be opened.
    """
    try:
        with store.open() as root:
            names: tuple[str | None, ...] = modalities(root) if is_mudata(root) else (None,)
        uses = [use for name in names for use in _uses(open_source(store.path, name))]
    except MachineError:
        raise  # which says nothing of the element
    except _UNREADABLE as error:
        refuse_fault(error, store.path)
        return None
    return find_missing_chunks([*uses, Use(store, PLACE, Part.COLUMN)], accept=accept)


def _uses(source: Source) -> Iterator[Use]:
    """All arrays of a source.

    Raises
    ------
    CellucidDaskError
        That of an element that cannot be opened.
    """
    for matrix in source.matrices.values():
        if isinstance(matrix, CellucidDaskError):  # a union, of which `_opened` would lose track
            raise matrix
        yield from uses_of_matrix(matrix)
    for table in (source.obs, source.var, source.raw_var):
        if table is not None:
            yield from _uses_of_table(_opened(table))
    for array in source.obsm.values():
        shape = _opened(array).shape
        part = Part.POINTS if len(shape) == 2 and shape[1] in DIMENSIONS else Part.AXES
        yield from uses_of_array(array, part)


def _uses_of_table(table: Frame) -> Iterator[Use]:
    yield from uses_of_ids(_opened(table.index))
    for column in map(_opened, table.columns.values()):
        names = tuple(column.categories()) if column.kind == "category" else ()
        yield from uses_of_column(column, names)


def _opened(element: Opened | CellucidDaskError) -> Opened:
    if isinstance(element, CellucidDaskError):
        raise element
    return element
