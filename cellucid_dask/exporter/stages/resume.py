"""What an earlier run has left: checked, and resumed as far as it is intact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import Spill, StripSpill
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.recovery.outputs import checksums_path
from cellucid_dask.exporter.recovery.ready_claims import file_keys, stored_parts
from cellucid_dask.exporter.recovery.resume import (
    Claim,
    ExpectedFile,
    batches,
    check_files,
    expected_files,
    intact_part,
    remove_unrecorded_files,
)
from cellucid_dask.exporter.recovery.spill_folders import remove_spills_except
from cellucid_dask.exporter.recovery.staging import Workspace
from cellucid_dask.format import gene_paths


def resume(job: Job, place: Workspace) -> str:
    """Take over what is whole of an earlier run's work, and remove the rest of it.

    Returns
    -------
    What is done, for the user; empty when it is nothing.
    """
    noted, n_genes = place.finished, 0 if job.catalog.genes is None else len(job.catalog.genes.ids)
    numbers = noted.genes["gene"]
    noted.genes = noted.genes[(numbers >= 0) & (numbers < n_genes)]
    paths = _gene_paths(job, noted)
    needs_spills = len(noted.genes) < n_genes or job.folders.ready
    noted.spills = _usable_spills(job, noted) if needs_spills else []
    claims: list[Claim] = [*expected_files(noted, job.export, paths)]
    claims += [part for work in noted.ready for part in stored_parts(work, job.folders.ready)]
    sound: set[tuple[str, int | None]] = set()
    broken: set[str] = set()
    for claim, good in check_claims(job.engine, claims):
        if isinstance(claim, ExpectedFile):
            sound |= {claim.place} if good else set()
        elif not good:
            broken.add(claim.work)
    job.finished = intact_part(noted, job.export, paths, sound, broken)
    kept = {*_gene_paths(job, job.finished), *(r.path for r in job.finished.other_files)}
    remove_unrecorded_files(job.folders.export, kept)
    for name, path in job.folders.ready.items():
        _remove_unrecorded_chunks(job.finished, name, path)
    remove_spills_except(place.older, job.finished.spill_files)
    text = describe_progress(job.finished, job.catalog)
    if text:
        job.engine.reporter.say(f"resumes an earlier run; done so far: {text}")
    return text


def check_claims(engine: Engine, claims: Sequence[Claim]) -> Iterator[tuple[Claim, bool]]:
    """Read what each claim names; say whether it is intact."""
    tasks = [(batch,) for batch in batches(claims)]
    if not tasks:
        return
    total = sum(len(batch) for (batch,) in tasks)
    answers = engine.run("resume", check_files, tasks, unit="files", weigh=len, total=total)
    for (batch,), whole in zip(tasks, answers, strict=True):
        yield from zip(batch, whole, strict=True)


def _remove_unrecorded_chunks(done: FinishedWork, name: str, path: Path) -> None:
    """Remove everything of a ready file that is no chunk of finished work."""
    if path.is_dir():
        stored = (stored for work in done.ready for stored in work.chunks if stored.target == name)
        remove_unrecorded_files(path, {key for chunks in stored for key in file_keys(chunks)})
    else:
        path.unlink(missing_ok=True)
    checksums_path(name, path).unlink(missing_ok=True)


def _usable_spills(job: Job, done: FinishedWork) -> list[Any]:
    """Spilled chunks of `done` of the kind that the plan makes, if this run needs any."""
    genes = job.catalog.genes
    if job.plan.gene_access == "transpose":
        return [spill for spill in done.spills if isinstance(spill, Spill)]
    if job.plan.gene_access != "cut" or done.strips is None or genes is None:
        return []
    bounds = np.array(done.strips)
    if (
        bounds.size < 2
        or bounds[0] != 0
        or bounds[-1] != len(genes.ids)
        or any(np.diff(bounds) < 0)
    ):
        return []
    return [
        spill
        for spill in done.spills
        if isinstance(spill, StripSpill) and len(spill.sizes) == bounds.size - 1
    ]


def _gene_paths(job: Job, done: FinishedWork) -> list[str]:
    """Paths of the genes of `done`."""
    if job.catalog.genes is None:
        return []
    ids = job.catalog.genes.ids
    recorded = (ids[i] for i in done.genes["gene"].tolist())
    return gene_paths(recorded, job.options.var_quantization, gz=job.level > 0)


def describe_progress(done: FinishedWork, catalog: Catalog) -> str:
    """Say how much is done; empty when it is nothing."""
    found = ["points and obs"] if done.obs is not None else []
    found += ["the ids of cells"] if done.cell_ids is not None and done.obs is None else []
    found += ["the graph"] if done.edges is not None else []
    genes = catalog.genes.ids if catalog.genes is not None else []
    if done.spills and len(done.genes) < len(genes):
        rows = sum(spill.n_rows for spill in done.spills)
        found.append(f"{rows:,} of {catalog.n_cells:,} cells transposed")
    if done.genes.size:
        found.append(f"{len(done.genes):,} of {len(genes):,} genes")
    parts = Counter(work.key.split("/")[0] for work in done.ready)
    found += [f"{n:,} {'part' if n == 1 else 'parts'} of {name}" for name, n in parts.items()]
    return ", ".join(found)
