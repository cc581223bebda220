"""Limits of paths, queries, headers and bodies."""

from __future__ import annotations

import json
import time

import pytest
from serving import POINTS, Wire, ask, is_refused, request, send_bytes

from cellucid_dask import CellucidServer


def test_long_paths_and_queries_get_414(server: CellucidServer) -> None:
    assert ask(server, "/" + "a" * 1500).status == 404
    assert ask(server, "/" + "a/" * 700).status == 404
    for length in (2500, 10_000):
        assert ask(server, "/" + "a" * length).status == 414
        assert ask(server, "/?" + "a" * length).status == 414
        assert ask(server, "/" + "%41" * length).status in (414, 431)
    for length in (100_000, 5_000_000):
        reply = send_bytes(server, request(server.port, "/" + "a" * length))
        assert is_refused(reply)
        assert reply is None or reply.status in (400, 414, 431)


def test_large_headers_are_refused(server: CellucidServer) -> None:
    for headers in (
        {"X": "a" * 100_000},
        {"X" * 70_000: "a"},
        {f"X-{i}": "b" for i in range(1000)},
        {f"X-{i}": "b" * 100 for i in range(5000)},
        {"Cookie": "a=b; " * 30_000},
        {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(10_000))},
        {"If-None-Match": ", ".join(f'"{i}"' for i in range(20_000))},
        {"Accept-Encoding": ",".join(["gzip;q=0.5"] * 20_000)},
    ):
        reply = send_bytes(server, request(server.port, POINTS, headers))
        assert is_refused(reply)
        assert reply is None or reply.status in (400, 431)
        assert ask(server, POINTS).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(2500))},
        {"Range": "bytes=" + "," * 20_000},
        {"If-None-Match": ", ".join(f'"{i}"' for i in range(2500))},
        {"If-None-Match": '"' * 20_000},
        {"If-None-Match": "W/" * 10_000},
        {"Accept-Encoding": ",".join(["gzip;q=0.5"] * 1800)},
        {"Accept-Encoding": ";" * 20_000},
        {"Cookie": "=" * 20_000},
        {"Cookie": 'a="' + "\\" * 20_000},
        {"Cookie": "; ".join(f"a{i}=b" for i in range(2000))},
        {"Origin": "https://" + "a." * 9_000 + "cellucid.com"},
        {"Origin": "https://" + "a" * 20_000},
        {"If-Modified-Since": "9" * 20_000},
        {"If-Modified-Since": "(" * 20_000},
        {"If-Range": '"' + "a" * 20_000},
        {"Authorization": "Bearer " + "a" * 20_000},
    ],
)
def test_largest_allowed_headers_cost_little(
    server: CellucidServer, headers: dict[str, str]
) -> None:
    """The time for a header does not grow with the square of its length."""
    began = time.process_time()
    for _ in range(10):
        reply = send_bytes(server, request(server.port, POINTS, headers))
        assert reply is not None
        assert reply.status in (200, 206, 400, 431)
    assert time.process_time() - began < 3


def test_only_events_accept_a_body(server: CellucidServer) -> None:
    """A body has a maximum size, and the server does not wait for it."""
    events = "/_cellucid/events"
    for body in (b"", b"{}", b"x" * 100_000):
        reply = ask(server, events, method="POST", body=body)
        assert reply.status == 200
        assert isinstance(json.loads(reply.body), dict)
    for size in ("1048577", "99999999999", "9" * 18):
        assert ask(server, events, {"Content-Length": size}, method="POST").status == 413
    for size in ("-1", "+5", "0x5", "5, 5", "a", "", "9" * 40, "1e3", "\xb2"):
        data = request(server.port, events, {"Content-Length": size}, method="POST")
        reply_or_none = send_bytes(server, data)
        assert reply_or_none is None or reply_or_none.status in (200, 400, 413), size
    for path in (POINTS, "/", "/_cellucid/health", "/_cellucid/info", "/nothing"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            reply = ask(server, path, method=method, body=b"abc")
            assert reply.status == 405, (method, path)
            assert "GET" in (reply.get("Allow") or "")
            huge = ask(server, path, {"Content-Length": "99999999999"}, method=method)
            assert huge.status in (405, 413)
    for method in ("PUT", "DELETE", "PATCH"):
        assert ask(server, events, method=method).status == 405
    assert ask(server, events).status == 404


def test_body_is_not_read_as_a_request(server: CellucidServer) -> None:
    """The server never reads a body as the next request."""
    inner = request(server.port, "/obs_manifest.json")
    for path, status in (("/_cellucid/events", 200), ("/nothing", 405)):
        with Wire(server.port) as wire:
            wire.send(request(server.port, path, method="POST", body=inner))
            wire.send(request(server.port, "/_cellucid/health"))
            first = wire.reply()
            assert first is not None
            assert first.status == status
            second = wire.reply()  # or the connection is closed
            assert second is None or b'"ok"' in second.body
    both = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    with Wire(server.port) as wire:
        wire.send(request(server.port, "/_cellucid/events", both, method="POST") + b"0\r\n\r\n")
        wire.send(request(server.port, "/obs_manifest.json"))
        first = wire.reply()
        assert first is None or first.status in (200, 400)
        assert wire.reply() is None, "a connection with two lengths is closed"


def test_chunked_body_without_end_is_cut_off(server: CellucidServer) -> None:
    """The server closes the connection and stops reading."""
    with Wire(server.port) as wire:
        wire.send(
            request(
                server.port, "/_cellucid/events", {"Transfer-Encoding": "chunked"}, method="POST"
            )
        )
        sent, end = 0, time.monotonic() + 5
        try:
            while time.monotonic() < end and sent < 200_000_000:
                sent += wire.socket.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        except OSError:
            pass
        assert sent < 50_000_000
    assert ask(server, POINTS).status == 200
