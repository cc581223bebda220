"""The stage that a run is in, and what its output says of resuming."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from benchmarks.recovery.atlases import Atlas
from benchmarks.recovery.runs import Run
from cellucid_dask.exporter.recovery.journal import JOURNAL, read_journal
from cellucid_dask.exporter.recovery.outputs import staging_folder

STAGES = ("start", "resume", "obs", "transpose", "genes", "manifests", "publish", "tidy")
# Stages that are too short to poll the journal for them: the line of output that precedes each.
PRECEDING_LINE = {"manifests": "genes", "publish": "manifests", "tidy": "publish"}
RESUMES = re.compile(r"^(goes on with|resum(?:es|ing|ed) ).*", re.MULTILINE)
WORKERS_DIED = "the workers died"  # a run prints it when all workers were killed at the start


def find_stage(atlas: Atlas, out: Path, run: Run, *, had_journal: bool) -> str:
    """Find the stage of a run, by its journal and by what it has printed.

    Parameters
    ----------
    had_journal
        Whether a journal existed when the run started.
    """
    output = run.output
    if "check:" not in output:
        return "start"
    is_past_resume = RESUMES.search(output) or re.search(
        r"^(resume|points|transpose|genes):", output, re.MULTILINE
    )
    if had_journal and not is_past_resume:
        return "resume"
    journal = read_journal(staging_folder(out) / JOURNAL)
    if journal is None:
        is_published = (out / "checksums.json").exists() and "manifests:" in output
        return "tidy" if is_published else "start"
    work = journal.finished_work()
    if work.published is not None:
        is_staged = any(staging_folder(out).glob("export-*/dataset_identity.json"))
        return "publish" if is_staged and not _have_same_identity(out, atlas.new) else "tidy"
    if work.obs is None:
        return "obs"
    if len(work.genes) < atlas.genes:
        rows = sum(spill.n_rows for spill in work.spills)
        is_spilling = atlas.layout == "csr" and rows < atlas.cells and not work.genes.size
        return "transpose" if is_spilling else "genes"
    return "manifests"  # or the graph, where it takes longest


def has_reached(atlas: Atlas, out: Path, run: Run, stage: str, *, had_journal: bool) -> bool:
    """Whether a run has reached a stage; the check is as fast as the stage is short."""
    output = run.output
    if stage in PRECEDING_LINE:
        return re.search(rf"^{PRECEDING_LINE[stage]}:", output, re.MULTILINE) is not None
    if stage in ("start", "resume", "obs") or "check:" not in output:
        return stage == "start" or "check:" in output
    now = find_stage(atlas, out, run, had_journal=had_journal)
    return STAGES.index(now) >= STAGES.index(stage)


def estimate_seconds(atlas: Atlas, stage: str) -> float:
    """Estimate how long a stage takes."""
    spent = sum(s for name, s in atlas.seconds.items() if name.startswith(stage))
    known = {"start": 1.5, "resume": 0.6, "obs": spent + 0.1, "manifests": 0.03, "publish": 0.02}
    return known.get(stage, max(spent, 0.05))


def count_journal_genes(out: Path) -> int:
    """Count the genes that the journal says are finished."""
    journal = read_journal(staging_folder(out) / JOURNAL)
    return 0 if journal is None else len(journal.finished_work().genes)


def find_resumed_genes(output: str) -> int | None:
    """Return how many genes a run says it resumes with; None if it does not resume."""
    line = RESUMES.search(output)
    if line is None:
        return None
    genes = re.search(r" ([\d,]+) of [\d,]+ genes", line[0])
    return int(genes[1].replace(",", "")) if genes else 0


def _have_same_identity(one: Path, other: Path) -> bool:
    with suppress(OSError):
        files = [folder / "dataset_identity.json" for folder in (one, other)]
        return files[0].read_bytes() == files[1].read_bytes()
    return False
