"""Whether a run fits the available memory and disk space; refused with the numbers when not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.filesize import decimal

from cellucid_dask.arguments.boundary import reword
from cellucid_dask.compute.engine import Engine
from cellucid_dask.errors import Problem, raise_problems
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.output_checks import existing_parent
from cellucid_dask.exporter.planning.describe import describe_plan, many_files_warning
from cellucid_dask.exporter.planning.disk_usage import Disk, FileKind, run_files
from cellucid_dask.exporter.planning.plan import NotEnoughError, Plan, make_plan
from cellucid_dask.exporter.preflight import CheckedInput
from cellucid_dask.exporter.recovery.journal import FinishedWork
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.exporter.stages.task_counts import count_tasks
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.run import RunOptions


def plan_export(
    checked: CheckedInput,
    out: Path,
    options: ExportOptions,
    run: RunOptions,
    engine: Engine,
    result: ExportResult,
) -> Plan:
    """Plan the work for the available memory and disk space; describe the plan in `result`.

    Raises
    ------
    PlanError, InputError
        When the memory or a disk is too small, with both numbers.
    """
    catalog = checked.catalog
    native = checked.library.library is not None
    kept = checked.previous.resumable
    n_kept_strips = len(kept.strips) - 1 if kept.spills and kept.strips else 0
    plan = plan_within_memory(
        catalog, options, run, engine, native=native, n_kept_strips=n_kept_strips
    )
    raise_problems(disk_problems(plan, out, run, checked.previous.recorded, engine.slots))
    tasks = count_tasks(catalog.source, catalog, options, plan, engine.slots)
    result.plan = describe_plan(plan, catalog, reword(str(engine.cluster)), tasks)
    if warning := many_files_warning(plan):
        result.warnings.append(warning)
    if engine.cluster.is_remote:
        result.peak_memory_of = "this process, without the workers"
    return plan


def record_worker_peaks(result: ExportResult, engine: Engine, plan: Plan) -> None:
    """Record the largest memory of each worker elsewhere, and what to ask for next time."""
    result.worker_peaks = engine.worker_peaks
    peak = max(result.worker_peaks.values(), default=0)
    result.memory_advice = reword(engine.cluster.advise_memory(peak, plan.peak_bytes))


def plan_within_memory(
    catalog: Catalog,
    options: ExportOptions,
    run: RunOptions,
    engine: Engine,
    *,
    native: bool,
    n_kept_strips: int = 0,
) -> Plan:
    """Plan for the memory there is, with fewer workers when the user left their number open.

    Raises
    ------
    PlanError
        When no number of workers fits, with the smallest memory that does.
    """
    total = run.memory_bytes()
    while True:
        try:
            task_bytes = engine.cluster.task_memory(total)
            return make_plan(
                catalog,
                options,
                task_bytes,
                engine.slots,
                native=native,
                n_kept_strips=n_kept_strips,
            )
        except NotEnoughError as error:
            if engine.drop_worker(fixed=run.workers is not None):
                continue
            raise engine.cluster.memory_error(error.need, total, error.other) from None


def disk_problems(
    plan: Plan, out: Path, run: RunOptions, done: FinishedWork, slots: int
) -> list[Problem]:
    """Say where a disk has less room than the plan needs beside what is `done`, in bytes or files.

    Parameters
    ----------
    slots
        Tasks at a time.
    """
    place = out.absolute()
    scratch = Path(run.scratch) if run.scratch else place
    output = [*plan.output, *run_files(plan.n_files, slots)]
    here, there = _disk(place), _disk(scratch)
    files, spills = done.file_sizes, [spill.size for spill in done.spills]
    if here.device == there.device:
        return [*_disk_lacks(here, [*output, *plan.scratch], [*files, *spills], "--out")]
    return [
        *_disk_lacks(here, output, files, "--out"),
        *_disk_lacks(there, plan.scratch, spills, "--scratch"),
    ]


def _disk(path: Path) -> Disk:
    """Disk on which `path` is or would be."""
    return Disk.of(path if path.exists() else existing_parent(path))


def _disk_lacks(
    disk: Disk, kinds: Sequence[FileKind], done: Sequence[int], option: str
) -> Iterator[Problem]:
    """Say what `disk` lacks for files of `kinds`, of which those of the sizes `done` are there."""
    fix = "make room, or name another disk with --out or --scratch"
    n_bytes = sum(kind.stored_bytes(disk.block) for kind in kinds)
    n_bytes -= sum(FileKind(1, size).stored_bytes(disk.block) for size in done)
    if disk.n_bytes is not None and disk.n_bytes < n_bytes:
        what = f"the disk has {decimal(disk.n_bytes)} free; the plan needs {decimal(n_bytes)}"
        yield Problem(what, option, fix)
    n_files = sum(kind.n for kind in kinds) - len(done)
    if disk.n_files is not None and disk.n_files < n_files:
        what = (
            f"the disk has room for {disk.n_files:,} more files and folders (free inodes), however "
            f"small; the plan needs {n_files:,}"
        )
        yield Problem(what, option, fix)
