"""Load the application on several HTTP servers in turn, and print ratios.

`cellucid-dask serve` runs on granian through names that are not public. This benchmark measures
what that earns over servers with a public API. The servers of one dataset run at the same time and
take turns within each round, so that other load of the machine affects all of them alike.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from benchmarks.serve import http_candidates
from benchmarks.serve.datasets import (
    LOAD_ATLAS,
    REQUEST_GENES,
    find_or_write_csc_zarr,
    read_gene_ids,
    require_wrk,
)
from benchmarks.serve.servers import find_free_port, running_server, serve_command
from benchmarks.shared.atlases import find_or_make_atlas
from cellucid_dask import export

OURS = "cellucid-dask"
LONG = 24_000_000  # bytes
WARM_UP = 5  # seconds, for each server and kind of response


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of response, and how many clients ask for it at a time.

    More than 16 clients of one address would get 503 for long responses.
    """

    response: str
    paths: list[str]
    clients: tuple[int, ...] = (1, 16, 64)


@dataclass(slots=True)
class Figures:
    """What one server did in one case; one entry for each round."""

    rate: list[float] = field(default_factory=list)  # requests per second
    cpu_ms: list[float] = field(default_factory=list)  # CPU time of the server for each request
    p99_ms: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    port: int
    process: psutil.Process

    def load(self, script: Path, paths: Path, clients: int, seconds: int, into: Figures) -> None:
        """Load the server with wrk, and add the figures."""
        words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "30"]
        words += ["-s", str(script), f"http://127.0.0.1:{self.port}", "--", str(paths)]
        before = self.process.cpu_times()
        printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        after = self.process.cpu_times()
        cpu_seconds = after.user + after.system - before.user - before.system
        requests = int(_match(r"(\d+) requests in", printed))
        into.rate.append(float(_match(r"Requests/sec:\s+([\d.]+)", printed)))
        into.cpu_ms.append(cpu_seconds * 1e3 / max(requests, 1))
        into.p99_ms.append(_parse_milliseconds(_match(r"99%\s+([\d.]+(?:us|ms|s))\b", printed)))
        counts = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", printed)
        into.errors += sum(map(int, counts))


def _match(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def _parse_milliseconds(text: str) -> float:
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


@click.command("http-servers")
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--seconds", default=3, show_default=True, help="Time of each run.")
@click.option("--rounds", default=5, show_default=True)
def http_servers(work: Path, seconds: int, rounds: int) -> None:
    """Compare our server with waitress, cheroot and the embedded server of granian."""
    require_wrk()
    work.mkdir(parents=True, exist_ok=True)
    script, listed = work / "genes.lua", work / "paths"
    script.write_text(REQUEST_GENES)
    others = list(http_candidates.SERVERS)
    heads = ["response", "clients", "requests/s", "CPU ms", *others]
    datasets = list(_make_datasets(work))
    click.echo(f"load of the machine before: {psutil.getloadavg()[0]:.1f}", err=True)
    click.echo(f"| {' | '.join(heads)} |\n|{'---|' * 2}{'---:|' * (len(heads) - 2)}")
    for data, cases in datasets:
        with ExitStack() as stack:
            servers = {name: _start_server(name, data, stack) for name in (OURS, *others)}
            for case in cases:
                listed.write_text("\n".join(case.paths) + "\n")
                for server in servers.values():
                    server.load(script, listed, 16, WARM_UP, Figures())
                for clients in case.clients:
                    figures = {name: Figures() for name in servers}
                    for _ in range(rounds):
                        for name, server in servers.items():
                            server.load(script, listed, clients, seconds, figures[name])
                    _print_row(case.response, clients, figures)
            for name, server in servers.items():
                resident = server.process.memory_info().rss / 1e6
                click.echo(f"{data.name}, {name}: {resident:,.0f} MB resident", err=True)
    click.echo(f"load of the machine after: {psutil.getloadavg()[0]:.1f}", err=True)


def _start_server(name: str, data: Path, stack: ExitStack) -> Server:
    port = find_free_port()
    command = [sys.executable, "-m", http_candidates.__name__, name, str(data), str(port)]
    if name == OURS:
        command = serve_command(data, port)
    process, _ = stack.enter_context(running_server(command, port))
    return Server(port, process)


def _make_datasets(work: Path) -> Iterator[tuple[Path, list[Case]]]:
    """Make an export and live data; yields each with its cases."""
    atlas = find_or_make_atlas("serve", LOAD_ATLAS, work)
    plain, exported, store = (
        work / name for name in ("serve-export", "http-export", "serve-csc.zarr")
    )
    if not plain.exists():
        export(atlas, plain, quiet=True)
    if not exported.exists():
        shutil.copytree(plain, exported)
        with (exported / "points_3d.bin.gz").open("r+b") as file:
            file.truncate(LONG)
    find_or_write_csc_zarr(atlas, store)
    genes = read_gene_ids(exported)
    yield (
        exported,
        [
            Case("1 kB", ["/dataset_identity.json"]),
            Case("gene of an export, 12 kB", [f"/var/{gene}.values.u8.gz" for gene in genes]),
            Case("2D points, 740 kB", ["/points_2d.bin.gz"]),
            Case("24 MB", ["/points_3d.bin.gz"], (1, 16)),
        ],
    )
    yield store, [Case("gene of live data", [f"/var/{gene}.values.f32" for gene in genes])]


def _print_row(response: str, clients: int, figures: dict[str, Figures]) -> None:
    """Print a row: our medians, then for each server the ratios of its rate and CPU time."""
    own = figures[OURS]
    cells = [f"{statistics.median(own.rate):,.0f}", f"{statistics.median(own.cpu_ms):.3f}"]
    for name, other in figures.items():
        middle = [statistics.median(values) for values in (other.rate, other.cpu_ms, other.p99_ms)]
        line = f"{middle[0]:,.0f} requests/s, {middle[1]:.3f} CPU ms, p99 {middle[2]:.1f} ms"
        click.echo(f"{response}, {clients}, {name}: {line}, {other.errors} errors", err=True)
        if name != OURS:
            faster = _median_ratio(own.rate, other.rate)
            cells.append(f"{faster:.1f}x / {_median_ratio(other.cpu_ms, own.cpu_ms):.1f}x")
    click.echo(f"| {response} | {clients} | {' | '.join(cells)} |")


def _median_ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of the rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
