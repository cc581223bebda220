"""What a run will write in all its formats, checked at once."""

from __future__ import annotations

from collections.abc import Mapping

from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.exporter.checks.survey import Catalog, survey
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.source.discover import Discovery
from cellucid_dask.source.model import Source


def survey_outputs(
    source: Source,
    options: ExportOptions,
    vectors: Mapping[str, Mapping[int, str]] | None = None,
    name: str = "",
) -> Catalog:
    """Find what will be written in each format, and every problem of it.

    Without the folder format, the catalog has the genes and no more than the ready files have.

    Parameters
    ----------
    vectors
        As `cellucid_dask.exporter.checks.survey.survey` takes them.
    name
        What ready files call the dataset if neither the options nor the data say so.
    """
    if options.formats == (FOLDER,):
        return survey(source, options, vectors)
    ready = survey_ready(source, options, name)  # leaves out at least the cells that a folder would
    if FOLDER in options.formats:
        catalog = survey(ready.source, options, vectors)
    else:
        catalog = Catalog(ready.n_cells, Discovery(), ready.source, genes=ready.genes)
    catalog.ready = ready
    catalog.problems = list(dict.fromkeys([*catalog.problems, *ready.problems]))
    catalog.warnings = list(dict.fromkeys([*catalog.warnings, *ready.warnings]))
    catalog.notes = list(dict.fromkeys([*catalog.notes, *ready.notes]))
    return catalog
