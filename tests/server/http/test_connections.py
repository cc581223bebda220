"""HEAD, keep-alive, pipelined requests and many clients."""

from __future__ import annotations

import pytest
from exported import stable_headers
from serving import POINTS, Client, Wire, ask, request

from cellucid_dask import CellucidServer


@pytest.mark.parametrize(
    "path",
    [
        POINTS,
        "/obs_manifest.json",
        "/atlas/obs_manifest.json",
        "/",
        "/_cellucid/health",
        "/_cellucid/datasets",
        "/_cellucid/page/viewer.js",
        "/nothing",
        "/_cellucid/nothing",
        "/" + "a" * 3000,
        "/%ff",
    ],
)
def test_head_has_the_headers_of_get(server: CellucidServer, path: str) -> None:
    whole, head = ask(server, path), ask(server, path, method="HEAD")
    assert head.status == whole.status
    assert stable_headers(head) == stable_headers(whole)
    assert head.body == b""
    assert head.get("Content-Length") == str(len(whole.body))
    ranged = ask(server, path, {"Range": "bytes=0-0"}, method="HEAD")
    assert ranged.status == whole.status, "ranges are of GET only"


def test_many_requests_on_one_connection(server: CellucidServer) -> None:
    """Responses without a body, errors and ranges leave the connection open."""
    tag = ask(server, POINTS).get("ETag")
    with Client(server) as client:
        client("/")
        address = client.address
        for _ in range(5):
            assert client(POINTS).status == 200
            assert client(POINTS, {"If-None-Match": str(tag)}).status == 304
            assert client(POINTS, {"Range": "bytes=0-3"}).status == 206
            assert client(POINTS, {"Range": "bytes=99999999-"}).status == 416
            assert client(POINTS, method="HEAD").status == 200
            assert client("/nothing").status == 404
            assert client("/nothing", method="HEAD").status == 404
            assert client("/", method="OPTIONS").status == 204
            assert client("/", method="PUT").status == 405
            assert client("/" + "a" * 3000).status == 414
            assert client("/", {"Host": "evil.com"}).status == 421
        assert client.address == address


def test_pipelined_requests(server: CellucidServer) -> None:
    """The responses come in the order of the requests."""
    whole = ask(server, POINTS)
    with Wire(server.port) as wire:
        paths = [POINTS, "/nothing", POINTS, "/_cellucid/health"] * 5
        wire.send(b"".join(request(server.port, path) for path in paths))
        for path in paths:
            reply = wire.reply()
            assert reply is not None
            assert reply.status == (404 if path == "/nothing" else 200)
            if path == POINTS:
                assert reply.body == whole.body


def test_http_1_0_client(server: CellucidServer) -> None:
    whole = ask(server, POINTS)
    with Wire(server.port) as wire:
        reply = wire.send(request(server.port, POINTS, version="1.0")).reply()
        assert reply is not None
        assert reply.status == 200
        assert reply.body == whole.body
        assert wire.rest() == b"", "the connection ends with the answer"
