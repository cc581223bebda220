"""Units of work of a ready file: each is one task, is journaled when done, and is done once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork


@dataclass(frozen=True, slots=True)
class Unit:
    """A task of a ready file.

    Parameters
    ----------
    key
        Of the `ReadyWork` that it returns.
    work
        Function that workers call with `arguments`.
    makes
        Paths of the arrays of which it makes chunks, or of a group with all that is in it. The
        longest path that fits an array counts. Empty for X, which is made as a whole.
    chunks
        Numbers of the chunks that it makes of them; None for all.
    """

    key: str
    work: Callable[..., ReadyWork]
    arguments: tuple[Any, ...]
    makes: tuple[str, ...] = ()
    chunks: range | None = None


def do_unit(unit: Unit) -> ReadyWork:
    """Run one unit in a worker."""
    return unit.work(*unit.arguments)


def open_units(units: Sequence[Unit], finished: Sequence[ReadyWork]) -> list[Unit]:
    """The units that a previous run has not finished."""
    done = {work.key for work in finished}
    return [unit for unit in units if unit.key not in done]


def run_units(
    job: Job, stage: str, units: Sequence[Unit], finished: Sequence[ReadyWork], *, here: bool
) -> list[ReadyWork]:
    """Do the units that are not finished; the work of all, in their order.

    Parameters
    ----------
    finished
        What a previous run has done.
    here
        Whether this process does them.
    """
    done = {work.key: work for work in finished}
    if tasks := [(unit,) for unit in open_units(units, finished)]:
        made = job.engine.run(
            stage,
            do_unit,
            tasks,
            in_process=here,
            unit="parts",
            on_result=lambda _, work: job.journal.ready(work),
        )
        done.update((work.key, work) for work in made)
    return [done[unit.key] for unit in units]
