"""Counts of what the benchmark ``recovery`` did and found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from benchmarks.recovery.runs import TARGETS
from benchmarks.recovery.stages import STAGES


@dataclass(slots=True)
class Tally:
    """What was done and found.

    Parameters
    ----------
    kills
        Kills by target and stage.
    layouts, formats
        Kills by layout of the matrix, and by what the export writes.
    runs, exports
        Runs that started, and exports that were completed.
    equal
        Exports whose files all equal the expected ones.
    resumed, resumed_genes, resumed_parts
        Runs that resumed an earlier one, and the finished genes, and parts of ready files, with
        which they started.
    only_tidied
        Runs that found the export published and only removed the staging folder.
    without_workers
        Runs that ended because all their workers were killed at the start.
    failures
        Broken promises.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    layouts: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    exports: int = 0
    equal: int = 0
    resumed: int = 0
    resumed_genes: int = 0
    resumed_parts: int = 0
    only_tidied: int = 0
    without_workers: int = 0
    failures: list[str] = field(default_factory=list)

    def add_failure(self, text: str) -> None:
        """Print and keep a broken promise."""
        click.echo(f"WRONG: {text}", err=True)
        self.failures.append(text)

    def format_lines(self) -> Iterator[str]:
        """Format the table of kills and the counts."""
        yield f"| kills by | {' | '.join(STAGES)} | all |"
        yield f"|---|{'---:|' * (len(STAGES) + 1)}"
        for target in TARGETS:
            row = [self.kills[target, stage] for stage in STAGES]
            yield f"| {target} | {' | '.join(map(str, row))} | {sum(row)} |"
        row = [sum(self.kills[target, stage] for target in TARGETS) for stage in STAGES]
        yield f"| all | {' | '.join(map(str, row))} | {sum(row)} |"
        yield f"\nkills: {self.kills.total()} ({_list(self.layouts)}) in {self.runs} runs"
        yield f"by format: {_list(self.formats)}"
        yield f"exports completed: {self.exports}; trees equal: {self.equal}"
        yield (
            f"runs that resumed: {self.resumed}, with {self.resumed_genes:,} genes and "
            f"{self.resumed_parts:,} parts of ready files in all; "
            f"that only tidied up: {self.only_tidied}; "
            f"that ended without workers: {self.without_workers}"
        )
        leftovers = sum("leftovers" in text or "still runs" in text for text in self.failures)
        yield f"wrong: {len(self.failures) or 'nothing'}; leftovers: {leftovers or 'none'}"


def _list(counts: Counter[str]) -> str:
    return "; ".join(f"{name} {count}" for name, count in sorted(counts.items()))
