"""The tables of a ready file: obs and var with their row names, and all that is wrong with them."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, InputError, Problem, TextError
from cellucid_dask.exporter.checks.genes import expression_key
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.columns import describe_column
from cellucid_dask.exporter.checks.ready.names import key_problems
from cellucid_dask.exporter.checks.ready.row_names import (
    Repeats,
    find_repeats,
    pieces_of_names,
    read_names,
)
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.model import Frame, Source

INDEX: Final = "_index"  # under which a table has its row names
_SHOWN: Final = 5  # repeated names that a message shows


def survey_tables(source: Source, options: ExportOptions, catalog: ReadyCatalog) -> None:
    """Add obs, var and the names of cells and genes to `catalog`, whose genes are chosen."""
    _survey_obs(source, options, catalog)
    table = source.raw_var if options.raw else source.var
    there = options.expression and expression_key(options) in source.matrices
    if there and isinstance(table, Frame):  # else `survey_genes` says what is wrong
        _survey_var(table, options, catalog)


def _survey_obs(source: Source, options: ExportOptions, catalog: ReadyCatalog) -> None:
    names = _names(source.obs.index, source.n_cells, "obs index", options, catalog)
    catalog.rename_cells = names is not None and _is_renamed(names, options, catalog)
    columns, refused = _describe(source.obs, "obs", source.n_cells, None, options)
    catalog.obs = columns
    chosen = tuple(source.obs.columns) if options.obs_keys is None else options.obs_keys
    for key, problems in refused.items():
        if key not in chosen:
            catalog.warnings.append(f"obs[{key!r}] is left out: it {problems[0].what}")
            continue
        others = _name_others([name for name in source.obs.columns if name not in refused])
        catalog.problems += [
            replace(problem, fix="; or ".join(filter(None, (problem.fix, others))))
            for problem in problems
        ]
    kept = [key for key in source.obs.columns if key not in refused]
    catalog.problems += key_problems(kept, "obs columns", taken=(INDEX,))


def _survey_var(table: Frame, options: ExportOptions, catalog: ReadyCatalog) -> None:
    rows = np.arange(table.length) if catalog.genes is None else catalog.genes.columns
    names = _names(table.index, table.length, "var index", options, catalog)
    if names is not None:
        catalog.gene_names = _gene_names(names, rows, options, catalog)
    catalog.var, refused = _describe(table, "var", table.length, rows, options)
    catalog.problems += [
        replace(problem, fix="; or ".join(filter(None, (problem.fix, "remove the column"))))
        for problems in refused.values()
        for problem in problems
    ]
    catalog.problems += key_problems(table.columns, "var columns", taken=(INDEX,))


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of rows, none of which is empty, and which of them repeat."""

    column: TypedColumn
    repeats: Repeats | None


def _names(
    index: Column | CellucidDaskError,
    length: int,
    where: str,
    options: ExportOptions,
    catalog: ReadyCatalog,
) -> _Names | None:
    """Read names; None after a problem."""
    try:
        column = _typed(index, length)
        return _Names(column, find_repeats(column, in_hdf5=_in_hdf5(options)))
    except CellucidDaskError as error:
        catalog.problems += _placed(error, where)
        return None


def _is_renamed(names: _Names, options: ExportOptions, catalog: ReadyCatalog) -> bool:
    """Whether names of cells repeat and are to be renamed."""
    if names.repeats is None:
        return False
    later = np.flatnonzero(names.repeats.ordinals)
    examples = [read_names(names.column, int(row), int(row) + 1)[0] for row in later[:_SHOWN]]
    _tell(later.size, examples, "cell", "obs index", options, catalog)
    return options.rename_duplicates


def _gene_names(
    names: _Names, rows: NDArray[np.int64], options: ExportOptions, catalog: ReadyCatalog
) -> list[str]:
    """Names of the genes in `rows`; the names of all are made unique where any are."""
    pieces = [piece for _, piece in pieces_of_names(names.column)]
    every = np.concatenate([np.empty(0, object), *pieces])
    if names.repeats is None:
        return list(every[rows])
    later = rows[names.repeats.ordinals[rows] > 0]
    if not options.rename_duplicates:
        counts = Counter(every[rows])
        later = np.array([row for row in later if counts[every[row]] > 1], int)
    # Where the index has the ids of genes, `survey_genes` has said it.
    if later.size and options.gene_id_column != "index":
        _tell(later.size, list(every[later]), "gene", "var index", options, catalog)
    unique = names.repeats.rename(0, every) if options.rename_duplicates else every
    return list(unique[rows])


def _tell(
    n: int,
    examples: list[str],
    noun: str,
    where: str,
    options: ExportOptions,
    catalog: ReadyCatalog,
) -> None:
    """Say that names repeat: a warning where they are made unique, else a problem."""
    shown = ", ".join(map(repr, dict.fromkeys(examples[:_SHOWN])))
    what = f"{n:,} {noun}{' has' if n == 1 else 's have'} the name of another, such as {shown}"
    if options.rename_duplicates:
        catalog.warnings.append(f"{where}: {what}; -1, -2, ... is appended")
    else:
        catalog.problems.append(Problem(what, where, "use --rename-duplicates"))


def _describe(
    table: Frame, name: str, length: int, rows: NDArray[np.int64] | None, options: ExportOptions
) -> tuple[list[ReadyColumn], dict[str, list[Problem]]]:
    """Describe the columns of a table, of some rows; and say what is wrong with the others."""
    columns: list[ReadyColumn] = []
    refused: dict[str, list[Problem]] = {}
    for key, column in table.columns.items():
        where = f"{name}[{key!r}]"
        if key in table.repeated:
            what = "stands on more than one column"
            refused[key] = [Problem(what, where, "rename one of them")]
            continue
        try:
            typed = _typed(column, length)
            typed = typed if rows is None else typed.take(rows)
            columns.append(describe_column(key, typed, in_hdf5=_in_hdf5(options)))
        except CellucidDaskError as error:
            refused[key] = _placed(error, where)
    return columns, refused


def _in_hdf5(options: ExportOptions) -> bool:
    return "h5ad" in options.formats


def _typed(column: Column | CellucidDaskError, length: int) -> TypedColumn:
    """The column in its own type; raise what is wrong with it."""
    if isinstance(column, CellucidDaskError):
        raise column
    if column.length != length:
        raise InputError(f"has {column.length:,} rows, but the table has {length:,}")
    return column.typed()


def _placed(error: CellucidDaskError, where: str) -> list[Problem]:
    """Problems of a column; those of a damaged file keep the place that they name."""
    plain = isinstance(error, TextError)
    return [replace(p, where=where if plain or not p.where else p.where) for p in error.problems]


def _name_others(others: list[str]) -> str:
    """Fix that leaves a column out."""
    if not others:
        return ""
    listed = " ".join(f"--obs-key {shlex.quote(name)}" for name in others[:20])
    more = " ..." if len(others) > 20 else ""
    return f"leave it out by naming the others: {listed}{more}"
