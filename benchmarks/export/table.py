"""Results of the benchmark ``export`` as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.export.cases import READING, REFERENCE, Case, Target

OURS = "cellucid-dask"
HEADER = (
    "| case | | beside | its figure | cellucid-dask | ratio | target |",
    "|---|---|---|---:|---:|---:|---|",
)


@dataclass(frozen=True, slots=True)
class Result:
    """One run; None is what was not measured.

    Parameters
    ----------
    seconds
        From the start of the interpreter to its end; of reading, the time of reading alone.
    cpu
        Seconds of CPU time of all processes.
    work
        Seconds without start-up. Of the reference: ``prepare()``, which follows imports and the
        reading of the file. Of cellucid-dask: all stages but those called start.
    obs
        Seconds of the obs columns alone.
    gene_stages
        Seconds of both passes over the genes; of reading, the time of reading.
    peak
        Bytes, the largest sample.
    size, gene_size
        Bytes of all output files, and of those of genes.
    sample
        The part that was measured, if the rest is extrapolated; else empty.
    gene_path
        ``native`` or ``numpy``, where the program tells.
    """

    seconds: float
    cpu: float | None = None
    work: float | None = None
    obs: float | None = None
    gene_stages: float | None = None
    peak: int | None = None
    size: float | None = None
    gene_size: float | None = None
    sample: str = ""
    gene_path: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a field of `Result`, and how its numbers are printed."""

    field: str
    label: str
    unit: float
    suffix: str

    @property
    def is_time(self) -> bool:
        """Whether it holds seconds."""
        return self.unit == 1


LINES = (
    Line("seconds", "seconds, end to end", 1, " s"),
    Line("work", "seconds without start-up", 1, " s"),
    Line("cpu", "CPU time, seconds", 1, " s"),
    Line("obs", "seconds of the obs stages", 1, " s"),
    Line("gene_stages", "seconds of the gene stages", 1, " s"),
    Line("peak", "peak memory, MB", 1e6, " MB"),
    Line("size", "output, MB", 1e6, " MB"),
    Line("gene_size", "genes, MB", 1e6, " MB"),
)


def find_median(results: Sequence[Result], field: str) -> float | None:
    """Return the median of a field over the runs, None if a run lacks it."""
    values = [getattr(result, field) for result in results]
    return None if not values or None in values else statistics.median(values)


def find_ratio(line: Line, role: str, theirs: float | None, ours: float) -> float | None:
    """Return how many times faster we are, or how much larger, or how much longer than reading."""
    if theirs is None:
        return None
    is_speedup = line.is_time and role != READING
    return theirs / max(ours, 1e-9) if is_speedup else ours / max(theirs, 1e-9)


def format_target(target: Target, value: float, unit: str) -> str:
    """Format a target and whether `value` reaches it."""
    bounds = []
    if target.least is not None:
        state = "reached" if value >= target.least else "**missed**"
        bounds.append(f"at least {target.least:,g}{unit}: {state}")
    if target.most is not None:
        state = "reached" if value <= target.most else "**missed**"
        bounds.append(f"at most {target.most:,g}{unit}: {state}")
    return "; ".join(bounds)


def format_rows(
    name: str, case: Case, results: Mapping[str, Sequence[Result]], labels: Mapping[str, str]
) -> Iterator[str]:
    """Format the rows of a case.

    Parameters
    ----------
    results
        Of each role, `OURS` among them.
    labels
        Names of the roles.
    """
    ours, others = results[OURS], [role for role in results if role != OURS]
    for line in LINES:
        mine = find_median(ours, line.field)
        if mine is None or (READING in others and line.field != "gene_stages"):
            continue
        targets = [target for target in case.targets if target.field == line.field]
        own = [format_target(t, mine / line.unit, line.suffix) for t in targets if not t.beside]
        shown = [role for role in others if find_median(results[role], line.field) is not None]
        for role in shown or [""]:
            theirs = find_median(results.get(role, ()), line.field)
            ratio = find_ratio(line, role, theirs, mine)
            states = own if role in (*shown[:1], "") else []
            if ratio is not None:
                states = states + [
                    format_target(t, ratio, "x" if line.is_time else "")
                    for t in targets
                    if t.beside == role
                ]
            star = _star(results.get(role, ()), line)
            first = "" if theirs is None else f"{theirs / line.unit:,.2f}{star}"
            times = "" if ratio is None else f"{ratio:.2f}{'x' if line.is_time else ''}"
            cells = (name, line.label, labels.get(role, ""), first, f"{mine / line.unit:,.2f}")
            yield f"| {' | '.join(cells)} | {times} | {'; '.join(states)} |"


def _star(results: Sequence[Result], line: Line) -> str:
    if not any(result.sample for result in results):
        return ""
    return " (sampled part)" if line.field == "peak" else " *"


def format_notes(
    name: str, case: Case, results: Mapping[str, Sequence[Result]], labels: Mapping[str, str]
) -> Iterator[str]:
    """Format what was extrapolated or skipped, the gene path, and the seconds of each run."""
    for sample in sorted({r.sample for r in results.get(REFERENCE, ())} - {""}):
        yield f"- \\* {name}: extrapolated, {labels[REFERENCE]} ran {sample}"
    if REFERENCE in case.beside and REFERENCE not in results:
        yield f"- {name}: cellucid 0.0.9 {case.reference_skipped or 'not run'}"
    if paths := {result.gene_path for result in results[OURS]} - {""}:
        yield f"- {name}: gene path of cellucid-dask: {', '.join(sorted(paths))}"
    for role, runs in results.items():
        if len(runs) > 1:
            each = ", ".join(f"{result.seconds:.2f}" for result in runs)
            yield f"- {name}: seconds of {labels[role]}, in the order run: {each}"
