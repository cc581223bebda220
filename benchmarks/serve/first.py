"""Time until the first response, and the latency of genes that are not cached."""

from __future__ import annotations

import gzip
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.serve.servers import find_free_port, running_server, serve_command

COMPRESSED = {"Accept-Encoding": "gzip"}


def measure_first_responses(path: Path, cache: Path, n_genes: int) -> tuple[float, ...]:
    """Start a server and request genes that it has not sent before.

    Returns
    -------
    Seconds until the first identity, the median and 95th percentile of the latency of a gene in
    ms, CPU time of the server for a gene in ms, and the largest resident memory in MB.
    """
    port = find_free_port()
    command = serve_command(path, port, "--cache-dir", str(cache))
    with running_server(command, port) as (process, seconds), watched_memory(process) as peak:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for name in ("obs_manifest.json", "points_3d.bin", "var_manifest.json"):
            client.request("GET", f"/{name}", headers=COMPRESSED)
            body = client.getresponse().read()
        genes = [entry[0] for entry in json.loads(_decompress(body))["fields"]]
        _time_gene(client, genes[-1])  # opens the arrays
        before = cpu_seconds(process)
        times = [_time_gene(client, genes[i * 7919 % len(genes)]) for i in range(n_genes)]
        cpu = (cpu_seconds(process) - before) / n_genes * 1e3
    percentiles = statistics.quantiles(times, n=20)
    return seconds, statistics.median(times), percentiles[-1], cpu, peak[0] / 1e6


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _time_gene(client: http.client.HTTPConnection, gene: str) -> float:
    """Request a gene; milliseconds until its last byte."""
    start = time.perf_counter()
    client.request("GET", f"/var/{gene}.values.f32", headers=COMPRESSED)
    response = client.getresponse()
    response.read()
    assert response.status == 200, (gene, response.status)
    return (time.perf_counter() - start) * 1e3


@contextmanager
def watched_memory(process: psutil.Process) -> Iterator[list[int]]:
    """Sample the memory of a process; the item of the list is the largest in bytes."""
    peak, is_over = [process.memory_info().rss], threading.Event()

    def sample() -> None:
        while not is_over.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()


def _decompress(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
