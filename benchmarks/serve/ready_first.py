"""Time until the public app's first response, and the latency of genes that are not cached."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numcodecs.registry import get_codec

from benchmarks.serve.first import cpu_seconds, watched_memory
from benchmarks.serve.ready_load import DATASETS
from benchmarks.serve.ready_requests import MATRIX, find_url
from benchmarks.serve.servers import find_free_port, running_server, serve_command

HEADER = """\
| data | first list, s | `X/indptr`, s | uncached gene, median ms | p95 ms \
| requests | CPU, ms | most memory, MB |
|---|---:|---:|---:|---:|---:|---:|---:|"""

Request = tuple[str, dict[str, str]]  # path and headers


@dataclass(frozen=True, slots=True)
class ReadyFirst:
    """What one server of the public app's protocol did; one row of the table.

    Parameters
    ----------
    datasets, indptr
        Seconds from the start of the process to the list of datasets, and to all of ``X/indptr``.
    median_ms, p95_ms
        Latency of a gene: all chunks of its values and its cells, one after the other.
    requests
        Chunks of a gene, on average.
    cpu_ms
        CPU time of the server for a gene.
    peak_mb
        Largest resident memory.
    """

    datasets: float
    indptr: float
    median_ms: float
    p95_ms: float
    requests: float
    cpu_ms: float
    peak_mb: float


class Matrix(Protocol):
    """Where the chunks of a matrix by gene are."""

    indptr: np.ndarray[Any, np.dtype[np.integer[Any]]]

    def request_chunks(self, array: str, first: int, last: int) -> Iterator[Request]:
        """Requests for the chunks of `array` that hold its elements `first` to `last`."""


def measure_ready_first(path: Path, cache: Path, n_genes: int) -> ReadyFirst:
    """Start a server as for the public app, and request genes that it has not sent before."""
    port = find_free_port()
    options = ("--cache-dir", str(cache), "--viewer", "hosted", "--protocol", "ready")
    command, started = serve_command(path, port, *options), time.perf_counter()
    with (
        running_server(command, port, DATASETS) as (process, seconds),
        watched_memory(process) as peak,
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as client,
    ):
        url = find_url(port)
        matrix = ZarrMatrix(client, url) if url.endswith("/") else H5adMatrix(path, url)
        counted = time.perf_counter() - started
        total, n_requests = len(matrix.indptr) - 1, 0
        _request_gene(client, matrix, total - 1)  # opens the arrays
        used, times = cpu_seconds(process), []
        for number in range(n_genes):
            start = time.perf_counter()
            n_requests += _request_gene(client, matrix, number * 7919 % (total - 1))
            times.append((time.perf_counter() - start) * 1e3)
        cpu = (cpu_seconds(process) - used) / n_genes * 1e3
    p95, median = statistics.quantiles(times, n=20)[-1], statistics.median(times)
    return ReadyFirst(seconds, counted, median, p95, n_requests / n_genes, cpu, peak[0] / 1e6)


def _request_gene(client: http.client.HTTPConnection, matrix: Matrix, gene: int) -> int:
    """Request all chunks of a gene; how many they are."""
    first, stop = (int(edge) for edge in matrix.indptr[gene : gene + 2])
    requests = [
        request
        for array in (MATRIX if stop > first else ())
        for request in matrix.request_chunks(array, first, stop - 1)
    ]
    for path, headers in requests:
        _get(client, path, headers)
    return len(requests)


def _get(
    client: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None
) -> bytes:
    client.request("GET", path, headers=headers or {})
    response = client.getresponse()
    body = response.read()
    if response.status not in (200, 206):
        raise OSError(f"{response.status} for {path}: {body[:200]!r}")
    return body


class ZarrMatrix:
    """The matrix of a zarr folder of format 2, which is read over HTTP."""

    def __init__(self, client: http.client.HTTPConnection, url: str) -> None:
        self._url = url
        metadata = json.loads(_get(client, f"{url}.zmetadata"))["metadata"]
        (self._length,) = metadata["X/data/.zarray"]["chunks"]
        facts = metadata["X/indptr/.zarray"]
        codecs = [facts["compressor"], *reversed(facts["filters"] or [])]
        parts = []
        for number in range(ceil(facts["shape"][0] / facts["chunks"][0])):
            part: Any = _get(client, f"{url}X/indptr/{number}")
            for codec in filter(None, codecs):
                part = get_codec(codec).decode(part)
            parts.append(np.frombuffer(part, facts["dtype"]))
        self.indptr = np.concatenate(parts)[: facts["shape"][0]]

    def request_chunks(self, array: str, first: int, last: int) -> Iterator[Request]:
        """Requests for the chunks of `array` that hold its elements `first` to `last`."""
        for number in range(first // self._length, last // self._length + 1):
            yield f"{self._url}{array}/{number}", {}


class H5adMatrix:
    """The matrix of an h5ad, whose layout is read from the file itself, as the app has it too."""

    def __init__(self, path: Path, url: str) -> None:
        self._url = url
        with h5py.File(path) as file:
            self.indptr = file["X/indptr"][()]
            (self._length,) = file["X/data"].chunks
            self._places = {
                name: [
                    file[name].id.get_chunk_info(number)
                    for number in range(file[name].id.get_num_chunks())
                ]
                for name in MATRIX
            }

    def request_chunks(self, array: str, first: int, last: int) -> Iterator[Request]:
        """Requests for the chunks of `array` that hold its elements `first` to `last`."""
        for number in range(first // self._length, last // self._length + 1):
            place = self._places[array][number]
            span = f"bytes={place.byte_offset}-{place.byte_offset + place.size - 1}"
            yield self._url, {"Range": span}


def format_row(name: str, runs: list[ReadyFirst]) -> str:
    """Format the medians of the runs of one dataset."""

    def middle(field: str) -> float:
        return float(statistics.median(getattr(run, field) for run in runs))

    return (
        f"| {name} | {middle('datasets'):.2f} | {middle('indptr'):.2f} | {middle('median_ms'):.1f} "
        f"| {middle('p95_ms'):.1f} | {middle('requests'):.1f} | {middle('cpu_ms'):.1f} "
        f"| {middle('peak_mb'):,.0f} |"
    )
