"""Requests per second of a server under the load of wrk."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.serve.datasets import REQUEST_GENES
from benchmarks.serve.servers import (
    find_free_port,
    reference_command,
    running_server,
    serve_command,
)

CLIENTS = 16
WARM_UP = 5  # seconds
PROGRAMS = ("reference", "cellucid-dask")
HEADER = """| data | | cellucid 0.0.9 | cellucid-dask | ratio | target |
|---|---|---:|---:|---:|---|"""


@dataclass(slots=True)
class Load:
    """What one server did under load.

    Parameters
    ----------
    requests
        Responses per second.
    p50_ms, p99_ms
        Percentiles of the latency.
    errors
        Failed connections and responses with a status of an error.
    memory
        Resident bytes, once a second.
    """

    requests: float
    p50_ms: float
    p99_ms: float
    errors: int
    memory: list[int] = field(default_factory=list)


def measure_servers(
    kind: str, data: Path, paths: list[str], seconds: int, repeat: int
) -> dict[str, list[Load]]:
    """Load both servers in turn, each time in a fresh process.

    Parameters
    ----------
    kind
        ``export`` or ``live``.
    paths
        Paths of the URLs that are requested.
    """
    runs: dict[str, list[Load]] = {program: [] for program in PROGRAMS}
    for _ in range(repeat):
        for program, loads in runs.items():
            port = find_free_port()
            is_ours = program == "cellucid-dask"
            command = serve_command(data, port) if is_ours else reference_command(kind, data, port)
            with running_server(command, port) as (process, _):
                send_requests(port, paths, WARM_UP, process)
                loads.append(send_requests(port, paths, seconds, process))
    return runs


def send_requests(port: int, paths: list[str], seconds: int, process: psutil.Process) -> Load:
    """Send requests with wrk, and sample the memory of the server once a second."""
    with tempfile.TemporaryDirectory() as folder:
        script, path_list = Path(folder, "genes.lua"), Path(folder, "paths")
        script.write_text(REQUEST_GENES)
        path_list.write_text("\n".join(paths) + "\n")
        command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}", "--latency", "--timeout", "30"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}", "--", str(path_list)]
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory = []
        while wrk.poll() is None:
            memory.append(process.memory_info().rss)
            time.sleep(1)
        output = wrk.stdout.read() if wrk.stdout else ""
    return Load(*_parse_output(output), memory)


def _parse_output(output: str) -> tuple[float, float, float, int]:
    """Parse what wrk prints: requests per second, two percentiles in ms, errors."""
    milliseconds = {"us": 1e-3, "ms": 1.0, "s": 1e3}

    def parse_percentile(percent: str) -> float:
        match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", output)
        assert match, output
        return float(match[1]) * milliseconds[match[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert rate, output
    sockets = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = sum(map(int, sockets.groups())) if sockets else 0
    errors += int(status[1]) if status else 0
    return float(rate[1]), parse_percentile("50"), parse_percentile("99"), errors


def format_rows(kind: str, runs: dict[str, list[Load]]) -> Iterator[str]:
    """Format the rows of one kind of data."""

    def find_medians(field_name: str) -> tuple[float, float]:
        theirs, ours = (
            statistics.median(getattr(load, field_name) for load in runs[program])
            for program in PROGRAMS
        )
        return theirs, ours

    a, b = find_medians("requests")
    yield f"| {kind} | requests per second | {a:,.0f} | {b:,.0f} | {b / a:.1f}x | at least 10x |"
    for name, target in (("p50_ms", ""), ("p99_ms", "at most 250 ms")):
        a, b = find_medians(name)
        yield f"| {kind} | {name[:3]} of responses, ms | {a:.2f} | {b:.2f} | | {target} |"
    a, b = (sum(load.errors for load in runs[program]) for program in PROGRAMS)
    yield f"| {kind} | errors in all runs | {a:,} | {b:,} | | 0 |"
    a, b = (max(max(load.memory) for load in runs[program]) / 1e6 for program in PROGRAMS)
    yield f"| {kind} | most resident memory, MB | {a:,.0f} | {b:,.0f} | | |"


def format_runs(kind: str, runs: dict[str, list[Load]]) -> Iterator[str]:
    """Format the rate of each run, and the memory of the last server of cellucid-dask."""
    rates = {
        program: ", ".join(f"{load.requests:,.0f}" for load in loads)
        for program, loads in runs.items()
    }
    yield f"{kind}: requests per second, in the order run: {rates}"
    series = ", ".join(f"{size / 1e6:.0f}" for size in runs["cellucid-dask"][-1].memory)
    yield f"{kind}: resident memory of cellucid-dask after warm-up, each second, MB: {series}"
