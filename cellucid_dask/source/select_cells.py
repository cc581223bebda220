"""A `Source` of which only some cells are selected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.model import Source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.rows.selected_arrays import select_obsm_rows
from cellucid_dask.source.rows.selected_columns import SelectedColumn
from cellucid_dask.source.rows.selected_matrix import select_matrix_rows
from cellucid_dask.source.storage.damage import result_or_error


def select_cells(source: Source, selection: RowSelection) -> Source:
    """Leave all but the selected cells out of every array of a source.

    Categories that no selected cell has are left out too, as when an AnnData is subset.
    """
    index = source.obs.index
    return replace(
        source,
        obs=replace(
            source.obs,
            length=selection.n_selected,
            index=index
            if isinstance(index, CellucidDaskError)
            else SelectedColumn(index, selection),
            columns=_Each(source.obs.columns, lambda column, _: SelectedColumn(column, selection)),
        ),
        obsm=_Each(source.obsm, lambda array, key: select_obsm_rows(array, selection, key)),
        matrices=_Each(
            source.matrices, lambda matrix, key: select_matrix_rows(matrix, selection, key)
        ),
        all_cells=source,
        selection=selection,
    )


class _Each(Mapping[str, Any]):
    """Members of a mapping, each turned into another when it is asked for; errors stay."""

    def __init__(self, members: Mapping[str, Any], turn: Callable[[Any, str], Any]) -> None:
        self._members, self._turn = members, turn

    def __getitem__(self, key: str) -> Any:
        member = self._members[key]
        if isinstance(member, CellucidDaskError):
            return member
        return result_or_error(lambda member, key: self._turn(member, key), member, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
