"""The genes that will be exported, their matrix, and their problems."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, Problem, TextError, suggest
from cellucid_dask.exporter.checks.gene_hints import hint_at_raw, hint_at_symbols
from cellucid_dask.exporter.checks.gene_symbols import Symbols, find_symbols
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.model import Frame, Source

_NO_OTHER_IDS = (
    "var has no column of unique texts to name with --gene-id-column: write the ids in UTF-8"
)


@dataclass(frozen=True, slots=True)
class Genes:
    """The genes that will be exported.

    Parameters
    ----------
    ids
        Gene ids in export order.
    columns
        (len(ids),) int64, the column of each in the matrix.
    matrix
        (n_cells, n_var) expression.
    symbols
        Another name of each; None where none is known.
    """

    ids: list[str]
    columns: NDArray[np.int64]
    matrix: Matrix
    symbols: Symbols | None = None

    @property
    def whole(self) -> bool:
        """Whether all columns are exported in their own order."""
        n = self.matrix.shape[1]
        return len(self.ids) == n and bool(np.array_equal(self.columns, np.arange(n)))


def expression_key(options: ExportOptions) -> str:
    """Key of the matrix that holds the expression."""
    return "raw/X" if options.raw else f"layers/{options.layer}" if options.layer else "X"


def survey_genes(source: Source, options: ExportOptions, catalog: Any) -> Genes | None:
    """Find the matrix and the genes; add problems to ``catalog.problems``."""
    key = expression_key(options)
    matrix = source.matrices.get(key)
    table = source.raw_var if options.raw else source.var
    if matrix is None or table is None:
        _absent(source, options, catalog)
        return None
    if isinstance(matrix, CellucidDaskError):
        catalog.problems.extend(matrix.problems)
        return None
    if isinstance(table, CellucidDaskError):
        catalog.problems.extend(table.problems)
        return None
    catalog.notes.append(f"genes     {key}")
    expected = (source.n_cells, table.length)
    if matrix.shape != expected:
        what = f"has shape {matrix.shape}, but obs and var say {expected} (cells x genes)"
        if matrix.shape == expected[::-1]:
            what += "; it is transposed"
        catalog.problems.append(Problem(what, key, "give it as cells x genes"))
        return None
    ids = _ids(table, options, catalog)
    if ids is not None:
        hint_at_symbols(ids, table, options, catalog)
        hint_at_raw(source, matrix, options, catalog)
    chosen = None if ids is None else _choose(ids, table, options, catalog)
    if chosen is None:
        return None
    symbols = find_symbols(table, options.gene_id_column, ids or [], chosen)
    columns = np.asarray(chosen, np.int64)
    return Genes([ids[i] for i in chosen] if ids else [], columns, matrix, symbols)


def _absent(source: Source, options: ExportOptions, catalog: Any) -> None:
    if options.raw:
        catalog.problems.append(Problem("there is no raw matrix", source.where, "omit --raw"))
    elif options.layer:
        layers = source.keys("layers")
        fix = suggest(options.layer, layers, noun="layers has")
        what = f"there is no layer {options.layer!r}"
        catalog.problems.append(Problem(what, "--layer", fix))
    elif options.genes:
        fix = "; or ".join(_other_matrices(source))
        what = "there is no X, so no gene can be exported"
        catalog.problems.append(Problem(what, source.where, fix))
    else:
        catalog.notes.append("no genes  there is no X")
        other = "; or ".join(_other_matrices(source))
        warning = "there is no X: the export holds no genes"
        catalog.warnings.append(f"{warning}; {other}" if other else warning)


def _other_matrices(source: Source) -> list[str]:
    """Say which matrices a file without X has, and the option that takes each."""
    raw = None if isinstance(source.raw_var, CellucidDaskError) else source.raw_var
    found = [] if raw is None else [f"raw has {raw.length:,} genes: use --raw"]
    if layers := source.keys("layers"):
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        named = ", ".join(map(repr, layers[:3]))
        found.append(f"layers has {named}{more}: use --layer {shlex.quote(layers[0])}")
    return found


def _ids(table: Frame, options: ExportOptions, catalog: Any) -> list[str] | None:
    name = options.gene_id_column
    column = table.index if name == "index" else table.columns.get(name)
    if column is None:
        what, fix = f"var has no column {name!r}", suggest(name, [*table.columns, "index"])
        catalog.problems.append(Problem(what, "--gene-id-column", fix))
        return None
    try:
        if isinstance(column, CellucidDaskError):
            raise column
        ids = column.strings()
    except CellucidDaskError as error:
        other = _unique(table, name)
        fix = f"use --gene-id-column {shlex.quote(other)}" if other else _NO_OTHER_IDS
        where = "var index" if name == "index" else f"var[{name!r}]"
        for problem in error.problems:
            place = where if isinstance(error, TextError) else problem.where
            catalog.problems.append(Problem(problem.what, place, problem.fix or fix))
        return None
    if options.rename_duplicates and len(set(ids)) < len(ids):
        renamed = _make_unique(ids)
        n = sum(a != b for a, b in zip(ids, renamed, strict=True))
        catalog.warnings.append(f"{n} repeated gene ids were renamed")
        return renamed
    return ids


def _make_unique(ids: Sequence[str]) -> list[str]:
    import warnings

    import pandas as pd
    from anndata.utils import make_index_unique

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that already ends in -1 does not matter here
        return [str(name) for name in make_index_unique(pd.Index(ids, dtype=object))]


def _choose(
    ids: list[str], table: Frame, options: ExportOptions, catalog: Any
) -> Sequence[int] | None:
    """Columns to export, in order; None after a problem."""
    wanted = ids if options.genes is None else options.genes
    if options.genes is not None:
        position = {gene: i for i, gene in enumerate(ids)}
        unknown = [gene for gene in wanted if gene not in position]
        for gene in unknown[:10]:
            fix = suggest(gene, ids, noun="genes are")
            catalog.problems.append(Problem(f"there is no gene {gene!r}", "--gene", fix))
        if len(unknown) > 10:
            catalog.problems.append(Problem(f"and {len(unknown) - 10} more genes", "--gene"))
        if unknown:
            return None
    counts = Counter(ids)
    twice = [gene for gene in dict.fromkeys(wanted) if counts[gene] > 1]
    if twice:
        names = ", ".join(f"{gene!r} ({counts[gene]} times)" for gene in twice[:10])
        more = f", and {len(twice) - 10} more" if len(twice) > 10 else ""
        what = f"gene ids are not unique: {names}{more}"
        where = (
            "var index" if options.gene_id_column == "index" else f"var[{options.gene_id_column!r}]"
        )
        catalog.problems.append(Problem(what, where, _instead(table, options)))
        return None
    if options.genes is None:
        return range(len(ids))
    return [position[gene] for gene in wanted]


def _instead(table: Frame, options: ExportOptions) -> str:
    """Fix that names a column of var with unique values."""
    unique = _unique(table, options.gene_id_column)
    other = f"--gene-id-column {shlex.quote(unique)}, or " if unique else ""
    return f"use {other}--rename-duplicates"


def _unique(table: Frame, used: str) -> str:
    """Name the first column of var, but for `used`, whose texts are unique; or return ""."""
    for name, column in {"index": table.index, **table.columns}.items():
        if name == used or isinstance(column, CellucidDaskError) or column.kind != "category":
            continue
        try:
            values = column.strings()
        except (CellucidDaskError, TypeError):
            continue
        if len(set(values)) == len(values):
            return name
    return ""
