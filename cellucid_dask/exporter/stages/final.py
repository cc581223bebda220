"""The last stages of an export: verify it if the run asks for it, then publish it."""

from __future__ import annotations

from pathlib import Path

from cellucid_dask.compute.machine import available_memory, cores
from cellucid_dask.errors import OutputError, Problem, VerifyError
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.recovery.clean import clean
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.recovery.publish import publish
from cellucid_dask.exporter.recovery.staging import Workspace, remove_finished_spill
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.manifests.driver import Written
from cellucid_dask.files import has_size
from cellucid_dask.format import CHECKSUMS
from cellucid_dask.options.run import RunOptions

FACTS = ("n_cells", "n_genes", "n_obs_fields", "n_edges", "files", "bytes", "verified", "warnings")
CELL_BYTES = 64  # of memory, for each cell of a field that is verified


def finish(
    job: Job, place: Workspace, result: ExportResult, written: Written, run: RunOptions
) -> None:
    """Verify and publish the export; `written` are all its files."""
    if run.verify:
        verify_staged(job, result)
    with job.engine.reporter.stage("publish", 1, "exports") as advance:
        refuse_lost(place, written, force=run.force)
        facts = {name: getattr(result, name) for name in FACTS}
        job.journal.published({**facts, "crc32": written[CHECKSUMS][1]})
        remove_finished_spill(place)  # before the flush to the disk
        aside = publish(job.folders.export, place.out)
        advance()
    result.written = True
    _tell_aside(aside, result)


def refuse_lost(place: Workspace, written: Written, *, force: bool) -> None:
    """Refuse to publish when another process took over, removed or replaced files.

    Raises
    ------
    OutputError
        With what was done.
    """
    out, export = place.out, place.folders.export
    if not place.lock.is_held():
        what = "another run took this one for dead and makes the export now"
        raise OutputError(what, where=str(out), fix="wait until it has ended")
    gone = [path for path, (size, _) in written.items() if not has_size(f"{export}/{path}", size)]
    if gone:
        listed = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        what = f"files were removed or changed during the run ({len(gone)}: {listed})"
        raise OutputError(what, where=str(export), fix="run the same command again")
    if not force and out.is_dir() and any(out.iterdir()):
        fix = "move it away, or replace it with --force: the same command resumes"
        raise OutputError("was made by others during the run", where=str(out), fix=fix)


def _tell_aside(aside: Path | None, result: ExportResult) -> None:
    if aside is not None:
        result.warnings.append(f"what was there before held other files and is now {aside}")


def verify_staged(job: Job, result: ExportResult) -> None:
    """Verify all written files with code that shares nothing with the code that wrote them.

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
        is_correct = verified(job.folders.export, result, workers)
        advance()
    if not is_correct:
        assert result.verified is not None
        raise VerifyError.of(Problem(problem) for problem in result.verified["problems"])


def verified(export: Path, result: ExportResult, workers: int = 1) -> bool:
    """Whether an export has no problems; the report of the verification goes to the result."""
    from cellucid_dask.verify import verify

    report = verify(export, workers=workers)
    result.verified = report.as_dict()
    return report.ok


def settle(done: FinishedWork, out: Path, result: ExportResult) -> None:
    """Clean up after a run that was killed when its export was already published."""
    cleaned = clean(out)
    for name, value in (done.published or {}).items():
        if name in FACTS and (name != "verified" or result.verified is None):
            setattr(result, name, value)
    result.written = True
    _tell_aside(cleaned.aside, result)
