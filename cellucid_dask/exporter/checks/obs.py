"""The obs columns that will be exported, their kinds, and their problems."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from cellucid_dask.errors import CellucidDaskError, InputError, Problem, TextError, suggest
from cellucid_dask.exporter.checks.colors import survey_colors
from cellucid_dask.format import U16, Code, category_code
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.model import Source


@dataclass(frozen=True, slots=True)
class ObsField:
    """One obs column that will be exported.

    Parameters
    ----------
    key
        Name of the column.
    column
        Reads the column.
    categories
        Categories; empty for a continuous column.
    code
        Code of its categories; None for a continuous column.
    colors
        ``#rrggbb`` of each category; empty where the input has none.
    """

    key: str
    column: Column
    categories: tuple[str, ...] = ()
    code: Code | None = None
    colors: tuple[str, ...] = ()


def survey_obs(source: Source, options: ExportOptions, catalog: Any) -> None:
    """Add the columns to `catalog.obs`, and their problems to `catalog.problems`."""
    known = list(source.obs.columns)
    keys = options.obs_keys if options.obs_keys is not None else tuple(known)
    for name in source.obs.repeated:
        if name in keys:
            catalog.problems.append(
                Problem("stands on more than one column", f"obs[{name!r}]", "rename one of them")
            )
    refused: dict[str, tuple[Problem, ...]] = {}
    for key in keys:
        if key not in source.obs.columns:
            fix = suggest(key, known, noun="obs has")
            catalog.problems.append(Problem(f"obs has no column {key!r}", "--obs-key", fix))
            continue
        try:
            field = _field(key, source.obs.columns[key], source, options, catalog)
        except TextError as error:
            refused[key] = tuple(Problem(p.what, f"obs[{key!r}]") for p in error.problems)
        except CellucidDaskError as error:
            refused[key] = error.problems
        else:
            catalog.obs.append(field)
    others = [key for key in keys if key in source.obs.columns and key not in refused]
    for problem in (problem for problems in refused.values() for problem in problems):
        fix = "; or ".join(filter(None, (problem.fix, _leave_out(others))))
        catalog.problems.append(Problem(problem.what, problem.where, fix))


def _field(
    key: str,
    column: Column | CellucidDaskError,
    source: Source,
    options: ExportOptions,
    catalog: Any,
) -> ObsField:
    """Describe one column; raise its problem."""
    if isinstance(column, CellucidDaskError):
        raise column
    where = f"obs[{key!r}]"
    if column.length != source.n_cells:
        what = f"has {column.length} rows, but there are {source.n_cells} cells"
        raise InputError(what, where=where)
    if column.kind == "continuous":
        return ObsField(key, column)
    if column.kind != "category":
        raise InputError(column.kind, where=where)
    try:
        categories = tuple(column.categories())
    except TypeError as error:  # lists and dicts, which pandas cannot compare
        what = f"has values that cannot be categories ({error})"
        raise InputError(what, where=where) from error
    n, code = len(categories), category_code(len(categories), options.categorical_dtype)
    if n >= code.missing:
        what = f"has {n} categories; {code.dtype} codes hold {code.missing - 1}"
        fix = "use --categorical-dtype auto" if n < U16.missing else ""
        raise InputError(what, where=where, fix=fix)
    if len(set(categories)) < n:
        catalog.warnings.append(f"{where} has categories that read the same as text")
    colors = survey_colors(key, column, categories, source, catalog)
    return ObsField(key, column, categories, code, colors)


def _leave_out(others: list[str]) -> str:
    """Fix that leaves a column out, if `others` can be shown."""
    if not others:
        return "obs has no other column to show: change this one in the file, or remove it"
    listed = " ".join(f"--obs-key {shlex.quote(name)}" for name in others[:20])
    more = " ..." if len(others) > 20 else ""
    return f"leave it out by naming the others: {listed}{more}"
