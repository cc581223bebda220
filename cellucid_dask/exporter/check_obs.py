"""Which obs columns will be exported, as what, and what is wrong with them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.format import U8, U16, Code, category_code
from cellucid_dask.options import ExportOptions, suggest
from cellucid_dask.source.columns import Column
from cellucid_dask.source.core import Source


@dataclass(frozen=True, slots=True)
class ObsField:
    """One obs column that will be exported.

    Parameters
    ----------
    key
        Its name.
    column
        How it is read.
    categories
        Its categories; empty for a continuous column.
    code
        Code of its categories; None for a continuous column.
    """

    key: str
    column: Column
    categories: tuple[str, ...] = ()
    code: Code | None = None


def survey_obs(source: Source, options: ExportOptions, catalog: Any) -> None:
    """Add the columns to `catalog.obs`, and what is wrong with them to its problems."""
    known = list(source.obs.columns)
    keys = options.obs_keys if options.obs_keys is not None else tuple(known)
    for name in source.obs.repeated:
        if name in keys:
            catalog.problems.append(
                Problem("stands on more than one column", f"obs[{name!r}]", "rename one of them")
            )
    for key in keys:
        if key not in source.obs.columns:
            fix = suggest(key, known, noun="obs has")
            catalog.problems.append(Problem(f"obs has no column {key!r}", "--obs-key", fix))
            continue
        column = source.obs.columns[key]
        if isinstance(column, CellucidDaskError):
            catalog.problems.extend(column.problems)
            continue
        try:
            field = _field(key, column, source, options, catalog)
        except CellucidDaskError as error:
            catalog.problems.extend(error.problems)
            continue
        if field is not None:
            catalog.obs.append(field)


def _field(
    key: str, column: Column, source: Source, options: ExportOptions, catalog: Any
) -> ObsField | None:
    where = f"obs[{key!r}]"
    if column.length != source.n_cells:
        what = f"has {column.length} rows, but there are {source.n_cells} cells"
        catalog.problems.append(Problem(what, where))
        return None
    if column.kind == "continuous":
        return ObsField(key, column)
    if column.kind != "category":
        catalog.problems.append(Problem(column.kind, where, _leave_out(key, source)))
        return None
    try:
        categories = tuple(column.categories())
    except TypeError as error:  # lists, dicts: what pandas cannot compare
        what = f"has values that cannot be categories ({error})"
        catalog.problems.append(Problem(what, where, _leave_out(key, source)))
        return None
    n, code = len(categories), category_code(len(categories), options.categorical_dtype)
    if n >= code.missing:
        fix = _leave_out(key, source) if n >= U16.missing else "use --categorical-dtype auto"
        what = f"has {n} categories; {code.dtype} codes hold {code.missing - (code is U16)}"
        what = what if code is U16 else f"has {n} categories; uint8 codes hold {U8.missing - 1}"
        catalog.problems.append(Problem(what, where, fix))
        return None
    if len(set(categories)) < n:
        catalog.warnings.append(f"{where} has categories that read the same as text")
    return ObsField(key, column, categories, code)


def _leave_out(key: str, source: Source) -> str:
    others = [name for name in source.obs.columns if name != key]
    if not others:
        return "group it into fewer categories, or make it numeric"
    listed = " ".join(f"--obs-key {shlex.quote(name)}" for name in others[:20])
    more = " ..." if len(others) > 20 else ""
    return f"leave it out by naming the others: {listed}{more}"
