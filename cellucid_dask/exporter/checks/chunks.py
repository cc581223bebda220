"""Missing chunks of the arrays that an export reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.exporter.checks.genes import expression_key
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.chunks.array_uses import (
    Part,
    Use,
    uses_of_array,
    uses_of_column,
    uses_of_ids,
    uses_of_matrix,
    uses_of_records,
)
from cellucid_dask.source.chunks.lost_elements import add_lost_elements
from cellucid_dask.source.chunks.missing import find_missing_chunks
from cellucid_dask.source.model import COLORS_ENDING, Source
from cellucid_dask.source.record import PLACE
from cellucid_dask.source.storage.store import locate_store


def survey_chunks(source: Source, options: ExportOptions, catalog: Any) -> None:
    """Add what is wrong with missing chunks to `catalog`.

    These problems come first, since others may follow from them.
    """
    whole = source.all_cells or source  # chunks hold cells that are left out as well
    report_missing_chunks(source, options, catalog, _uses(whole, options, catalog))


def report_missing_chunks(
    source: Source, options: ExportOptions, catalog: Any, uses: Iterable[Use]
) -> None:
    """Add what is wrong with missing chunks of the arrays in `uses` to `catalog`.

    The same for arrays that the store lost whole, which are none of `uses`.
    """
    if source.path is None:  # nothing is read from disk
        return
    store, accept = locate_store(source.path), options.accept_missing_chunks
    found = find_missing_chunks([*uses_of_records(store, raw=options.raw), *uses], accept=accept)
    add_lost_elements(found, store, lambda key: _is_wanted(key, options), accept=accept)
    catalog.missing_chunks = found
    catalog.problems[:0] = found.problems
    catalog.warnings += found.warnings


def _uses(source: Source, options: ExportOptions, catalog: Any) -> Iterator[Use]:
    """Arrays that the chosen elements need, and no others."""
    if options.expression:
        yield from _uses_of_genes(source, options)
    for field in catalog.obs:
        column, names = source.obs.columns[field.key], field.categories
        if isinstance(column, CellucidDaskError):
            continue
        yield from uses_of_column(column, tuple(column.categories()) if names else ())
    embeddings = catalog.found.shown
    others = [key for dims in catalog.found.vectors.values() for key in dims.values()]
    for key in dict.fromkeys([*embeddings, *others, catalog.latent]):
        array = source.obsm.get(key)
        if array is not None and not isinstance(array, CellucidDaskError):
            yield from uses_of_array(array, Part.POINTS if key in embeddings else Part.AXES)
    graph = source.matrices.get(f"obsp/{catalog.graph_key}")
    if graph is not None and not isinstance(graph, CellucidDaskError):
        yield from uses_of_matrix(graph)


def _uses_of_genes(source: Source, options: ExportOptions) -> Iterator[Use]:
    matrix = source.matrices.get(expression_key(options))
    if matrix is not None and not isinstance(matrix, CellucidDaskError):
        yield from uses_of_matrix(matrix)
    table, name = source.raw_var if options.raw else source.var, options.gene_id_column
    if table is not None and not isinstance(table, CellucidDaskError):
        ids = table.index if name == "index" else table.columns.get(name)
        if ids is not None and not isinstance(ids, CellucidDaskError):
            yield from uses_of_ids(ids)


def _is_wanted(key: str, options: ExportOptions) -> bool:
    """Whether an export reads an array, if it is there.

    Columns of obs and var that are lost are told by who misses them: their table names them.
    """
    inner = key if options.modality is None else key.removeprefix(f"mod/{options.modality}/")
    if inner.startswith(("obsm/", f"{PLACE}/")):
        return True
    if inner.startswith("uns/"):
        return inner.endswith(COLORS_ENDING)
    elements = [expression_key(options)] * options.expression
    elements += [f"obsp/{options.graph or 'connectivities'}"] * options.connectivity
    return any(inner == element or inner.startswith(f"{element}/") for element in elements)
