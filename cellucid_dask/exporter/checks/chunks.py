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
from cellucid_dask.source.chunks.missing import find_missing_chunks
from cellucid_dask.source.model import Source
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
    """Add what is wrong with missing chunks of the arrays in `uses` to `catalog`."""
    if source.path is None:  # nothing is read from disk
        return
    records = uses_of_records(locate_store(source.path), raw=options.raw)
    found = find_missing_chunks([*records, *uses], accept=options.accept_missing_chunks)
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
