"""The obs stages in their order: points, columns, sums, means, distances, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.obs_memory import ObsMemory
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.stages.embeddings import write_points, write_vectors
from cellucid_dask.exporter.stages.manifests.driver import save_obs
from cellucid_dask.exporter.stages.obs.columns import CodedColumn, write_column
from cellucid_dask.exporter.stages.obs.distances import measure_distances
from cellucid_dask.exporter.stages.obs.means import sum_by_category, write_means
from cellucid_dask.exporter.stages.obs.ranks import RankSettings, rank_column
from cellucid_dask.exporter.stages.obs.spaces import Space, total_width
from cellucid_dask.files import Receipt


def make_obs(job: Job, latent_name: str) -> ObsFiles:
    """All files of obs and obsm and the manifest of them, or those that an earlier run made."""
    told = job.catalog.warnings
    if job.finished.obs is not None:
        told += job.finished.obs.warnings
        return job.finished.obs
    before = len(told)
    columns = write_obs(job)
    ranked = reduce_obs(job, columns)
    with job.engine.reporter.stage("obs manifest", 1, "files") as advance:
        manifest = save_obs(job, ranked, latent_name)
        advance()
    outliers = [receipt for receipt, _ in ranked.values()]
    found = ObsFiles(job.arrays, job.columns, outliers, manifest, told[before:])
    job.journal.obs(found)
    return found


def write_obs(job: Job) -> list[tuple[str, CodedColumn | None]]:
    """Points, vectors, values and codes; returns the columns with their codes in scratch."""
    catalog, engine = job.catalog, job.engine
    here, arrays = job.obs_here, job.source.obsm
    raw = bool(catalog.categorical) and job.options.centroid_quantile is not None
    points = [
        (
            job.export,
            arrays[key],
            catalog.boxes[dim],
            job.level,
            points_path(job, dim) if raw else None,
        )
        for dim, key in catalog.found.embeddings.items()
    ]
    receipts = engine.run("points", write_points, points, here=here, unit="files")
    vectors = [
        (job.export, arrays[key], name, catalog.boxes[dim], job.level)
        for name, dims in catalog.found.vectors.items()
        for dim, key in dims.items()
    ]
    if vectors:
        receipts += engine.run("vectors", write_vectors, vectors, here=here, unit="files")
    job.arrays += receipts
    columns: list[tuple[str, CodedColumn | None]] = []
    for i, column in enumerate(catalog.obs):
        path = str(Path(job.scratch, f"codes-{i}"))
        coded = None
        if column.code is not None:
            coded = CodedColumn(column.key, len(column.categories), column.code, path)
        columns.append((column.key, coded))
    tasks = [
        (job.export, column.column, coded, column.key, job.options.obs_quantization, job.level)
        for column, (_, coded) in zip(catalog.obs, columns, strict=True)
    ]
    written = engine.run("obs columns", write_column, tasks, here=here, unit="columns")
    job.columns |= {key: r for (key, _), r in zip(columns, written, strict=True)}
    return columns


def points_path(job: Job, dim: int) -> str:
    """Scratch file of the points of one embedding."""
    return str(Path(job.scratch, f"points-{dim}.f32"))


def reduce_obs(
    job: Job, columns: Sequence[tuple[str, CodedColumn | None]]
) -> dict[str, tuple[Receipt, str]]:
    """Centroids and outlier quantiles of all categorical columns; receipts by column."""
    coded = [(i, column) for i, (_, column) in enumerate(columns) if column is not None]
    if not coded:
        return {}
    latent: Any = job.source.obsm[job.catalog.latent]  # survey() refused what cannot be read
    points: list[Space] = []
    if job.options.centroid_quantile is not None:
        points = [Space(str(dim), dim, path=points_path(job, dim)) for dim in job.catalog.boxes]
    spaces = [Space("latent", latent.shape[1], latent), *points]
    width = total_width(spaces) + 1
    limit = ObsMemory.of(job.catalog).group_bytes(job.plan.worker_bytes)
    groups = group_columns(coded, width, limit)
    means = _means(job, groups, spaces, width)
    parts = [
        (group, spaces, span, mean, job.scratch)
        for group, mean in zip(groups, means, strict=True)
        for span in job.plan.spans
    ]
    job.engine.run("obs distances", measure_distances, parts, here=job.obs_here, unit="spans")
    tasks, settings = [], rank_settings(job)
    for group, mean in zip(groups, means, strict=True):
        base = 0
        for i, column in group:
            tasks.append((settings, i, column, points, (mean, width, base)))
            base += column.n_categories
    ranked = job.engine.run("obs ranks", rank_column, tasks, here=job.obs_here, unit="columns")
    return {column.key: answer for (_, column), answer in zip(coded, ranked, strict=True)}


def _means(
    job: Job,
    groups: Sequence[Sequence[tuple[int, CodedColumn]]],
    spaces: Sequence[Space],
    width: int,
) -> list[str]:
    """Files of the means of the categories, one for each group of columns."""
    spans = job.plan.spans
    sums = [
        [str(Path(job.scratch, f"sums-{g}-{s}")) for s in range(len(spans))]
        for g in range(len(groups))
    ]
    tasks = [
        ([column for _, column in group], spaces, span, path)
        for group, paths in zip(groups, sums, strict=True)
        for span, path in zip(spans, paths, strict=True)
    ]
    bad = job.engine.run("obs sums", sum_by_category, tasks, here=job.obs_here, unit="spans")
    if n_bad := sum(bad[: len(spans)]):
        job.catalog.warnings.append(
            f"{n_bad} cells have NaN or Inf in the latent space {job.catalog.latent}: the outlier "
            "quantiles of their categories mean nothing"
        )
    means = [str(Path(job.scratch, f"means-{g}")) for g in range(len(groups))]
    adds = [(paths, width, mean) for paths, mean in zip(sums, means, strict=True)]
    job.engine.run("obs means", write_means, adds, here=job.obs_here, unit="groups")
    return means


def rank_settings(job: Job) -> RankSettings:
    """Settings that all columns share."""
    options = job.options
    return RankSettings(
        job.export,
        job.scratch,
        job.catalog.n_cells,
        options.centroid_quantile,
        options.centroid_min_points,
        options.obs_quantization,
        job.level,
    )


def group_columns(
    coded: Sequence[tuple[int, CodedColumn]], width: int, limit: int
) -> list[list[tuple[int, CodedColumn]]]:
    """Columns whose sums take at most `limit` bytes, so that a pass serves as many as it can."""
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
