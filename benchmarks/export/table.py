"""Results of the benchmark ``export`` as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from dask.utils import parse_bytes

from benchmarks.export.cases import Case

HEADER = (
    "| case | | cellucid 0.0.9 | cellucid-dask | ratio | target |",
    "|---|---|---:|---:|---:|---|",
)


@dataclass(frozen=True, slots=True)
class Result:
    """One run.

    Parameters
    ----------
    seconds
        From the start of the interpreter to its end.
    work
        Seconds without start-up. Of the reference: ``prepare()``, which follows imports and the
        reading of the file. Of cellucid-dask: all stages but those called start.
    obs
        Seconds of the obs columns alone; None where they were not timed.
    peak
        Bytes, the largest sample.
    size
        Bytes of all output files.
    sample
        The part that was measured, if the rest is extrapolated; else empty.
    """

    seconds: float
    work: float
    obs: float | None
    peak: int
    size: float
    sample: str = ""


def find_median(results: list[Result], field: str) -> float | None:
    """Return the median of a field over the runs, None if a run lacks it."""
    values = [getattr(result, field) for result in results]
    return None if not values or None in values else statistics.median(values)


def format_target(value: float | None, bound: float | None, *, is_least: bool, unit: str) -> str:
    """Format a target and whether `value` reaches it; empty without a value or a target."""
    if value is None or bound is None:
        return ""
    is_reached = value >= bound if is_least else value <= bound
    sign = "at least" if is_least else "at most"
    return f"{sign} {bound:,.0f}{unit}: {'reached' if is_reached else '**missed**'}"


def format_rows(
    name: str, case: Case, reference: list[Result], ours: list[Result]
) -> Iterator[str]:
    """Format the rows of a case.

    The ratio of times is that of the reference over cellucid-dask; other ratios are inverse.
    """
    star = " *" if any(result.sample for result in reference) else ""
    bound = parse_bytes(case.memory) / 1e6 if case.memory else None
    lines = (
        ("seconds, end to end", "seconds", 1, star, case.min_speedup),
        ("seconds without start-up", "work", 1, star, None),
        ("seconds of the obs stages", "obs", 1, star, case.min_obs_speedup),
        ("peak memory, MB", "peak", 1e6, star and " (sampled part)", None),
        ("output, MB", "size", 1e6, star, None),
    )
    for label, field, unit, mark, min_speedup in lines:
        theirs, mine = find_median(reference, field), find_median(ours, field)
        if mine is None or (field == "obs" and theirs is None):
            continue
        is_time = unit == 1
        ratio = None if theirs is None else theirs / max(mine, 1e-9)
        ratio = ratio if is_time or not ratio else 1 / ratio
        targets = [format_target(ratio, min_speedup, is_least=True, unit="x")]
        if field == "seconds":
            targets.append(format_target(mine, case.max_seconds, is_least=False, unit=" s"))
        elif field == "peak":
            targets.append(format_target(mine / unit, bound, is_least=False, unit=" MB"))
        elif field == "size" and not star:
            targets.append(format_target(ratio, 1, is_least=False, unit=""))
        first = "" if theirs is None else f"{theirs / unit:,.2f}{mark}"
        times = "" if ratio is None else f"{ratio:.2f}{'x' if is_time else ''}"
        target = "; ".join(filter(None, targets))
        yield f"| {name} | {label} | {first} | {mine / unit:,.2f} | {times} | {target} |"


def format_notes(
    name: str, case: Case, reference: list[Result], ours: list[Result]
) -> Iterator[str]:
    """Format what was extrapolated or skipped, and the seconds of each run."""
    for sample in sorted({result.sample for result in reference} - {""}):
        yield f"- \\* {name}: extrapolated, cellucid 0.0.9 ran {sample}"
    if not reference:
        yield f"- {name}: cellucid 0.0.9 {case.reference_skipped or 'not run'}"
    for program, results in (("cellucid 0.0.9", reference), ("cellucid-dask", ours)):
        if len(results) > 1:
            each = ", ".join(f"{result.seconds:.2f}" for result in results)
            yield f"- {name}: end to end seconds of {program}, in the order run: {each}"
