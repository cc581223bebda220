"""Requests for the chunks and blocks of ready files, with the bytes of their responses."""

from __future__ import annotations

import http.client
import json
import mmap
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import h5py
from zlib_ng.zlib_ng import crc32

from benchmarks.serve.clients import Expected

BLOCK: Final = 1 << 16  # bytes; blocks begin and end at multiples of it
BLOCKS: Final = (1, 2, 4, 8, 16)  # lengths of the requested ranges
N_BLOCKS: Final = 2_000
MATRIX: Final = ("X/data", "X/indices")  # nearly all bytes of a ready file

Span = tuple[int, int]


def find_url(port: int) -> str:
    """Path of the only dataset of a server, from its list of datasets."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/_cellucid/datasets")
        with connection.getresponse() as response:
            (entry,) = json.load(response)["datasets"]
    return "/" + str(entry["anndata"]["file"]["url"])


def request_zarr_chunks(folder: Path, port: int) -> list[Expected]:
    """Requests for all chunks of the matrix of a zarr folder."""
    url = find_url(port)
    return [
        _expect(port, f"{url}{array}/{path.name}", path.read_bytes())
        for array in MATRIX
        for path in sorted((folder / array).iterdir())
        if not path.name.startswith(".")
    ]


def request_h5ad_chunks(file: Path, port: int) -> list[Expected]:
    """Requests for all chunks of the matrix of an h5ad file, each with its exact range."""
    return _request_spans(file, port, list(_chunk_spans(file)))


def request_h5ad_blocks(file: Path, port: int) -> list[Expected]:
    """Requests for random ranges of an h5ad file, from 64 KiB to 1 MiB and aligned to 64 KiB."""
    drawn, size = random.Random(0), file.stat().st_size
    starts = [drawn.randrange(0, size, BLOCK) for _ in range(N_BLOCKS)]
    spans = [(start, min(start + drawn.choice(BLOCKS) * BLOCK, size)) for start in starts]
    return _request_spans(file, port, spans)


def _chunk_spans(file: Path) -> Iterator[Span]:
    with h5py.File(file) as opened:
        for name in MATRIX:
            dataset = opened[name].id
            for number in range(dataset.get_num_chunks()):
                chunk = dataset.get_chunk_info(number)
                yield chunk.byte_offset, chunk.byte_offset + chunk.size


def _request_spans(file: Path, port: int, spans: list[Span]) -> list[Expected]:
    url = find_url(port)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as content:
        return [_expect(port, url, content[start:stop], (start, stop)) for start, stop in spans]


def _expect(port: int, path: str, body: bytes, span: Span | None = None) -> Expected:
    ranged = "" if span is None else f"Range: bytes={span[0]}-{span[1] - 1}\r\n"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n{ranged}\r\n"
    status = b"HTTP/1.1 200" if span is None else b"HTTP/1.1 206"
    return Expected(request.encode(), status, len(body), crc32(body))


CASES: Final = {  # name: (ending of the file, requests)
    "zarr chunks": ("zarr", request_zarr_chunks),
    "h5ad chunks": ("h5ad", request_h5ad_chunks),
    "h5ad blocks": ("h5ad", request_h5ad_blocks),
}
