"""The reader of `cellucid` 0.9.5, which opens files alone; each of them came over HTTP."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from ready_oracle import ReadyOracle
from serving import Client, Reply

PROGRAM = Path(__file__).with_name("public_reader_program.py")
Answer = dict[str, Any]


@pytest.fixture(scope="session")
def public_reader(ready_oracle: ReadyOracle) -> Iterator[Callable[[Path], Answer]]:
    """Read a file or a folder."""
    process = subprocess.Popen(
        [ready_oracle.python, PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def read(path: Path) -> Answer:
        print(path, file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    yield read
    process.communicate()


def download(url: str, layout: str, folder: Path) -> Path:
    """Copy a store to the disk, a zarr folder by the keys that its metadata tell of."""
    parts = urlsplit(url)
    target = folder / parts.path.rstrip("/").rpartition("/")[2]
    with Client(parts.port) as client:
        if layout != "folder":
            target.write_bytes(_get(client, parts.path).body)
            return target
        for key, needed in store_keys(lambda key: client(parts.path + quote(key))):
            reply = client(parts.path + quote(key))
            assert reply.status == 200 or (reply.status == 404 and not needed), key
            if reply.status == 200:
                path = target / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(reply.body)
    return target


def store_keys(ask: Callable[[str], Reply]) -> Iterator[tuple[str, bool]]:
    """Keys of a store by its consolidated metadata, and whether each must be there."""
    if (reply := ask(".zmetadata")).status == 200:
        yield ".zmetadata", True
        for key, document in json.loads(reply.body)["metadata"].items():
            yield key, True
            if key.endswith("/.zarray"):
                separator = document["dimension_separator"]
                grid = _grid(document["shape"], document["chunks"])
                for place in grid:
                    yield f"{key.removesuffix('.zarray')}{separator.join(place) or '0'}", False
        return
    reply = ask("zarr.json")
    yield "zarr.json", True
    inline = json.loads(reply.body)["consolidated_metadata"]["metadata"]
    for path, document in inline.items():
        yield f"{path}/zarr.json", True
        if document["node_type"] == "array":
            chunks = document["chunk_grid"]["configuration"]["chunk_shape"]
            for place in _grid(document["shape"], chunks):
                yield "/".join([path, "c", *place]), False


def _grid(shape: list[int], chunks: list[int]) -> Iterator[tuple[str, ...]]:
    counts = [-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)]
    return itertools.product(*(map(str, range(count)) for count in counts))


def _get(client: Client, path: str) -> Reply:
    reply = client(path)
    assert reply.status == 200
    return reply
