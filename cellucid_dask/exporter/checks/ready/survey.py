"""Everything that can be wrong with an input of ready files, found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.exporter.checks.chunks import report_missing_chunks
from cellucid_dask.exporter.checks.genes import expression_key, survey_genes
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.cell_arrays import find_complete_cells, survey_obsm
from cellucid_dask.exporter.checks.ready.defaults import (
    choose_min_points,
    stored_defaults,
    stored_latent,
)
from cellucid_dask.exporter.checks.ready.graph import survey_graph
from cellucid_dask.exporter.checks.ready.outliers import survey_outliers
from cellucid_dask.exporter.checks.ready.record import find_record, survey_record
from cellucid_dask.exporter.checks.ready.tables import survey_tables
from cellucid_dask.exporter.checks.survey import left_out, warn_of_unused
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.chunks.array_uses import (
    Part,
    Use,
    uses_of_array,
    uses_of_column,
    uses_of_ids,
    uses_of_matrix,
)
from cellucid_dask.source.model import Frame, Source
from cellucid_dask.source.select_cells import select_cells


def survey_ready(source: Source, options: ExportOptions, name: str = "") -> ReadyCatalog:
    """Find what a ready file will hold, and every problem of it.

    Parameters
    ----------
    name
        What the dataset is called if neither the options nor the data say so; by default as the
        source.
    """
    if options.drop_cells_without_embedding and source.selection is None:
        kept = find_complete_cells(source)
        if kept is not None:
            source = select_cells(source, kept)
    catalog = ReadyCatalog(source.n_cells, source)
    catalog.notes += source.notes
    catalog.warnings += source.warnings
    if not source.n_cells:
        catalog.problems.append(Problem("has no cells", source.where))
    if source.selection is not None:
        catalog.warnings.append(left_out(source.selection))
    survey_obsm(source, options, catalog)
    if options.expression:
        catalog.genes = survey_genes(source, options, catalog)
    survey_tables(source, options, catalog)
    if source.n_cells:
        survey_graph(source, options, catalog)
    given = find_record(source, catalog)
    defaults = stored_defaults(given)
    catalog.min_points = choose_min_points(options, defaults)
    survey_outliers(source, options, catalog, stored_latent(options, defaults, catalog))
    survey_record(source, options, given, name or source.name, catalog)
    warn_of_unused(source, catalog)
    whole = source.all_cells or source  # chunks hold cells that are left out as well
    report_missing_chunks(source, options, catalog, _uses(whole, options, catalog))
    return catalog


def _uses(source: Source, options: ExportOptions, catalog: ReadyCatalog) -> Iterator[Use]:
    """Arrays that a ready file is made of; what cannot be read is told by who reads it."""
    if options.expression:
        matrix = source.matrices.get(expression_key(options))
        if matrix is not None and not isinstance(matrix, CellucidDaskError):
            yield from uses_of_matrix(matrix)
        table = source.raw_var if options.raw else source.var
        if isinstance(table, Frame):
            yield from _uses_of_table(table, {column.layout.key: () for column in catalog.var})
    chosen = source.obs.columns if options.obs_keys is None else options.obs_keys
    categories: dict[str, tuple[str, ...]] = {  # also of those refused, perhaps for lost chunks
        key: () for key in chosen if key in source.obs.columns
    }
    for column in catalog.obs:
        categories[column.layout.key] = tuple(map(str, column.categories.tolist()))
    yield from _uses_of_table(source.obs, categories)
    widths = {key: array.shape[1] for key, array in catalog.obsm.items()}
    fields = find_vector_fields(widths)
    for key, width in widths.items():
        part = Part.POINTS if width in DIMENSIONS and key not in fields else Part.AXES
        yield from uses_of_array(source.obsm[key], part)
    graph = source.matrices.get(f"obsp/{options.graph or 'connectivities'}")
    if catalog.graph is not None and graph is not None and not isinstance(graph, CellucidDaskError):
        yield from uses_of_matrix(graph)


def _uses_of_table(table: Frame, categories: dict[str, tuple[str, ...]]) -> Iterator[Use]:
    """Arrays of the row names, and of the columns whose categories are known."""
    if not isinstance(table.index, CellucidDaskError):
        yield from uses_of_ids(table.index)
    for key, names in categories.items():
        column = table.columns[key]
        if not isinstance(column, CellucidDaskError):
            yield from uses_of_column(column, names)
