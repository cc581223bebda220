"""The stage that a run is in, and what its output says of resuming."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.recovery.atlases import STAGE_LINE, Atlas
from benchmarks.recovery.runs import Run
from cellucid_dask import format as fmt
from cellucid_dask.exporter.recovery.journal import JOURNAL, FinishedWork, read_journal
from cellucid_dask.exporter.stages.ready.matrix.blocks import WRITTEN, finished_blocks, open_runs
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.ready.facts import CHECKSUMS

# The lines of output with which each stage reports its parts.
LINES: Mapping[str, tuple[str, ...]] = {
    "start": ("check",),
    "resume": ("resume",),
    "obs": (
        *("points", "vectors", "obs columns", "obs sums", "obs means", "obs distances"),
        *("obs ranks", "obs manifest"),
    ),
    "cells": ("tables", "arrays of cells", "graph", "outlier quantiles"),
    "transpose": ("transpose", "spill sizes"),
    "genes": ("genes",),
    "manifests": ("edges", "manifests"),
    "matrix": ("matrix survey", "matrix", "matrix edges"),
    "assemble": ("shards", "h5ad", "zarr.zip"),
    "publish": ("publish",),
    "tidy": (),
}
STAGES = tuple(LINES)
STAGE_OF = {line: stage for stage, lines in LINES.items() for line in lines}
# Stages that are too short to poll the journal for them: what comes before each is waited for.
SHORT = ("manifests", "assemble", "publish", "tidy")
SHORT_SECONDS = {"start": 1.5, "resume": 0.6, "manifests": 0.03, "publish": 0.02}
RESUMES = re.compile(r"^(goes on with|resum(?:es|ing|ed) ).*", re.MULTILINE)
WORKERS_DIED = "the workers died"  # a run prints it when all workers were killed at the start


def stages_of(atlas: Atlas) -> Iterator[str]:
    """Stages of the exports of an atlas, in order."""
    found = {STAGE_OF[line] for line in atlas.seconds if line in STAGE_OF}
    found |= {"start", "resume", "publish", "tidy"}
    if any(name != FOLDER for name in atlas.formats.names):
        found.add("assemble")  # metadata of a store has no line
    yield from (stage for stage in STAGES if stage in found)


def find_stage(atlas: Atlas, folder: Path, run: Run, *, had_journal: bool) -> str:
    """Find the stage of a run, by its journal and by what it has printed.

    Parameters
    ----------
    folder
        Where it writes its outputs.
    had_journal
        Whether a journal existed when the run started.
    """
    output = run.output
    lines = [line for line, _ in STAGE_LINE.findall(output)]
    if "check" not in lines:
        return "start"
    if had_journal and not RESUMES.search(output) and lines[-1] == "check":
        return "resume"
    journal = read_journal(atlas.formats.staging(folder) / JOURNAL)
    if journal is None:
        return "tidy" if _last_line_before(atlas, "publish") in lines else "start"
    work = journal.finished_work()
    if work.published is not None:
        return "tidy" if _are_named(atlas, folder) else "publish"
    over = max(STAGES.index(STAGE_OF[line]) for line in lines if _ends_stage(atlas, line))
    open_stages = STAGES[over + 1 : STAGES.index("publish")]
    present = {*stages_of(atlas), "manifests" if FOLDER in atlas.formats.names else "assemble"}
    for stage in open_stages:
        if stage in present and not _is_recorded(atlas, work, stage):
            return stage
    return "assemble" if "assemble" in present else "manifests"


def _ends_stage(atlas: Atlas, line: str) -> bool:
    """Whether a line of output is the last one of its stage."""
    stage = STAGE_OF.get(line)
    if stage is None:
        return False
    lines = [other for other in atlas.seconds if STAGE_OF.get(other) == stage]
    return not lines or line == lines[-1]


def _is_recorded(atlas: Atlas, work: FinishedWork, stage: str) -> bool:
    """Whether the journal says that a stage is over, of which a resumed run prints no line."""
    if stage == "obs":
        return work.obs is not None
    if stage == "genes":
        return len(work.genes) == atlas.genes
    if stage == "matrix":
        return not open_runs(finished_blocks(WRITTEN, work.ready), atlas.genes)
    if stage == "transpose":
        done = all(_is_recorded(atlas, work, stage) for stage in _made_of_spill(atlas))
        return done or sum(spill.n_rows for spill in work.spills) == atlas.cells
    return stage in ("start", "resume")


def _made_of_spill(atlas: Atlas) -> Iterator[str]:
    """Stages that read the chunks of the first pass."""
    if FOLDER in atlas.formats.names:
        yield "genes"
    if atlas.formats.names != (FOLDER,):
        yield "matrix"


def _last_line_before(atlas: Atlas, stage: str) -> str:
    """The line of output that comes last before a stage."""
    before = STAGES[: STAGES.index(stage)]
    return [line for line in atlas.seconds if STAGE_OF.get(line) in before][-1]


def _are_named(atlas: Atlas, folder: Path) -> bool:
    """Whether all outputs have their names: the files that come last are there."""
    for name, path in atlas.formats.name_outputs(folder).items():
        last = path / fmt.IDENTITY if name == FOLDER else path.with_name(path.name + CHECKSUMS)
        with suppress(OSError):
            if last.read_bytes() == (atlas.new / last.relative_to(folder)).read_bytes():
                continue
        return False
    return True


def has_reached(atlas: Atlas, folder: Path, run: Run, stage: str, *, had_journal: bool) -> bool:
    """Whether a run has reached a stage; the check is as fast as the stage is short."""
    output = run.output
    if stage in SHORT:
        line = re.escape(_last_line_before(atlas, stage))
        if re.search(rf"^{line}: .* s$", output, re.MULTILINE):
            return True
    if stage in ("start", "resume", "obs") or "check:" not in output:
        return stage == "start" or "check:" in output
    now = find_stage(atlas, folder, run, had_journal=had_journal)
    return STAGES.index(now) >= STAGES.index(stage)


def estimate_seconds(atlas: Atlas, stage: str) -> float:
    """Estimate how long a stage takes."""
    spent = sum(s for line, s in atlas.seconds.items() if STAGE_OF.get(line) == stage)
    return SHORT_SECONDS.get(stage, max(spent, 0.1))


def count_journal(atlas: Atlas, folder: Path) -> tuple[int, int]:
    """Count the genes, and the parts of ready files, that the journal says are finished."""
    journal = read_journal(atlas.formats.staging(folder) / JOURNAL)
    if journal is None:
        return 0, 0
    work = journal.finished_work()
    return len(work.genes), len(work.ready)


def find_resumed(output: str) -> tuple[int, int] | None:
    """Return with how many genes and parts a run says it resumes; None if it does not resume."""
    line = RESUMES.search(output)
    if line is None:
        return None
    genes = re.search(r" ([\d,]+) of [\d,]+ genes", line[0])
    parts = re.findall(r" ([\d,]+) parts? of ", line[0])
    return _number(genes[1]) if genes else 0, sum(map(_number, parts))


def _number(text: str) -> int:
    return int(text.replace(",", ""))
