"""``CellucidServer``, ``AnnDataServer`` and ``serve`` in Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from serving import (
    POINTS,
    SECONDS,
    TOKEN,
    Client,
    Wire,
    ask,
    internal,
    request,
    serving,
    wait_until,
)

from cellucid_dask import (
    AnnDataServer,
    CellucidDaskError,
    CellucidServer,
    create_app,
    serve,
    serve_anndata,
)


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops waits for what is under way, but it must not wait for clients."""
    listener = internal("http.listener")
    monkeypatch.setattr(listener, "GRACE", SECONDS)
    monkeypatch.setattr(listener, "IDLE_MS", 3_600_000)


@pytest.mark.usefixtures("long_grace")
def test_start_stop_and_restart_of_a_server(atlas_export: Path) -> None:
    server = CellucidServer(atlas_export, port=0, quiet=True)
    assert not server.is_running()
    server.stop()
    server.start_background()
    try:
        assert server.is_running()
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.viewer_url == server.url + "/"
        port = server.port
        server.start_background()
        assert server.port == port, "it runs already"
        with Client(server) as client:
            assert client(POINTS).status == 200
            assert server.stop()
            assert not server.is_running()
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                Wire(port)
        server.start_background()
        assert server.port == port
        assert ask(server, POINTS).status == 200
    finally:
        server.stop()


def test_wait_returns_when_the_server_stops(atlas_export: Path) -> None:
    with serving(atlas_export) as server:
        waiting = threading.Thread(target=server.wait)
        waiting.start()
        assert waiting.is_alive()
        server.stop()
        waiting.join(SECONDS)
        assert not waiting.is_alive()
    blocking = CellucidServer(atlas_export, port=0, quiet=True)
    thread = threading.Thread(target=blocking.start)
    thread.start()
    wait_until(blocking.is_running, "it never ran")
    blocking.stop()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_exception_in_with_block_stops_the_server(atlas_export: Path) -> None:
    server = CellucidServer(atlas_export, port=0, quiet=True)
    with pytest.raises(ZeroDivisionError), server:
        raise ZeroDivisionError
    assert not server.is_running()


@pytest.mark.usefixtures("long_grace")
def test_stopping_with_idle_connections(atlas_export: Path) -> None:
    with serving(atlas_export) as server:
        wires = [Wire(server.port) for _ in range(200)]
        try:
            for wire in wires[:100]:
                wire.send(request(server.port, POINTS)).reply()
            assert server.stop(), "nothing was under way"
            assert all(wire.rest() == b"" for wire in wires)
        finally:
            for wire in wires:
                wire.socket.close()


def test_stopped_server_leaves_no_threads_or_files(atlas_export: Path) -> None:
    """No thread, file or socket stays, after any number of starts."""
    process = psutil.Process()

    def now() -> tuple[int, int]:
        return threading.active_count(), process.num_fds()

    def once() -> None:
        with serving(atlas_export) as server:
            assert ask(server, POINTS).status == 200

    once()
    before = now()
    for _ in range(15):
        once()
    wait_until(lambda: now() <= before, f"{before} became {now()}")


def test_failed_start_leaves_no_threads_or_files(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    server = CellucidServer(atlas_export, port=0)
    before = threading.active_count()
    stdout = os.fdopen(writing, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with suppress(BrokenPipeError):
            server.start_background()
            server.stop()
    with suppress(BrokenPipeError):
        stdout.close()
    running = server.is_running()
    server.stop()
    assert not running, "the start failed and left a server"
    wait_until(lambda: threading.active_count() <= before, "a thread is left")


def test_start_in_background_prints_the_url(
    atlas_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with CellucidServer(atlas_export, port=0, token=TOKEN) as server:
        printed = capsys.readouterr().out
        assert f"open {server.viewer_url}\n" in printed
    with CellucidServer(atlas_export, port=0, quiet=True):
        assert capsys.readouterr() == ("", "")


def test_serve_blocks_until_ctrl_c(atlas_export: Path, tmp_path: Path) -> None:
    script = tmp_path / "user_script.py"
    script.write_text(
        "from cellucid_dask import serve\n"
        f"server = serve({str(atlas_export)!r}, port=0, open_browser=False)\n"
        "print('after', server.is_running(), flush=True)\n"
    )
    out = tmp_path / "out.txt"
    with (
        out.open("wb") as file,
        subprocess.Popen([sys.executable, str(script)], stdout=file, stderr=file) as process,
    ):
        try:
            wait_until(
                lambda: "open http" in out.read_text() or process.poll() is not None,
                "it never served",
            )
            assert process.poll() is None, out.read_text()
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    assert "after False" in out.read_text()
    assert "Traceback" not in out.read_text()


def test_anndata_server_refuses_an_export(atlas_export: Path) -> None:
    for make in (AnnDataServer, serve_anndata):
        with pytest.raises(CellucidDaskError, match="export"):
            make(atlas_export, port=0, quiet=True)


def test_unknown_options_are_refused(atlas_export: Path) -> None:
    for make in (CellucidServer, create_app, serve):
        with pytest.raises(CellucidDaskError, match="allowed_host") as told:
            make(atlas_export, quiet=True, port=70_000, allowed_hots="x")
        assert "port: 70000 is not a port" in str(told.value)


@pytest.mark.parametrize(
    "options",
    [
        {"port": "8765"},
        {"port": None},
        {"port": 1.5},
        {"token": 12345678},
        {"token": b"bytes-of-token"},
        {"allowed_hosts": None},
        {"allowed_hosts": 5},
        {"base_path": None},
        {"cache_size": None},
        {"cache_size": [1]},
        {"host": None},
        {"host": 1},
        {"quantize": "8"},
    ],
    ids=repr,
)
def test_values_of_wrong_types_are_refused(atlas_export: Path, options: dict[str, Any]) -> None:
    """They are reported like other wrong values, or converted when the meaning is clear."""
    try:
        server = CellucidServer(atlas_export, quiet=True, **({"port": 0} | options))
    except CellucidDaskError:
        return
    with server:
        assert server.is_running()
