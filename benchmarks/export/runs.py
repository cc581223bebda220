"""Run the programs on a case, taking turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.export.cases import READY, REFERENCE, Case
from benchmarks.export.programs import Program
from benchmarks.export.table import OURS, Result
from benchmarks.shared.processes import read_into_cache

Results = dict[str, list[Result]]


@dataclass(frozen=True, slots=True)
class Turns:
    """How often what runs.

    Parameters
    ----------
    repeat
        Runs of each program.
    reference_repeat
        Runs of the references, at most; they take most of the time.
    timeout
        Seconds that a run may take.
    """

    repeat: int
    reference_repeat: int
    timeout: float

    def of(self, role: str) -> int:
        """How often the program of a role runs."""
        slow = role in (REFERENCE, READY)
        return min(self.repeat, self.reference_repeat) if slow else self.repeat


def choose_roles(case: Case, programs: Mapping[str, Program]) -> list[str]:
    """Roles that run in a case: those that there is a program for, and cellucid-dask last."""
    skipped = {REFERENCE} if case.reference_skipped else set()
    return [role for role in (*case.beside, OURS) if role in programs and role not in skipped]


def run_case(
    name: str, data: Path, case: Case, programs: Mapping[str, Program], turns: Turns, outputs: Path
) -> Results:
    """Run all programs of a case; each turn starts from the other end of their list.

    Returns
    -------
    Results of each role.
    """
    roles = choose_roles(case, programs)
    results: Results = {role: [] for role in roles}
    for turn in range(turns.repeat):
        for role in roles[:: -1 if turn % 2 else 1]:
            if turn >= turns.of(role):
                continue
            # Each run has its own folder, and all are removed at the end: ext4 makes files several
            # times slower for minutes after many have been deleted.
            out = outputs / f"{name}-{role}-{turn}"
            read_into_cache(data)
            result = programs[role].run(data, case, out, turns.timeout)
            results[role].append(result)
            progress = f"{name}, turn {turn + 1} of {turns.of(role)}, {programs[role].name}"
            click.echo(f"{progress}: {result.seconds:.2f} s", err=True)
    return results
