"""The obs stage: points, vectors and columns, then the reduction of categorical columns."""

from __future__ import annotations

from contextlib import nullcontext

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.recovery.journal import ObsFiles
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.embeddings import write_points, write_vectors
from cellucid_dask.exporter.stages.manifests.driver import save_obs
from cellucid_dask.exporter.stages.obs.columns import write_column
from cellucid_dask.exporter.stages.obs.reduction import reduce_columns


def make_obs(job: Job, latent_name: str) -> ObsFiles:
    """Write all files of obs and obsm and their manifest, or take those of a previous run.

    Parameters
    ----------
    latent_name
        Name of the latent space, as the manifest gives it.
    """
    warnings = job.catalog.warnings
    if job.finished.obs is not None:
        warnings += job.finished.obs.warnings
        return job.finished.obs
    n_before = len(warnings)
    with job.engine.run_inline() if job.obs_beside_genes else nullcontext():
        write_obs(job)
        summaries = reduce_columns(DatasetFiles.of(job), job.engine, here=job.obs_here)
    with job.engine.reporter.stage("obs manifest", 1, "files") as advance:
        manifest = save_obs(job, summaries, latent_name)
        advance()
    outliers = [summary.outliers for summary in summaries.values() if summary.outliers]
    written = ObsFiles(job.arrays, job.columns, outliers, manifest, warnings[n_before:])
    job.journal.obs(written)
    return written


def write_obs(job: Job) -> None:
    """Write points, vectors, values and codes; their receipts go to the job."""
    catalog, engine, here, files = job.catalog, job.engine, job.obs_here, DatasetFiles.of(job)
    raw = bool(catalog.categorical) and job.options.centroid_quantile is not None
    points = [files.points_task(dim, raw=raw) for dim in catalog.found.embeddings]
    points += [files.embedding_task(key) for key in catalog.found.additional]
    job.arrays += engine.run("points", write_points, points, in_process=here, unit="files")
    vectors = [
        files.vectors_task(field, dim)
        for field, dims in catalog.found.vectors.items()
        for dim in dims
    ]
    if vectors:
        job.arrays += engine.run("vectors", write_vectors, vectors, in_process=here, unit="files")
    columns = [files.column_task(i) for i in range(len(catalog.obs))]
    receipts = engine.run("obs columns", write_column, columns, in_process=here, unit="columns")
    job.columns |= {
        column.key: receipt for column, receipt in zip(catalog.obs, receipts, strict=True)
    }
