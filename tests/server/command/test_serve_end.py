"""The end of ``serve``: signals, Ctrl-C, clients that are still connected."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from atlas import _catches as catches
from serving import (
    POINTS,
    SECONDS,
    Client,
    Served,
    Wire,
    ask,
    free_port,
    is_listening,
    request,
    wait_until,
)

LISTENER = "from cellucid_dask.server.http import listener\n"
# Time for a client on a busy machine, but not for one that is silent.
LONG_GRACE = LISTENER + f"listener.GRACE, listener.IDLE_MS = {SECONDS}, 3000\n"
NEVER_STALLED = LISTENER + "listener.STALLED_MS = 3_600_000\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signal_stops_the_server_after_running_responses(
    long_export: Path, tmp_path: Path, number: int, code: int
) -> None:
    with Served(long_export, "--port", 0, folder=tmp_path, first=LONG_GRACE) as served:
        port = served.port
        body = (long_export / "points_3d.bin.gz").read_bytes()
        idle: list[Wire] = []
        try:
            for _ in range(10):
                idle.append(Wire(port))
                reply = idle[-1].send(request(port, POINTS)).reply()
                assert reply is not None
                assert reply.status == 200
            idle += [Wire(port) for _ in range(10)]
            idle[10].send(b"GET / HTTP/1.1\r\nHo")
            with Wire(port, buffer=65_536) as wire:
                wire.send(request(port, "/points_3d.bin.gz"))
                wire._left = wire.socket.recv(100)
                served.process.send_signal(number)
                reply = wire.reply()
                assert reply is not None
                assert reply.body == body, "the answer was cut"
            assert served.process.wait(SECONDS) == code
            assert all(wire.rest() == b"" for wire in idle)
            assert "Traceback" not in served.errors
        finally:
            for wire in idle:
                wire.socket.close()
        with pytest.raises(ConnectionRefusedError):
            Wire(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_client_that_does_not_read_does_not_delay_the_end(
    long_export: Path, tmp_path: Path, number: int
) -> None:
    with Served(long_export, "--port", 0, folder=tmp_path, first=NEVER_STALLED) as served:
        with Wire(served.port, buffer=4096) as wire:
            wire.send(request(served.port, "/points_3d.bin.gz"))
            wire.socket.recv(1)
            assert served.stop(number) in (0, 143)
        assert "Traceback" not in served.errors


def test_repeated_ctrl_c(long_export: Path, tmp_path: Path) -> None:
    for pause in (0.005, 0.1):
        with Served(long_export, "--port", 0, folder=tmp_path) as served:
            with Wire(served.port, buffer=4096) as wire:
                wire.send(request(served.port, "/points_3d.bin.gz"))
                wire.socket.recv(1)
                end = time.monotonic() + SECONDS
                while served.process.poll() is None:
                    assert time.monotonic() < end
                    served.process.send_signal(signal.SIGINT)
                    time.sleep(pause)  # the pace of this user
            assert served.process.returncode in (0, 130, -signal.SIGINT)  # a shell shows 130
            assert "Traceback" not in served.errors
            assert "export" not in served.errors, "there was none"


def test_closed_terminal_stops_the_server(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path) as served:
        served.url()
        assert served.stop(signal.SIGHUP) in (129, -signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_at_the_moment_the_server_listens(
    number: signal.Signals, atlas_export: Path, tmp_path: Path
) -> None:
    """The threads end with the command, at whatever point the signal arrives."""
    for moment in (0.0, 0.002, 0.01):
        with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
            wait_until(lambda: is_listening(served.process.pid), "it never listened", pause=0.0005)
            time.sleep(moment)
            assert served.stop(number) in (0, 143)
            assert served.errors == ""


def test_nohup_server_survives_a_closed_terminal(atlas_export: Path, tmp_path: Path) -> None:
    """A server under nohup continues without its terminal."""
    with Served(atlas_export, "--port", 0, folder=tmp_path, through=("nohup",)) as served:
        assert ask(served.port, POINTS).status == 200
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert ask(served.port, POINTS).status == 200
        assert served.stop() in (0, 143)


def test_ctrl_c_during_the_start(atlas_export: Path, tmp_path: Path) -> None:
    for moment in (0, 0.3, 0.6):
        with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
            # Before that it is Python itself that is interrupted, and tells where.
            wait_until(lambda: catches(served.process.pid, signal.SIGTERM), "it never began")
            time.sleep(moment)  # somewhere in the imports, or after them
            assert served.stop(signal.SIGINT) in (0, 130, -signal.SIGINT)
            assert "Traceback" not in served.errors, served.errors


def test_port_is_free_after_the_end(atlas_export: Path, tmp_path: Path) -> None:
    """A new server starts at once, while old connections are still closing."""
    port = free_port()
    for _ in range(2):
        with (
            Served(atlas_export, "--port", port, folder=tmp_path) as served,
            Client(served.port) as client,
        ):
            assert served.port == port
            assert client(POINTS).status == 200
            assert served.stop() == 0


def test_clients_that_do_not_read_use_little_memory(atlas_export: Path, tmp_path: Path) -> None:
    """Responses stay within the cache size, also when no client reads them."""
    folder = Path(shutil.copytree(atlas_export, tmp_path / "export"))
    (folder / "points_3d.bin.gz").write_bytes(os.urandom(7_900_000))  # not yet a long one
    words = (folder, "--port", 0, "--cache-size", "64MB")
    with Served(*words, folder=tmp_path, anew=True) as served:
        resident = psutil.Process(served.process.pid).memory_info
        assert ask(served.port, "/points_3d.bin.gz").status == 200
        before = resident().rss
        wires = [Wire(served.port, buffer=4096) for _ in range(100)]
        try:
            for wire in wires:
                wire.send(request(served.port, "/points_3d.bin.gz"))
            assert ask(served.port, POINTS).status == 200
            for wire in wires[:20]:
                wire.socket.recv(1)
            assert resident().rss - before < 400_000_000
        finally:
            for wire in wires:
                wire.socket.close()
