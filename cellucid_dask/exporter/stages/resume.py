"""What an earlier run has left: checked, and resumed as far as it is intact."""

from __future__ import annotations

from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.recovery.resume import (
    batches,
    check_files,
    expected_files,
    intact_part,
    remove_unrecorded_files,
)
from cellucid_dask.exporter.recovery.spill_folders import remove_spills_except
from cellucid_dask.exporter.recovery.staging import Workspace
from cellucid_dask.exporter.stages.genes.blocks import gene_resource


def resume(job: Job, place: Workspace) -> str:
    """Take over what is whole of an earlier run's work, and remove the rest of it.

    Returns
    -------
    What is done, for the user; empty when it is nothing.
    """
    noted, ids = place.finished, job.catalog.genes.ids if job.catalog.genes is not None else []
    noted.genes = {
        i: receipt
        for i, receipt in noted.genes.items()
        if i in range(len(ids)) and receipt.path == _path(job, ids[i])
    }
    spilled = job.plan.gene_access == "transpose" and len(noted.genes) < len(ids)
    tasks = [(batch,) for batch in batches(expected_files(noted, job.export, spills=spilled))]
    sound: set[str] = set()
    if tasks:
        total = sum(len(batch) for (batch,) in tasks)
        answers = job.engine.run("resume", check_files, tasks, unit="files", weigh=len, total=total)
        for (batch,), whole in zip(tasks, answers, strict=True):
            sound |= {claim.path for claim, good in zip(batch, whole, strict=True) if good}
    job.finished = intact_part(noted, job.export, sound)
    remove_unrecorded_files(job.folders.export, job.finished)
    remove_spills_except(place.older, {spill.path for spill in job.finished.spills})
    text = describe_progress(job.finished, job.catalog)
    if text:
        job.engine.reporter.say(f"resumes an earlier run; done so far: {text}")
    return text


def _path(job: Job, gene: str) -> str:
    return gene_resource(gene, job.options.var_quantization, job.level).path


def describe_progress(done: FinishedWork, catalog: Catalog) -> str:
    """Say how much is done; empty when it is nothing."""
    found = ["points and obs"] if done.obs is not None else []
    found += ["the graph"] if done.edges is not None else []
    genes = catalog.genes.ids if catalog.genes is not None else []
    if done.spills and len(done.genes) < len(genes):
        rows = sum(spill.n_rows for spill in done.spills)
        found.append(f"{rows:,} of {catalog.n_cells:,} cells transposed")
    if done.genes:
        found.append(f"{len(done.genes):,} of {len(genes):,} genes")
    return ", ".join(found)
