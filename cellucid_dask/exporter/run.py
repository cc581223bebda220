"""The story of an export: open, check, plan, reduce, transpose, encode, write, publish."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path

from cellucid_dask.arguments.boundary import worded, worded_all
from cellucid_dask.compute.engine import Engine, engine_problems
from cellucid_dask.compute.memory_watch import MemoryWatch
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import OutputError, Problem, VerifyError
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.plan import describe, is_small
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.faults import translate_os_errors
from cellucid_dask.exporter.recovery.previous_run import (
    PreviousRun,
    Provenance,
    inspect_previous_run,
)
from cellucid_dask.exporter.recovery.provenance import collect_provenance, refuse_changed_input
from cellucid_dask.exporter.recovery.staging import Workspace, staging
from cellucid_dask.exporter.resources import (
    disk_problems,
    output_problems,
    plan_within_memory,
    refuse,
)
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.exporter.stages.final import finish, settle, verified
from cellucid_dask.exporter.stages.genes.driver import write_genes
from cellucid_dask.exporter.stages.manifests.driver import save_rest
from cellucid_dask.exporter.stages.obs.driver import make_obs
from cellucid_dask.exporter.stages.preview import write_preview_after
from cellucid_dask.exporter.stages.resume import describe_progress, resume
from cellucid_dask.exporter.stages.task_counts import count_tasks
from cellucid_dask.files import Receipt, write_atomically
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.source.core import Source


def run_export(
    source: Source,
    out: Path,
    options: ExportOptions,
    run: RunOptions,
    *,
    reporter: Reporter,
    vectors: Mapping[str, Mapping[int, str]] | None = None,
    latent_name: str | None = None,
    problems: Sequence[Problem] = (),
    dry_run: bool = False,
) -> ExportResult:
    """Check, plan, and unless `dry_run` make and publish the export.

    Parameters
    ----------
    vectors, latent_name
        Fields and name of the latent space, where they are known rather than discovered.
    problems
        What is already known to be wrong, to be told with the rest.
    """
    result = ExportResult(str(out.absolute()))
    with record_usage(result, run, reporter), write_preview_after(result, run, reporter):
        with reporter.stage("check", 1, "inputs") as advance:
            catalog = survey(source, options, vectors)
            advance()
        source = catalog.source
        result.warnings, result.discovered = catalog.warnings, catalog.notes
        wrong = [*problems, *catalog.problems]
        provenance = None if wrong else collect_provenance(source, catalog, options)
        previous = (
            PreviousRun() if wrong else inspect_previous_run(out, provenance, restart=run.restart)
        )
        if previous.complete and (not run.verify or verified(out, result)):
            result.resumed = "all of it"
            if not dry_run:
                settle(previous.recorded, out, result)
            return result
        wrong += [*output_problems(out, run, source.path), *previous.problems]
        refuse([*wrong, *engine_problems(run, out, local=source.local)])
        with Engine(run, reporter, local=source.local, small=is_small(catalog)) as engine:
            plan = plan_within_memory(catalog, options, run, engine)
            refuse(disk_problems(plan, out, run, previous.recorded, engine.slots))
            tasks = count_tasks(source, catalog, options, plan, engine.slots)
            result.plan = describe(plan, catalog, worded(engine.kind), tasks)
            if engine.elsewhere:
                result.peak_memory_of = "this process, without the workers"
            if dry_run:
                result.resumed = describe_progress(previous.resumable, catalog)
                return result
            with at_work(engine, run, out, provenance) as place:
                folders, journal = place.folders, place.journal
                job = Job(source, catalog, options, engine, plan, folders, journal)
                engine.probe([path for path in (source.path, job.export, job.scratch) if path])
                result.resumed = resume(job, place)
                if source.kept is not None:
                    source.kept.share(job.scratch)
                receipts = make(job, result, latent_name or catalog.latent, place.out.name)
                refuse_changed_input(source, provenance)
                finish(job, place, result, receipts, run)
    return result


@contextlib.contextmanager
def record_usage(result: ExportResult, run: RunOptions, reporter: Reporter) -> Iterator[None]:
    """Note the time and memory of a run, and write its report; also of one that was not verified.

    Raises
    ------
    VerifyError
        As the block does, once the report is written.
    """
    began, refused = time.perf_counter(), None
    with MemoryWatch() as memory:
        try:
            yield
        except VerifyError as error:
            refused = error
    result.warnings, result.discovered = worded_all(result.warnings), worded_all(result.discovered)
    result.account(reporter.seconds, time.perf_counter() - began, memory.peak)
    if run.report is not None:
        write_report(result, Path(run.report).resolve())  # through a link, not over it
    if refused is not None:
        raise refused


def write_report(result: ExportResult, path: Path) -> None:
    """Write the run report.

    Raises
    ------
    OutputError
        When it cannot be written, with what became of the export.
    """
    try:
        write_atomically(path, [json.dumps(result.as_dict(), indent=2).encode()])
    except OSError as error:
        there = "the export itself is complete" if result.written else "there is no export"
        what = f"the report cannot be written ({error.strerror}); {there}"
        raise OutputError(what, where=str(path)) from error


@contextlib.contextmanager
def at_work(
    engine: Engine, run: RunOptions, out: Path, provenance: Provenance | None
) -> Iterator[Workspace]:
    """Have a place to work in, with what an earlier run left there, and workers."""
    scratch = None if run.scratch is None else Path(run.scratch)
    with (
        translate_os_errors(out),
        staging(out, scratch, provenance, restart=run.restart) as place,
        engine.working(place.folders.scratch),
    ):
        yield place


def make(job: Job, result: ExportResult, latent_name: str, name: str) -> list[Receipt]:
    """Write every file of the export `name`, its identity last.

    Returns
    -------
    Receipts of all; that of the checksums is the last.
    """
    graph = begin_graph(job)  # one task, beside the many of the other stages
    obs = make_obs(job, latent_name)
    genes = write_genes(job)
    edges = job.engine.finish("edges", graph, unit="graphs")[0] if graph else job.finished.edges
    with job.engine.reporter.stage("manifests", 1, "exports") as advance:
        receipts = save_rest(job, obs, genes, edges, name)
        advance()
    ids = job.catalog.genes.ids if job.catalog.genes is not None else []
    result.warnings += quality(ids, genes, obs.columns)
    result.n_cells, result.n_genes = job.catalog.n_cells, len(ids)
    result.n_obs_fields = len(job.catalog.obs)
    result.n_edges = None if edges is None else edges.n_edges
    result.files, result.bytes = len(receipts), sum(receipt.size for receipt in receipts)
    return receipts


def begin_graph(job: Job) -> list[Future[Edges]]:
    """Start on the neighbour graph, where there is one that is not done."""
    if job.catalog.graph is None or job.finished.edges is not None:
        return []
    task = (job.export, job.scratch, job.catalog.graph, job.level, job.plan.worker_bytes)
    futures = job.engine.begin(write_edges, [task], here=job.source.local)

    def note(future: Future[Edges]) -> None:
        with contextlib.suppress(CancelledError, Exception):  # who waits for it is told
            job.journal.edges(future.result())

    futures[0].add_done_callback(note)
    return futures


def quality(
    ids: Sequence[str], genes: Sequence[Receipt], columns: Mapping[str, Receipt]
) -> list[str]:
    """Tell of values that cannot be shown."""
    told = []
    for noun, pairs in (("genes", zip(ids, genes, strict=True)), ("obs columns", columns.items())):
        found: dict[str, list[str]] = {}
        for name, receipt in pairs:
            for trouble in receipt.span.troubles() if receipt.span is not None else ():
                found.setdefault(trouble, []).append(name)
        for trouble, names in found.items():
            listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            told.append(f"{noun} with {trouble}, shown as missing ({len(names)}): {listed}")
    return told
