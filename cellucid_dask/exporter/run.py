"""The story of an export: open, check, plan, reduce, transpose, encode, write, publish."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from cellucid_dask.engine import Engine
from cellucid_dask.errors import Problem
from cellucid_dask.exporter.check import survey
from cellucid_dask.exporter.edges import Edges, write_edges
from cellucid_dask.exporter.files import Receipt, write_beside
from cellucid_dask.exporter.fit import disk_problems, fitting_plan, output_problems, refuse
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.plan import describe, is_small
from cellucid_dask.exporter.publish import publish, staging
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stage_genes import write_genes
from cellucid_dask.exporter.stage_manifests import save_obs, save_rest
from cellucid_dask.exporter.stage_obs import reduce_obs, write_obs
from cellucid_dask.memory_watch import MemoryWatch
from cellucid_dask.options import ExportOptions, RunOptions
from cellucid_dask.progress import Reporter
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
    began = time.perf_counter()
    with MemoryWatch() as memory:
        with reporter.stage("check", 1, "inputs") as advance:
            catalog = survey(source, options, vectors)
            advance()
        refuse([*problems, *catalog.problems, *output_problems(out, run, source.path)])
        out = out.absolute()
        result = ExportResult(str(out), warnings=catalog.warnings, discovered=catalog.notes)
        small = is_small(catalog)
        with Engine(run, reporter, local=source.local, small=small) as engine:
            plan = fitting_plan(catalog, options, run, engine)
            refuse(disk_problems(plan, out, run))
            result.plan = describe(plan, catalog, engine.kind)
            if run.scheduler is not None:
                result.peak_memory_of = "this process, without the workers"
            if not dry_run:
                scratch = None if run.scratch is None else Path(run.scratch)
                with staging(out, scratch) as folders, engine.working(folders.scratch):
                    job = Job(source, catalog, options, engine, plan, folders)
                    engine.probe([p for p in (source.path, str(folders.scratch)) if p])
                    make(job, result, out, latent_name or catalog.latent)
    result.account(reporter.seconds, time.perf_counter() - began, memory.peak)
    if run.report is not None:
        text = json.dumps(result.as_dict(), indent=2).encode()
        write_beside(Path(run.report).resolve(), [text])  # through a link, not over it
    return result


def make(job: Job, result: ExportResult, out: Path, latent_name: str) -> None:
    """Write every file of the export, its identity last, and publish it."""
    engine = job.engine
    graph = begin_graph(job)  # one task, beside the many of the other stages
    columns = write_obs(job)
    ranked = reduce_obs(job, columns)
    with engine.reporter.stage("obs manifest", 1, "files") as advance:
        obs = save_obs(job, ranked, latent_name)
        advance()
    genes = write_genes(job)
    edges = engine.finish("edges", graph, unit="graphs")[0] if graph else None
    with engine.reporter.stage("publish", 1, "exports") as advance:
        receipts = [*job.arrays, *job.columns.values(), *(r for r, _ in ranked.values()), *genes]
        receipts += [obs, *save_rest(job, genes, edges, out.name)]
        aside = publish(job.folders.export, out)
        advance()
    result.written = True
    if aside is not None:
        result.warnings.append(f"what was there before held other files and is now {aside}")
    ids = job.catalog.genes.ids if job.catalog.genes is not None else []
    result.warnings += quality(ids, genes, job.columns)
    result.n_cells, result.n_genes = job.catalog.n_cells, len(ids)
    result.n_obs_fields = len(job.catalog.obs)
    result.n_edges = None if edges is None else edges.n_edges
    result.files, result.bytes = len(receipts), sum(receipt.size for receipt in receipts)


def begin_graph(job: Job) -> list[Future[Edges]]:
    """Start on the neighbour graph, where there is one."""
    if job.catalog.graph is None:
        return []
    task = (job.export, job.scratch, job.catalog.graph, job.level, job.plan.worker_bytes)
    return job.engine.begin(write_edges, [task], here=job.source.local)


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
