"""The colors that the input has for the categories of an obs column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cellucid_dask.errors import CellucidDaskError, InputError, MachineError
from cellucid_dask.format import color_code
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.colors import read_colors
from cellucid_dask.source.model import COLORS_ENDING, Source
from cellucid_dask.source.rows.reordered_column import ReorderedColumn
from cellucid_dask.source.rows.selected_columns import SelectedColumn


def survey_colors(
    key: str, column: Column, categories: Sequence[str], source: Source, catalog: Any
) -> tuple[str, ...]:
    """Find the color of each category, as ``#rrggbb``; nothing where the input has none.

    What cannot be used is a warning: the viewer has colors of its own.
    """
    try:
        return _find_colors(key, column, categories, source)
    except MachineError:
        raise  # which says nothing of the colors
    except CellucidDaskError as error:
        place, what = f"uns[{key + COLORS_ENDING!r}]", error.problems[0].what
        catalog.warnings.append(f"colors of obs[{key!r}] are not used: {place} {what}")
        return ()


def _find_colors(
    key: str, column: Column, categories: Sequence[str], source: Source
) -> tuple[str, ...]:
    given = _given_colors(key, column, categories, source)
    if given is None:
        return ()
    colors = tuple(map(color_code, given))
    for category, value, color in zip(categories, given, colors, strict=True):
        if not color:
            raise InputError(f"has {value!r:.60} for {category!r:.60}, which is no known color")
    return colors


def _given_colors(
    key: str, column: Column, categories: Sequence[str], source: Source
) -> list[Any] | None:
    """What the input has for each category; None where it has nothing."""
    whole = column
    while isinstance(whole, SelectedColumn | ReorderedColumn):
        whole = whole.column
    if whole is column:
        return read_colors(source, key, len(categories))
    if read_colors(source, key, 0) is None:
        return None
    stored = whole.categories()  # also those that no cell of the export has: they have colors too
    colors = dict(zip(stored, read_colors(source, key, len(stored)) or (), strict=True))
    return [colors[category] for category in categories]
