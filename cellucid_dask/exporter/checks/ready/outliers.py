"""The latent space and the columns of the outlier quantiles of a ready file."""

from __future__ import annotations

import numpy as np

from cellucid_dask.errors import CellucidDaskError, Problem, suggest
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.columns import category_codes, n_categories
from cellucid_dask.format import DIMENSIONS
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.vector_fields import find_vector_fields
from cellucid_dask.source.discover import named_latent_key
from cellucid_dask.source.model import Source


def survey_outliers(
    source: Source, options: ExportOptions, catalog: ReadyCatalog, named_in_record: str | None
) -> None:
    """Choose the latent space, and the columns with a category of enough cells.

    Sets ``catalog.latent`` and ``catalog.outliers``; needs ``obsm``, ``obs`` and ``min_points``.

    Parameters
    ----------
    named_in_record
        Latent key that ``uns['cellucid']`` of the input names.
    """
    catalog.latent = _choose_key(source, options, catalog, named_in_record)
    if not catalog.latent:
        return
    catalog.notes.append(f"latent    obsm/{catalog.latent}")
    try:
        catalog.outliers = [
            number
            for number, column in enumerate(catalog.obs)
            if _largest_category(column) >= catalog.min_points
        ]
    except CellucidDaskError as error:
        catalog.problems.extend(error.problems)


def _choose_key(
    source: Source, options: ExportOptions, catalog: ReadyCatalog, named_in_record: str | None
) -> str:
    """Key of the latent space; empty where there is none."""
    widths = {key: array.shape[1] for key, array in catalog.obsm.items()}
    fields = find_vector_fields(widths)
    named = options.latent_key or named_in_record
    if named is None:
        wide = [key for key, n in widths.items() if n not in DIMENSIONS and key not in fields]
        return named_latent_key(wide) or ""
    if named in widths and named not in fields:
        return named
    where = "--latent-key" if options.latent_key else "uns/cellucid/defaults/latentKey"
    what, fix = f"there is no obsm key {named!r}", suggest(named, list(widths))
    if named in fields:
        what, fix = f"obsm/{named} is a vector field", "name another array with --latent-key"
    elif named in source.obsm:
        what = f"obsm/{named} is not in the ready file, so it cannot be the latent space"
    catalog.problems.append(Problem(what, where, fix))
    return ""


def _largest_category(column: ReadyColumn) -> int:
    """Cells of the largest category; 0 in a column that is not categorical."""
    n = n_categories(column)
    if column.layout.kind == "text" or not n:  # texts that all differ
        return min(n, 1)
    counts = np.zeros(n, np.int64)
    for start, stop in column.column.steps():
        codes = category_codes(column, start, stop)
        counts += np.bincount(codes[codes >= 0], minlength=n)
    return int(counts.max())
