"""What a previous run left beside an output; inspected without changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cellucid_dask.errors import OutputError, Problem
from cellucid_dask.exporter.recovery.journal import JOURNAL, Entries, FinishedWork, read_journal
from cellucid_dask.exporter.recovery.lock import is_locked
from cellucid_dask.exporter.recovery.outputs import (
    Outputs,
    first_output,
    has_sizes,
    read_checksums,
    staged_paths,
    staging_folder,
)
from cellucid_dask.exporter.recovery.provenance import Provenance, differences


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """What a previous run left beside its outputs.

    Parameters
    ----------
    done
        Finished pieces that this run can use.
    there
        All finished pieces of its journal, whether this run uses or discards them.
    problems
        Why a run cannot begin.
    placed
        Formats of the outputs to which it gave their names, if others are left to publish.
    complete
        Whether it published all outputs and only its staging folder is left.
    """

    resumable: FinishedWork = field(default_factory=FinishedWork)
    recorded: FinishedWork = field(default_factory=FinishedWork)
    problems: tuple[Problem, ...] = ()
    placed: frozenset[str] = frozenset()
    complete: bool = False

    def raise_problems(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise OutputError.of(self.problems)


def inspect_previous_run(
    outputs: Outputs, provenance: Provenance | None, *, restart: bool
) -> PreviousRun:
    """Inspect what a previous run left, for a run of `provenance` that writes `outputs`."""
    out = first_output(outputs)
    if not out.absolute().name:
        return PreviousRun()  # the root, which is refused
    if is_locked(staging_folder(out)):
        fix = "wait until it has ended"
        problem = Problem("another run is making this export", str(out), fix)
        return PreviousRun(problems=(problem,))
    return read_previous_run(outputs, provenance, restart=restart)


def read_previous_run(
    outputs: Outputs, provenance: Provenance | None, *, restart: bool
) -> PreviousRun:
    """Read what a previous run left; the caller knows that no run is active there."""
    out = first_output(outputs)
    folder = staging_folder(out)
    entries = None if os.path.islink(folder) else read_journal(folder / JOURNAL)  # noqa: PTH114
    if entries is None or not entries.records:
        return PreviousRun()
    recorded = entries.finished_work()
    if restart:
        return PreviousRun(recorded=recorded)
    staged = staged_paths(folder, entries.provenance, outputs)
    found = {name: find_output(recorded, name, staged[name], out) for name, out in outputs.items()}
    complete = set(found.values()) == {"placed"}
    waiting = recorded.published is None or not {"staged", "unannounced"}.isdisjoint(found.values())
    if other := _other(entries, out, provenance):
        # Of an export that is complete there is nothing to lose.
        return PreviousRun(recorded=recorded, problems=() if complete else (other,))
    if not waiting:
        return PreviousRun(recorded=recorded, complete=complete)
    placed = (name for name, where in found.items() if where in ("placed", "unannounced"))
    return PreviousRun(recorded, recorded, placed=frozenset(placed))


def _other(entries: Entries, out: Path, provenance: Provenance | None) -> Problem | None:
    """Say what differs, when the journal is of another export than the one to be made."""
    unlike = differences(entries.provenance, provenance)
    if not unlike:
        return None
    shown = "; ".join(unlike[:8]) + (f"; and {len(unlike) - 8} more" if len(unlike) > 8 else "")
    return Problem(
        f"an unfinished export of other input or options is there: {shown}",
        str(staging_folder(out)),
        "run it with the same input and options to resume, or add --restart to discard it",
    )


Found = Literal["staged", "unannounced", "placed", "lost"]


def find_output(done: FinishedWork, name: str, staged: Path, out: Path) -> Found:
    """Where an output is that the journal says was complete, by names and sizes.

    By its files alone the old output, which has the name yet, might be an equal one: what waits
    in the staging folder counts first. Unannounced is one that has its name and no checksums.
    """
    crc32 = (done.published or {"crc32": {}})["crc32"].get(name)
    if crc32 is None:
        return "lost"
    there = read_checksums(name, out, crc32)
    sums = read_checksums(name, staged, crc32)
    if sums is not None and has_sizes(name, staged, sums):
        return "staged"
    if there is not None and has_sizes(name, out, there):
        return "placed"
    return "unannounced" if sums is not None and has_sizes(name, out, sums) else "lost"
