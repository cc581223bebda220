"""A `Source` of which only some cells are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.model import Source
from cellucid_dask.source.rows.row_selection import KeptRows
from cellucid_dask.source.rows.selected_arrays import keep_places
from cellucid_dask.source.rows.selected_columns import KeptColumn
from cellucid_dask.source.rows.selected_matrix import keep_rows
from cellucid_dask.source.storage.damage import result_or_error


def keep_cells(source: Source, kept: KeptRows) -> Source:
    """Leave all but the `kept` cells out of every array of a source.

    Categories that no kept cell has are left out too, as when an AnnData is subset.
    """
    return replace(
        source,
        obs=replace(
            source.obs,
            length=kept.n_kept,
            columns=_Each(source.obs.columns, lambda column, _: KeptColumn(column, kept)),
        ),
        obsm=_Each(source.obsm, lambda array, key: keep_places(array, kept, key)),
        matrices=_Each(source.matrices, lambda matrix, key: keep_rows(matrix, kept, key)),
        whole=source,
        kept=kept,
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
