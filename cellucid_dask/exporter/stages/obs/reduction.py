"""Centroids and outlier quantiles of all categorical columns: sums, means, distances, ranks."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.planning.obs_memory import ObsMemory
from cellucid_dask.exporter.receipts import ColumnSummary
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.distances import measure_distances
from cellucid_dask.exporter.stages.obs.means import sum_by_category, write_means
from cellucid_dask.exporter.stages.obs.ranks import RankSettings, rank_column
from cellucid_dask.exporter.stages.obs.spaces import LATENT, Space, total_width


def reduce_columns(
    files: DatasetFiles,
    engine: Engine,
    *,
    here: bool,
    keys: Container[str] | None = None,
    outliers: bool = True,
    centroids: bool = True,
) -> dict[str, ColumnSummary]:
    """Write the outlier quantiles and centroids of categorical columns.

    Every bit of them is the same, whatever is asked for together. The codes of the columns must
    lie uncompressed, and the points where centroids are wanted.

    Parameters
    ----------
    here
        Whether this process runs the tasks.
    keys
        Columns that are wanted; None for all.
    outliers, centroids
        Whether they are wanted.

    Returns
    -------
    What was found of each column, by its key.
    """
    coded = [(i, c) for i, c in files.coded_columns() if keys is None or c.key in keys]
    if not coded:
        return {}
    spaces = _latent_space(files) if outliers else []
    spaces += _embeddings(files) if centroids else []
    if not spaces:  # centroids of a run that wants none
        return {column.key: ColumnSummary() for _, column in coded}
    width = total_width(spaces) + 1
    limit = ObsMemory.of(files.catalog).group_bytes(files.plan.worker_bytes)
    groups = group_columns(coded, width, limit)
    means = _means(files, engine, groups, spaces, here=here)
    parts = [
        (group, spaces, span, mean, files.scratch)
        for group, mean in zip(groups, means, strict=True)
        for span in files.plan.spans
    ]
    engine.run("obs distances", measure_distances, parts, in_process=here, unit="spans")
    tasks, settings = [], _rank_settings(files)
    for group, mean in zip(groups, means, strict=True):
        base = 0
        for i, column in group:
            tasks.append((settings, i, column, spaces, (mean, base)))
            base += column.n_categories
    ranked = engine.run("obs ranks", rank_column, tasks, in_process=here, unit="columns")
    return {column.key: answer for (_, column), answer in zip(coded, ranked, strict=True)}


def _latent_space(files: DatasetFiles) -> list[Space]:
    latent: Any = files.source.obsm[files.catalog.latent]  # survey() refused what cannot be read
    return [Space(LATENT, latent.shape[1], latent)]


def _embeddings(files: DatasetFiles) -> list[Space]:
    """Embeddings in which there are centroids."""
    if files.options.centroid_quantile is None:
        return []
    return [Space(str(dim), dim, path=files.raw_points_path(dim)) for dim in files.catalog.boxes]


def _means(
    files: DatasetFiles,
    engine: Engine,
    groups: Sequence[Sequence[tuple[int, CodedColumn]]],
    spaces: Sequence[Space],
    *,
    here: bool,
) -> list[str]:
    """Files of the means of the categories, one for each group of columns."""
    spans, width = files.plan.spans, total_width(spaces) + 1
    sums = [
        [str(Path(files.scratch, f"sums-{g}-{s}")) for s in range(len(spans))]
        for g in range(len(groups))
    ]
    tasks = [
        ([column for _, column in group], spaces, span, path)
        for group, paths in zip(groups, sums, strict=True)
        for span, path in zip(spans, paths, strict=True)
    ]
    bad = engine.run("obs sums", sum_by_category, tasks, in_process=here, unit="spans")
    if n_bad := sum(bad[: len(spans)]):  # the points of an embedding are finite
        line = (
            f"{n_bad} cells have NaN or Inf in the latent space {files.catalog.latent}: the "
            "outlier quantiles of their categories mean nothing"
        )
        if line not in files.catalog.warnings:
            files.catalog.warnings.append(line)
    means = [str(Path(files.scratch, f"means-{g}")) for g in range(len(groups))]
    adds = [(paths, width, mean) for paths, mean in zip(sums, means, strict=True)]
    engine.run("obs means", write_means, adds, in_process=here, unit="groups")
    return means


def _rank_settings(files: DatasetFiles) -> RankSettings:
    options = files.options
    return RankSettings(
        str(files.folders.export),
        files.scratch,
        files.catalog.n_cells,
        options.centroid_quantile,
        options.min_points,
        options.obs_quantization,
        options.compression,
    )


def group_columns(
    coded: Sequence[tuple[int, CodedColumn]], width: int, limit: int
) -> list[list[tuple[int, CodedColumn]]]:
    """Group columns so that the sums of a group take at most `limit` bytes.

    One pass over the cells serves a group. A column that exceeds the limit is a group of its own.
    """
    groups: list[list[tuple[int, CodedColumn]]] = [[]]
    held = 0
    for i, column in coded:
        size = 8 * width * column.n_categories
        if groups[-1] and held + size > limit:
            groups.append([])
            held = 0
        groups[-1].append((i, column))
        held += size
    return groups
