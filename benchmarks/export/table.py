"""Results of a benchmark as a Markdown table."""

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
        Seconds without start-up: all of the oracle's ``prepare()``, which comes after imports and
        reading the file; all our stages but those called start-up.
    obs
        Seconds of the obs columns alone; None where they were not timed.
    peak
        Bytes, the most seen at one moment.
    size
        Bytes of all output files.
    extrapolated
        What was measured in place of the whole; empty if the whole was.
    """

    seconds: float
    work: float
    obs: float | None
    peak: int
    size: float
    extrapolated: str = ""


def median(results: list[Result], field: str) -> float | None:
    """Median of a field over the runs, None if any of them lacks it."""
    values = [getattr(result, field) for result in results]
    return None if not values or None in values else statistics.median(values)


def verdict(value: float | None, bound: float | None, *, least: bool, unit: str) -> str:
    """Say what was to be reached, and whether it was."""
    if value is None or bound is None:
        return ""
    reached = value >= bound if least else value <= bound
    sign = "at least" if least else "at most"
    return f"{sign} {bound:,.0f}{unit}: {'reached' if reached else '**missed**'}"


def rows(name: str, case: Case, oracle: list[Result], ours: list[Result]) -> Iterator[str]:
    """Make the rows of one case; the ratio of times is theirs over ours, others are inverse."""
    star = " *" if any(result.extrapolated for result in oracle) else ""
    bound = parse_bytes(case.memory) / 1e6 if case.memory else None
    lines = (
        ("seconds, end to end", "seconds", 1, star, case.faster),
        ("seconds without start-up", "work", 1, star, None),
        ("seconds of the obs stages", "obs", 1, star, case.obs_faster),
        ("peak memory, MB", "peak", 1e6, star and " (sampled part)", None),
        ("output, MB", "size", 1e6, star, None),
    )
    for label, field, unit, mark, faster in lines:
        theirs, mine = median(oracle, field), median(ours, field)
        if mine is None or (field == "obs" and theirs is None):
            continue
        is_time = unit == 1
        ratio = None if theirs is None else theirs / max(mine, 1e-9)
        ratio = ratio if is_time or not ratio else 1 / ratio
        targets = [verdict(ratio, faster, least=True, unit="x")]
        if field == "seconds":
            targets.append(verdict(mine, case.within, least=False, unit=" s"))
        elif field == "peak":
            targets.append(verdict(mine / unit, bound, least=False, unit=" MB"))
        elif field == "size" and not star:
            targets.append(verdict(ratio, 1, least=False, unit=""))
        shown = "" if theirs is None else f"{theirs / unit:,.2f}{mark}"
        times = "" if ratio is None else f"{ratio:.2f}{'x' if is_time else ''}"
        target = "; ".join(filter(None, targets))
        yield f"| {name} | {label} | {shown} | {mine / unit:,.2f} | {times} | {target} |"


def notes(name: str, case: Case, oracle: list[Result], ours: list[Result]) -> Iterator[str]:
    """Say what of a case was not measured and how far its runs are apart."""
    for how in sorted({result.extrapolated for result in oracle} - {""}):
        yield f"- \\* {name}: extrapolated, cellucid 0.0.9 ran {how}"
    if not oracle:
        yield f"- {name}: cellucid 0.0.9 {case.no_oracle or 'not run'}"
    for who, results in (("cellucid 0.0.9", oracle), ("cellucid-dask", ours)):
        if len(results) > 1:
            each = ", ".join(f"{result.seconds:.2f}" for result in results)
            yield f"- {name}: end to end seconds of {who}, in the order run: {each}"
