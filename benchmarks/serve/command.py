"""Load `cellucid-dask serve` and the server of cellucid 0.0.9 side by side, and print a table.

    python -m benchmarks serve load --work FOLDER         # needs wrk (Debian: apt install wrk)
    python -m benchmarks serve first --work FOLDER        # needs 14 GB to make its CSC store
    python -m benchmarks serve http-servers --work FOLDER # needs wrk, waitress and cheroot

`load`: 16 keep-alive clients ask for all genes of 100,000 cells x 2,000 genes in turn, of an
export and of a live CSC zarr. The servers take turns, a fresh process each time. `first`: how
soon a server of 1,000,000 cells x 10,000 genes answers, and how long an uncached gene takes.
`http-servers`: the same application on other HTTP servers.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from benchmarks.serve.http_servers import http_servers
from benchmarks.serve.server_processes import (
    GENES,
    LOAD,
    as_csc_zarr,
    free_port,
    genes_of,
    ours,
    require_wrk,
    serving,
)
from benchmarks.shared.atlases import find_or_make_atlas
from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec

CLIENTS = 16
FIRST = AtlasSpec(1_000_000, 10_000)
ORACLE = """
import sys
from cellucid.server import CellucidServer
from cellucid.anndata_server import AnnDataServer
kind, path, port = sys.argv[1:]
server = (CellucidServer if kind == "export" else AnnDataServer)(path, port=int(port), quiet=True)
server.web_proxy = False
server.start()
"""


@dataclass(slots=True)
class Load:
    """What one server did under load."""

    requests: float
    p50_ms: float
    p99_ms: float
    errors: int
    memory: list[int] = field(default_factory=list)


def theirs(kind: str, path: Path, port: int) -> list[str]:
    """Command of the reference's server."""
    return [sys.executable, "-c", ORACLE, kind, str(path), str(port)]


def hammer(port: int, paths: list[str], seconds: int, process: psutil.Process) -> Load:
    """Load a server with wrk, and look at its memory every second."""
    with tempfile.TemporaryDirectory() as folder:
        script, listed = Path(folder, "genes.lua"), Path(folder, "paths")
        script.write_text(GENES)
        listed.write_text("\n".join(paths) + "\n")
        command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}", "--latency", "--timeout", "30"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}", "--", str(listed)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory = []
        while run.poll() is None:
            memory.append(process.memory_info().rss)
            time.sleep(1)
        told = run.stdout.read() if run.stdout else ""
    return Load(*_figures(told), memory)


def _figures(told: str) -> tuple[float, float, float, int]:
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}

    def percentile(share: str) -> float:
        found = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)\b", told)
        assert found, told
        return float(found[1]) * scale[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert rate, told
    sockets = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    errors = sum(map(int, sockets.groups())) if sockets else 0
    return (
        float(rate[1]),
        percentile("50"),
        percentile("99"),
        errors + (int(status[1]) if status else 0),
    )


@click.group("serve")
def command() -> None:
    """Benchmarks of the server."""


command.add_command(http_servers)


@command.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--seconds", default=20, show_default=True)
@click.option("--repeat", default=3, show_default=True)
def load(work: Path, seconds: int, repeat: int) -> None:
    """Measure requests per second beside the reference."""
    require_wrk()
    work.mkdir(parents=True, exist_ok=True)
    atlas = find_or_make_atlas("serve", LOAD, work)
    exported, store = work / "serve-export", work / "serve-csc.zarr"
    if not exported.exists():
        export(atlas, exported, quiet=True)
    as_csc_zarr(atlas, store)
    genes = genes_of(exported)
    click.echo(HEADER)
    for kind, path, ending in (("export", exported, "u8.gz"), ("live", store, "f32")):
        paths = [f"/var/{gene}.values.{ending}" for gene in genes]
        runs: dict[str, list[Load]] = {"theirs": [], "ours": []}
        for _ in range(repeat):
            for name, done in runs.items():
                port = free_port()
                words = ours(path, port) if name == "ours" else theirs(kind, path, port)
                with serving(words, port) as (process, _):
                    hammer(port, paths, 5, process)  # warm-up
                    done.append(hammer(port, paths, seconds, process))
        _print_load(kind, runs)


HEADER = """| data | | cellucid 0.0.9 | cellucid-dask | ratio | target |
|---|---|---:|---:|---:|---|"""


def _print_load(kind: str, runs: dict[str, list[Load]]) -> None:
    def median(name: str, what: str) -> float:
        return statistics.median(getattr(run, what) for run in runs[name])

    a, b = median("theirs", "requests"), median("ours", "requests")
    click.echo(
        f"| {kind} | requests per second | {a:,.0f} | {b:,.0f} | {b / a:.1f}x | at least 10x |"
    )
    for share in ("p50_ms", "p99_ms"):
        a, b = median("theirs", share), median("ours", share)
        target = "at most 250 ms" if share == "p99_ms" else ""
        click.echo(f"| {kind} | {share[:3]} of answers, ms | {a:.2f} | {b:.2f} | | {target} |")
    a, b = (sum(run.errors for run in runs[name]) for name in ("theirs", "ours"))
    click.echo(f"| {kind} | errors in all runs | {a:,} | {b:,} | | 0 |")
    a, b = (max(max(run.memory) for run in runs[name]) / 1e6 for name in ("theirs", "ours"))
    click.echo(f"| {kind} | most resident memory, MB | {a:,.0f} | {b:,.0f} | | |")
    series = ", ".join(f"{size / 1e6:.0f}" for size in runs["ours"][-1].memory)
    rates = {name: ", ".join(f"{run.requests:,.0f}" for run in done) for name, done in runs.items()}
    click.echo(f"\n{kind}: requests per second, in the order run: {rates}", err=True)
    click.echo(f"{kind}: our resident memory after warm-up, each second, MB: {series}\n", err=True)


@command.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--genes", default=300, show_default=True, help="Genes that are asked for.")
@click.option("--repeat", default=3, show_default=True)
def first(work: Path, genes: int, repeat: int) -> None:
    """Measure the first answer, uncached genes and memory at 1,000,000 cells."""
    work.mkdir(parents=True, exist_ok=True)
    atlas, store, cache = (
        find_or_make_atlas("first", FIRST, work),
        work / "first-csc.zarr",
        work / "cache",
    )
    as_csc_zarr(atlas, store)
    began = time.perf_counter()
    program = str(Path(sys.executable).with_name("cellucid-dask"))
    subprocess.run([program, "index", str(atlas), "-q", "--cache-dir", str(cache)], check=True)
    click.echo(f"index (or finding it): {time.perf_counter() - began:.1f} s", err=True)
    click.echo("| data | first identity, s | uncached gene, median ms | p95 ms | most memory, MB |")
    click.echo("|---|---:|---:|---:|---:|")
    for name, path in (("CSC zarr", store), ("CSR h5ad, indexed", atlas)):
        told = [_first(path, cache, genes) for _ in range(repeat)]
        figures = [statistics.median(values) for values in zip(*told, strict=True)]
        row = f"{figures[0]:.2f} | {figures[1]:.1f} | {figures[2]:.1f} | {figures[3]:,.0f}"
        click.echo(f"| {name} | {row} |")


def _first(path: Path, cache: Path, genes: int) -> tuple[float, float, float, float]:
    port = free_port()
    words = ours(path, port, "--cache-dir", str(cache))
    with serving(words, port) as (process, seconds):
        peak, done = [process.memory_info().rss], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak[0] = max(peak[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for name in ("obs_manifest.json", "points_3d.bin", "var_manifest.json"):
            client.request("GET", f"/{name}", headers={"Accept-Encoding": "gzip"})
            body = client.getresponse().read()
        ids = [entry[0] for entry in json.loads(_inflated(body))["fields"]]
        times = []
        for i in range(genes):
            began = time.perf_counter()
            gene = ids[i * 7919 % len(ids)]
            client.request("GET", f"/var/{gene}.values.f32", headers={"Accept-Encoding": "gzip"})
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200, (gene, answer.status)
            times.append((time.perf_counter() - began) * 1e3)
        done.set()
        watcher.join()
    cuts = statistics.quantiles(times, n=20)
    return seconds, statistics.median(times), cuts[-1], peak[0] / 1e6


def _inflated(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
