"""The story of an export: open, check, plan, reduce, transpose, encode, write, publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import Problem
from cellucid_dask.exporter.accounting import record_usage
from cellucid_dask.exporter.checks.recorded import use_record
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.plan import is_small
from cellucid_dask.exporter.preflight import check_before_run, check_outputs
from cellucid_dask.exporter.recovery.outputs import Sums, first_output
from cellucid_dask.exporter.recovery.provenance import Provenance, refuse_changed_input
from cellucid_dask.exporter.recovery.staging import Workspace
from cellucid_dask.exporter.resources import plan_export, record_worker_peaks
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.cell_ids import make_cell_ids
from cellucid_dask.exporter.stages.final import finish, finish_earlier, settle, verified
from cellucid_dask.exporter.stages.genes.driver import start_genes, write_genes
from cellucid_dask.exporter.stages.graph import finish_edges, start_edges
from cellucid_dask.exporter.stages.manifests.driver import save_rest
from cellucid_dask.exporter.stages.obs.driver import make_obs
from cellucid_dask.exporter.stages.preview import write_preview_after
from cellucid_dask.exporter.stages.ready.assemble import assemble
from cellucid_dask.exporter.stages.ready.driver import (
    is_expression_open,
    write_cells,
    write_expression,
)
from cellucid_dask.exporter.stages.resume import describe_progress, resume
from cellucid_dask.exporter.summary import record_contents, record_ready
from cellucid_dask.exporter.workspace import open_workspace
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.options.run import RunOptions
from cellucid_dask.source.model import Source


def run_export(
    source: Source,
    outputs: Mapping[str, Path],
    options: ExportOptions,
    run: RunOptions,
    *,
    reporter: Reporter,
    vectors: Mapping[str, Mapping[int, str]] | None = None,
    latent_name: str | None = None,
    problems: Sequence[Problem] = (),
    dry_run: bool = False,
) -> ExportResult:
    """Check and plan an export and, unless `dry_run`, write and publish it.

    Parameters
    ----------
    outputs
        Path of each format that is written; the first names the run.
    vectors, latent_name
        Vector fields and name of the latent space, if they are known; discovered otherwise.
    problems
        Problems that are already known; they are raised together with all others.

    Raises
    ------
    CellucidDaskError
        With every problem at once. What existed at `outputs` is then unchanged.
    """
    result = ExportResult.of(outputs)
    if FOLDER in options.formats:  # what makes ready files reads the record by itself
        source, options = use_record(source, options)
    with record_usage(result, run, reporter), write_preview_after(result, run, reporter):
        checked = check_before_run(source, outputs, options, run, reporter, vectors, problems)
        catalog, previous = checked.catalog, checked.previous
        result.warnings, result.discovered = catalog.warnings, catalog.notes
        if catalog.genes is not None:
            result.gene_path = checked.library.gene_path
            result.gene_path_reason = checked.library.explanation
        if previous.complete and (not run.verify or verified(outputs.values(), result)):
            result.resumed = "all of it"
            if not dry_run:
                settle(previous.recorded, first_output(outputs), result)
            return result
        check_outputs(checked, outputs, run)
        cluster = choose_cluster(run, in_memory=source.local, small=is_small(catalog))
        with Engine(cluster, reporter, performance_report=run.performance_report) as engine:
            plan = plan_export(checked, first_output(outputs), options, run, engine, result)
            if dry_run:
                result.resumed = describe_progress(previous.resumable, catalog)
                return result
            with open_workspace(engine, run, outputs, checked.provenance) as workspace:
                folders, journal = workspace.folders, workspace.journal
                native = checked.library.library is not None
                job = Job(catalog.source, catalog, options, engine, plan, folders, native, journal)
                write_export(job, workspace, run, result, checked.provenance, latent_name)
            record_worker_peaks(result, engine, plan)
    return result


def write_export(
    job: Job,
    workspace: Workspace,
    run: RunOptions,
    result: ExportResult,
    provenance: Provenance | None,
    latent_name: str | None,
) -> None:
    """Write what a previous run has not finished, in all formats, and publish it."""
    job.check_workers()
    if finish_earlier(job, workspace, result, run):
        return
    result.resumed = resume(job, workspace)
    job.share_selection()
    edge_tasks = start_edges(job)  # one task, beside the many tasks of the other stages
    cutting = start_genes(job, ready=is_expression_open(job))
    written: dict[str, Sums] = {}
    if job.makes_folder:
        make_cell_ids(job)
    obs = make_obs(job, latent_name or job.catalog.latent) if job.makes_folder else None  # reduce
    cells = write_cells(job) if job.ready is not None else []
    if obs is not None:
        genes = write_genes(job, cutting)  # transpose, encode, write
        edges = finish_edges(job, edge_tasks)
        written[FOLDER] = save_rest(job, obs, genes, edges, workspace.out.name)
        record_contents(result, job, obs, genes, edges, written[FOLDER])
    matrix = write_expression(job, cutting) if job.ready is not None else None
    if cutting is not None:
        cutting.remove_spills()
    if job.ready is not None:
        files = assemble(job, cells, matrix)
        record_ready(result, job, cells, files)
        written |= files
    refuse_changed_input(job.source, provenance)
    finish(job, workspace, result, written, run)
