"""Ranges and conditions of the public app's store, as `cellucid` 0.9.5 answers them."""

from __future__ import annotations

import pytest
from exported import check_ranges
from hypothesis import given, settings
from hypothesis import strategies as st
from served_ready import store_url
from serving import Client, ask, request, send_bytes

from cellucid_dask import CellucidServer
from cellucid_dask.server.http.response import find_exact_range, find_range

KEYS = {
    "any.h5ad": "",
    "two.zarr": "X/data/0",
    "three.zarr": "zarr.json",
    "shards.zarr": "X/data/c/0",
    "two.zarr.zip": "",
}
NO_RANGES = [
    "bytes=9-5",
    "bytes=",
    "bytes=-",
    "bytes=-0",
    "bytes=a-b",
    "bytes=0-1,3-4",
    "bytes=0-1, 3-4",
    "bytes=0-1;",
    "bytes = 0-1",
    "bytes=0 - 1",
    "BYTES=0-1",
    "items=0-1",
    "0-1",
    "",
    "bytes=0-" + "9" * 21,
    "bytes=\xb2-",
]


@pytest.fixture(params=KEYS)
def url(request: pytest.FixtureRequest, ready_servers: dict[str, CellucidServer]) -> str:
    return store_url(ready_servers[request.param]) + KEYS[request.param]


@pytest.fixture
def server(request: pytest.FixtureRequest, ready_servers: dict[str, CellucidServer]) -> object:
    return ready_servers[request.node.callspec.params["url"]]


def test_one_range_gets_206_or_416(server: CellucidServer, url: str) -> None:
    with Client(server) as client:
        check_ranges(client, url)


def test_anything_but_one_range_gets_416(server: CellucidServer, url: str) -> None:
    size = len(ask(server, url).body)
    for header in [*NO_RANGES, f"bytes={size}-"]:
        for method in ("GET", "HEAD"):
            reply = ask(server, url, {"Range": header}, method=method)
            assert (reply.status, reply.body) == (416, b""), header
            assert reply.get("Content-Range") == f"bytes */{size}"
            assert reply.get("ETag") is None
    twice = request(server.port, url, {"Range": "bytes=0-1", "range": "bytes=3-4"})
    reply = send_bytes(server, twice)
    assert reply is not None
    assert reply.status == 416


def test_head_has_the_headers_of_get(server: CellucidServer, url: str) -> None:
    for headers in ({}, {"Range": "bytes=2-9"}, {"Range": "bytes=-3"}, {"If-None-Match": "*"}):
        got, head = (ask(server, url, headers, method=method) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers_without_date() == got.headers_without_date()


def test_a_body_is_never_coded(server: CellucidServer, url: str) -> None:
    plain = ask(server, url)
    for coding in ("gzip", "gzip, br, zstd", "*", "identity;q=0, gzip"):
        reply = ask(server, url, {"Accept-Encoding": coding})
        assert reply.headers_without_date() == plain.headers_without_date()
        assert reply.body == plain.body
    assert plain.get("Content-Type") == "application/octet-stream"
    assert plain.get("Content-Encoding") is None
    assert plain.get("Cache-Control") == "no-cache"
    assert plain.get("Accept-Ranges") == "bytes"
    assert plain.get("Content-Length") == str(len(plain.body))


def test_conditions(server: CellucidServer, url: str) -> None:
    whole = ask(server, url)
    tag = str(whole.get("ETag"))
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"x", {tag}', f"{tag},W/{tag}", "*"):
        for more in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=oops"}):
            reply = ask(server, url, {"If-None-Match": known, **more})
            assert (reply.status, reply.body, reply.get("ETag")) == (304, b"", tag), known
    for other in ('"x"', 'W/"x"', "x", ""):
        assert ask(server, url, {"If-None-Match": other}).status == 200, other


def test_a_range_of_another_version_gets_the_whole(server: CellucidServer, url: str) -> None:
    whole = ask(server, url)
    tag, date = str(whole.get("ETag")), str(whole.get("Last-Modified"))
    first = {"Range": "bytes=0-1"}
    assert ask(server, url, {"If-Range": tag, **first}).status == 206
    assert ask(server, url, {"If-Range": tag, "Range": "bytes=oops"}).status == 416
    # A file may be replaced twice within a second: a date does not tell its versions apart.
    for other in (f"W/{tag}", '"x"', "x", date, "Thu, 01 Jan 1970 00:00:00 GMT", ""):
        for asked in (first, {"Range": "bytes=oops"}):
            reply = ask(server, url, {"If-Range": other, **asked})
            assert (reply.status, reply.body) == (200, whole.body), other


@settings(max_examples=200)
@given(st.text("bytes=-0123456789, ", max_size=12) | st.from_regex(r"bytes=\d{0,3}-\d{0,3}"))
def test_an_exact_range_is_one_by_rfc_9110(header: str) -> None:
    for size in (0, 1, 10, 1000):
        exact, usual = find_exact_range(header, size), find_range(header, size)
        assert not exact or (exact == usual and exact.stop <= size)
