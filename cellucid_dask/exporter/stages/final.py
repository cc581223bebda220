"""The last stages of a run: verify its outputs if it asks for it, then publish them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cellucid_dask.compute.machine import available_memory, cores
from cellucid_dask.errors import OutputError, Problem, VerifyError
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.recovery.clean import clean
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.recovery.outputs import Sums, locate_files
from cellucid_dask.exporter.recovery.staging import Workspace
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.publishing import find_rest, publish_outputs, save_checksums
from cellucid_dask.files import has_size
from cellucid_dask.options.run import RunOptions

FACTS = (
    *("n_cells", "n_genes", "n_obs_fields", "n_edges", "n_embeddings", "files", "bytes"),
    *("verified", "warnings"),
)
CELL_BYTES = 64  # of memory, for each cell of a field that is verified


def finish(
    job: Job, place: Workspace, result: ExportResult, written: Mapping[str, Sums], run: RunOptions
) -> None:
    """Verify and publish the outputs; `written` are all files of each, by its format."""
    crc32 = save_checksums(place, written)  # before: the verification reads them as well
    if run.verify:
        verify_staged(job, [place.staged[name] for name in written], result)
    with job.engine.reporter.stage("publish", len(written), "outputs") as advance:
        refuse_lost(place, written, force=run.force)
        facts = {name: getattr(result, name) for name in FACTS}
        job.journal.published({**facts, "crc32": crc32})
        tell_aside(publish_outputs(place, written, advance), result)
    result.written = True


def finish_earlier(job: Job, place: Workspace, result: ExportResult, run: RunOptions) -> bool:
    """Publish what a run had complete that was killed while it published several outputs.

    Returns
    -------
    False when there is no such run, or anything of it is not intact.
    """
    rest = find_rest(job.engine, place)
    if rest is None:
        return False
    restore_facts(place.finished, result)
    if run.verify and result.verified is None:
        where = {**place.outputs, **{name: place.staged[name] for name in rest}}
        verify_staged(job, list(where.values()), result)
    with job.engine.reporter.stage("publish", len(rest), "outputs") as advance:
        refuse_lost(place, rest, force=run.force)
        tell_aside(publish_outputs(place, rest, advance), result)
    result.resumed = "all of it"
    return True


def refuse_lost(place: Workspace, written: Mapping[str, Sums], *, force: bool) -> None:
    """Refuse to publish when another process took over, removed or replaced files.

    Raises
    ------
    OutputError
        With what was done.
    """
    if not place.lock.is_held():
        what = "another run took this one for dead and makes the export now"
        raise OutputError(what, where=str(place.out), fix="wait until it has ended")
    for name, sums in written.items():
        staged, out = place.staged[name], place.outputs[name]
        files = locate_files(name, staged, sums)
        gone = [path for path, size, _ in files if not has_size(path, size)]
        if gone:
            listed = ", ".join(path.removeprefix(f"{staged}/") for path in gone[:3])
            listed += ", ..." if len(gone) > 3 else ""
            what = f"files were removed or changed during the run ({len(gone)}: {listed})"
            raise OutputError(what, where=str(staged), fix="run the same command again")
        if force or name in place.placed:
            continue
        if any(out.iterdir()) if out.is_dir() else out.exists():
            fix = "move it away, or replace it with --force: the same command resumes"
            raise OutputError("was made by others during the run", where=str(out), fix=fix)


def tell_aside(moved: Iterable[Path], result: ExportResult) -> None:
    """Warn of what was moved away."""
    for aside in moved:
        result.warnings.append(f"what was there before was not only an export, and is now {aside}")


def verify_staged(job: Job, staged: Sequence[Path], result: ExportResult) -> None:
    """Verify outputs with code that shares nothing with the code that wrote them.

    Raises
    ------
    VerifyError
        When anything is wrong.
    """
    room = available_memory() // 2
    if not job.engine.cluster.is_remote:
        room = job.plan.worker_bytes * job.engine.slots  # which no task takes any more
    workers = max(1, min(cores(), room // max(1, CELL_BYTES * job.catalog.n_cells)))
    with job.engine.reporter.stage("verify", 1, "exports") as advance:
        is_correct = verified(staged, result, workers)
        advance()
    if not is_correct:
        assert result.verified is not None
        raise VerifyError.of(Problem(problem) for problem in result.verified["problems"])


def verified(outputs: Iterable[Path], result: ExportResult, workers: int = 1) -> bool:
    """Whether outputs have no problems; the report of the verification goes to the result.

    Problems of several outputs are told together.
    """
    from cellucid_dask.verify import verify

    reports = [verify(output, workers=workers).as_dict() for output in outputs]
    found = reports[0]
    for report in reports[1:]:
        found["ok"] = found["ok"] and report["ok"]
        for name in ("problems", "files", "bytes", "not_compared"):
            found[name] += report[name]
        found["format"] += f",{report['format']}"
    result.verified = found
    return bool(found["ok"])


def settle(done: FinishedWork, out: Path, result: ExportResult) -> None:
    """Clean up after a run that was killed when its outputs were already published."""
    cleaned = clean(out)
    restore_facts(done, result)
    if cleaned.aside is not None:
        tell_aside([cleaned.aside], result)


def restore_facts(done: FinishedWork, result: ExportResult) -> None:
    """Let the result say what the run found that made the outputs."""
    for name, value in (done.published or {}).items():
        if name in FACTS and (name != "verified" or result.verified is None):
            setattr(result, name, value)
    result.written = True
    tell_aside([path for path in map(Path, done.aside) if os.path.lexists(path)], result)
