"""Clients that send or read slowly, or not at all."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psutil
import pytest
from serving import (
    POINTS,
    SECONDS,
    Wire,
    ask,
    internal,
    request,
    serving,
    wait_until,
    with_long_payload,
)

from cellucid_dask import CellucidServer

BIG = 24_000_000  # bytes; much more than the kernel holds for a client that reads nothing


@pytest.fixture(scope="module")
def big_export(atlas_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a file that is too large for the buffers of the kernel."""
    return with_long_payload(atlas_export, tmp_path_factory.mktemp("big"), BIG)


def seconds_since(began: float) -> float:
    return time.monotonic() - began


def test_clients_that_send_slowly_are_cut_off(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert internal("http.listener").IDLE_MS <= 60_000
    monkeypatch.setattr(internal("http.listener"), "IDLE_MS", 1000)
    with serving(atlas_export) as server:
        with Wire(server.port) as silent, Wire(server.port) as half, Wire(server.port) as kept:
            half.send(b"GET / HTTP/1.1\r\nHo")
            reply = kept.send(request(server.port, POINTS)).reply()
            assert reply is None or reply.status == 200  # None: this client was slow as well
            kept.send(b"GET /")
            for wire in (silent, half, kept):
                said_last = wire.rest()
                assert said_last == b"" or said_last.startswith(b"HTTP/1.1 4")
        with Wire(server.port) as idle:
            idle.send(request(server.port, POINTS)).reply()
            assert idle.closed(), "an idle connection stays open"
        with Wire(server.port) as dripping:
            dripping.send(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            try:
                while seconds_since(began) < SECONDS:
                    dripping.socket.sendall(b"X: y\r\n")
                    time.sleep(0.05)  # the pace of this client
            except OSError:
                pass
            assert seconds_since(began) < SECONDS, "a line now and then keeps it open"
        assert ask(server, POINTS).status == 200


def test_missing_body_occupies_no_thread(server: CellucidServer) -> None:
    wires = [Wire(server.port) for _ in range(100)]
    try:
        for wire in wires:
            wire.send(
                request(server.port, "/_cellucid/events", {"Content-Length": "100"}, method="POST")
            )
        assert ask(server, POINTS).status == 200
        for wire in wires:
            reply = wire.reply()
            assert reply is not None
            assert reply.status == 200
    finally:
        for wire in wires:
            wire.socket.close()


def count_connections(port: int) -> int:
    connections = psutil.Process().net_connections("tcp")
    return sum(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in connections)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux cuts them")
def test_clients_that_do_not_read_are_cut_off(
    big_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more of them than threads; other clients get responses after the cut."""
    listener = internal("http.listener")
    assert listener.STALLED_MS <= 60_000
    monkeypatch.setattr(listener, "STALLED_MS", 1000)
    with serving(big_export) as server:
        wires = [Wire(server.port, buffer=4096) for _ in range(listener.THREADS + 8)]
        try:
            for wire in wires:
                wire.send(request(server.port, "/points_3d.bin.gz"))
            for wire in wires:
                wire.socket.recv(1)
            assert ask(server, POINTS).status == 200
            wait_until(lambda: count_connections(server.port) == 0, "they hold the server")
            got = len(wires[0].rest())
            assert got < BIG
        finally:
            for wire in wires:
                wire.socket.close()
        assert ask(server, POINTS).status == 200


def test_clients_that_do_not_read_do_not_block_others(
    big_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other clients get responses before the slow ones are cut off."""
    monkeypatch.setattr(internal("http.listener"), "STALLED_MS", 3_600_000)
    with serving(big_export) as server:
        wires = [
            Wire(server.port, buffer=4096) for _ in range(internal("http.listener").THREADS + 8)
        ]
        try:
            for wire in wires:
                wire.send(request(server.port, "/points_3d.bin.gz"))
            wires[0].socket.recv(1)
            for path in ("/_cellucid/health", POINTS):
                assert ask(server, path).status == 200
        finally:
            for wire in wires:
                wire.socket.close()


def test_clients_that_read_too_slowly_are_cut_off(
    big_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads a few bytes at a time must not occupy a thread for a day."""
    monkeypatch.setattr(internal("http.body"), "RATE_GRACE", 0.5)
    monkeypatch.setattr(internal("http.body"), "MIN_RATE", 20_000_000)
    with serving(big_export) as server, Wire(server.port, buffer=4096) as wire:
        wire.send(request(server.port, "/points_3d.bin.gz"))
        got, began = 0, time.monotonic()
        while seconds_since(began) < 1:
            got += len(wire.socket.recv(4000))
            time.sleep(0.01)  # the pace of this client
        assert got + len(wire.rest()) < BIG


def test_idle_connections_do_not_block_others(server: CellucidServer) -> None:
    silent = [Wire(server.port) for _ in range(100)]
    kept = [Wire(server.port) for _ in range(100)]
    try:
        for wire in kept:
            reply = wire.send(request(server.port, POINTS)).reply()
            assert reply is not None
            assert reply.status == 200
        for _ in range(20):
            assert ask(server, POINTS).status == 200
        for wire in kept:
            reply = wire.send(request(server.port, POINTS)).reply()
            assert reply is not None
            assert reply.status == 200
    finally:
        for wire in (*silent, *kept):
            wire.socket.close()
