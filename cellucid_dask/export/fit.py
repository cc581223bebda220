"""Whether a run fits the memory and the disk there are; refused with the numbers when not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dask.utils import format_bytes

from cellucid_dask.engine import Engine, available_memory
from cellucid_dask.errors import InputError, PlanError, Problem
from cellucid_dask.export.check import Catalog
from cellucid_dask.export.plan import MiB, NotEnoughError, Plan, least_bytes, make_plan
from cellucid_dask.export.publish import free_bytes
from cellucid_dask.options import ExportOptions, RunOptions


def refuse(problems: Sequence[Problem]) -> None:
    """Raise all of `problems` together, if there are any."""
    if problems:
        raise InputError.of(dict.fromkeys(problems))


def fitting_plan(catalog: Catalog, options: ExportOptions, run: RunOptions, engine: Engine) -> Plan:
    """Plan for the memory there is, with fewer workers when the user left their number open.

    Raises
    ------
    PlanError
        When no number of workers fits, with the smallest memory that does.
    """
    total = run.memory_bytes() or max(available_memory() // 2, 256 * MiB)
    while True:
        share = (total - engine.overhead()) * 9 // 10 // engine.slots
        try:
            return make_plan(catalog, options, share)
        except NotEnoughError as error:
            if engine.fewer(fixed=run.workers is not None):
                continue
            least = error.need * 10 // 9 * engine.slots + engine.overhead() + 16 * MiB
            alone = least_bytes(catalog, options) * 10 // 9 + engine.alone() + 16 * MiB
            fix = f"use --memory {_megabytes(least)}"
            if engine.slots > 1:
                fix += f", or --workers 1 with at least --memory {_megabytes(alone)}"
            raise PlanError(
                f"{format_bytes(total)} is too little for {engine.kind}: a task needs "
                f"{format_bytes(error.need)}, and the processes themselves "
                f"{format_bytes(engine.overhead())}",
                where="--memory",
                fix=fix,
            ) from None


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**6)}MB"


def disk_problems(plan: Plan, out: Path, run: RunOptions) -> list[Problem]:
    """Say where there is less free space than the plan needs."""
    scratch = Path(run.scratch) if run.scratch else out.absolute()
    needs = [
        (out.absolute(), plan.output_bytes, "--out"),
        (scratch, plan.scratch_bytes, "--scratch"),
    ]
    if _device(out.absolute()) == _device(scratch):
        needs = [(out.absolute(), plan.output_bytes + plan.scratch_bytes, "--out")]
    return [
        Problem(
            f"the disk has {format_bytes(free_bytes(path))} free; "
            f"the plan needs {format_bytes(need)}",
            option,
            "make room, or name another disk with --out or --scratch",
        )
        for path, need, option in needs
        if free_bytes(path) < need
    ]


def _device(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return path.stat().st_dev
