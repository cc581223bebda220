"""Load servers of ready files in turn, and make the table of what they did."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.serve import sendfile_server
from benchmarks.serve.clients import Tally, run_clients
from benchmarks.serve.first import cpu_seconds, watched_memory
from benchmarks.serve.ready_requests import CASES
from benchmarks.serve.servers import (
    find_free_port,
    ready_reference_command,
    running_server,
    serve_command,
)

DATASETS: Final = "/_cellucid/datasets"
REFERENCE, OURS, SENDFILE = "cellucid 0.9.5", "cellucid-dask", "sendfile"
FLAT: Final = 1.1  # resident memory at the end of a run over that after its warm-up
HEADER = f"""\
| data | | {REFERENCE} | {OURS} | ratio | target | {SENDFILE} loop |
|---|---|---:|---:|---:|---|---:|"""

Program = Callable[[Path, int], list[str]]


@dataclass(slots=True)
class Load:
    """What one server did in one run.

    Parameters
    ----------
    tally
        What the clients received.
    server_us, client_us
        CPU time for each response, microseconds.
    memory
        Resident bytes of the server before the first request, after the warm-up and at the end.
    peak
        Largest resident bytes after the warm-up.
    """

    tally: Tally
    server_us: float
    client_us: float
    memory: tuple[int, int, int]
    peak: int
    rate: float = field(init=False)  # responses per second
    rate_mb: float = field(init=False)  # megabytes per second

    def __post_init__(self) -> None:
        self.rate = len(self.tally.latencies) / self.tally.seconds
        self.rate_mb = self.tally.n_bytes / self.tally.seconds / 1e6


def choose_programs(reference: Path | None) -> dict[str, Program]:
    """Servers by name; `reference` is the Python of an environment with cellucid 0.9.5."""
    programs: dict[str, Program] = {}
    if reference is not None:
        programs[REFERENCE] = lambda path, port: ready_reference_command(reference, path, port)
    programs[OURS] = lambda path, port: serve_command(path, port, "--protocol", "ready")
    programs[SENDFILE] = lambda path, port: [
        *(sys.executable, "-m", sendfile_server.__name__),
        *(str(path), str(port)),
    ]
    return programs


def measure(
    case: str, path: Path, program: Program, n_clients: int, seconds: float, warm_up: float
) -> Load:
    """Start a server, and load it after a warm-up."""
    port = find_free_port()
    with running_server(program(path, port), port, DATASETS) as (process, _):
        expected = CASES[case][1](path, port)
        before = process.memory_info().rss
        run_clients(port, expected, warm_up, n_clients)
        warm = process.memory_info().rss
        used, client_used = cpu_seconds(process), _own_cpu_seconds()
        with watched_memory(process) as peak:
            tally = run_clients(port, expected, seconds, n_clients, seed=n_clients)
        used, client_used = cpu_seconds(process) - used, _own_cpu_seconds() - client_used
        memory = before, warm, process.memory_info().rss
    responses = max(len(tally.latencies), 1)
    return Load(tally, used / responses * 1e6, client_used / responses * 1e6, memory, peak[0])


def _own_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def format_rows(case: str, runs: dict[str, list[Load]]) -> Iterator[str]:
    """Format the rows of one case: medians, the largest memory, and the sum of the errors."""
    yield _format_rates(case, runs)
    medians: dict[str, tuple[Callable[[Load], float], str]] = {
        "MB/s": (lambda load: load.rate_mb, ",.0f"),
        "p50 of responses, ms": (lambda load: _percentile(load.tally, 50), ".2f"),
        "p99 of responses, ms": (lambda load: _percentile(load.tally, 99), ".2f"),
        "CPU of the server for a response, us": (lambda load: load.server_us, ".0f"),
        "CPU of the clients for a response, us": (lambda load: load.client_us, ".0f"),
    }
    for label, (read, style) in medians.items():
        figures = {name: statistics.median(map(read, loads)) for name, loads in runs.items()}
        yield _format_row(case, label, {name: f"{x:{style}}" for name, x in figures.items()})
    errors = {name: sum(load.tally.errors for load in loads) for name, loads in runs.items()}
    yield _format_row(case, "errors", _counts(errors), _verdict("0", errors[OURS] == 0))
    checked = {name: sum(load.tally.checked for load in loads) for name, loads in runs.items()}
    yield _format_row(case, "bodies compared", _counts(checked))
    worst = {name: max(loads, key=lambda load: load.peak) for name, loads in runs.items()}
    memory = {
        name: "{:,.0f}, {:,.0f}, {:,.0f}; {:,.0f}".format(
            *(size / 1e6 for size in (*load.memory, load.peak))
        )
        for name, load in worst.items()
    }
    is_flat = all(load.memory[2] <= FLAT * load.memory[1] for load in runs[OURS])
    label = "memory before, after warm-up, at the end; peak, MB"
    yield _format_row(case, label, memory, _verdict("flat", is_flat))


def _format_rates(case: str, runs: dict[str, list[Load]]) -> str:
    rates = {name: statistics.median(load.rate for load in loads) for name, loads in runs.items()}
    cells, ratio, target = {name: f"{rate:,.0f}" for name, rate in rates.items()}, "", ""
    if REFERENCE in runs:
        pairs = zip(runs[OURS], runs[REFERENCE], strict=True)  # of one round
        quotient = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
        ratio, target = f"{quotient:.1f}x", _verdict("at least 5x", quotient >= 5)
    return _format_row(case, "responses per second", cells, target, ratio)


def _counts(figures: dict[str, int]) -> dict[str, str]:
    return {name: f"{figure:,}" for name, figure in figures.items()}


def _verdict(target: str, reached: bool) -> str:
    return f"{target}: {'reached' if reached else '**missed**'}"


def _format_row(
    case: str, label: str, cells: dict[str, str], target: str = "", ratio: str = ""
) -> str:
    theirs, ours, loop = (cells.get(name, "") for name in (REFERENCE, OURS, SENDFILE))
    return f"| {case} | {label} | {theirs} | {ours} | {ratio} | {target} | {loop} |"


def _percentile(tally: Tally, percent: int) -> float:
    ordered = sorted(tally.latencies)
    return ordered[len(ordered) * percent // 100] * 1e3 if ordered else 0.0
