"""Servers in the background end with the main thread of their program, however it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas import atlas, save
from serving import SECONDS, Wire, internal, request, wait_until, with_long_payload

from cellucid_dask import CellucidServer, export

PATIENCE = 240  # seconds for a program, beside other busy ones; before, it ran for ever
HEAD = """
import sys
from cellucid_dask import AnnDataServer, CellucidServer, show, show_anndata
quiet = dict(quiet=True, open_browser=False)
"""
PROGRAMS = {
    "the last line": "CellucidServer('export', port=0, quiet=True).start_background()",
    "an exception": (
        "server = CellucidServer('export', port=0, quiet=True)\n"
        "server.start_background()\n"
        "raise RuntimeError('of the program')"
    ),
    "live data": (
        "server = AnnDataServer('atlas.h5ad', port=0, quiet=True)\n"
        "server.start_background()\n"
        "show_anndata('atlas.h5ad', **quiet)\n"
        "show('export', **quiet)\n"
        "sys.exit(3)"
    ),
    "an index under way": (
        "import time\n"
        "server = AnnDataServer('genes.h5ad', port=0, quiet=True)\n"
        "server.start_background()\n"
        "progress = server.opened.index_progress\n"
        "while progress()['blocks_done'] < 1:\n"
        "    time.sleep(0.0001)\n"
        "assert progress()['state'] == 'building', progress()"
    ),
    "a slow reader": (
        "server = CellucidServer('export', port=0, quiet=True)\n"
        "server.start_background()\n"
        "print(server.port, flush=True)\n"
        "input()"
    ),
}
CODES = {"an exception": 1, "live data": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with points that take long to read, and its source file."""
    folder = tmp_path_factory.mktemp("programs")
    export(save(atlas(), folder / "atlas.h5ad"), folder / "short", quiet=True)
    save(atlas(20, 160_000), folder / "genes.h5ad")
    with_long_payload(folder / "short", folder, 40_000_000)
    return folder


@pytest.fixture(scope="module")
def programs(folder: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All programs run at once, because most of their time is imports."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = {
        name: subprocess.Popen([sys.executable, "-c", HEAD + text], cwd=folder, text=True, **pipes)
        for name, text in PROGRAMS.items()
    }
    yield running
    for program in running.values():
        program.kill()
        program.communicate()


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "a slow reader"])
def test_program_with_a_background_server_ends(
    programs: dict[str, subprocess.Popen[str]], name: str
) -> None:
    out, error = programs[name].communicate(timeout=PATIENCE)
    assert programs[name].returncode == CODES.get(name, 0), error
    if name == "an exception":
        assert error.endswith("RuntimeError: of the program\n")
    else:
        assert error == ""
    assert "Traceback" not in out


def test_slow_client_does_not_delay_the_end_of_a_program(
    programs: dict[str, subprocess.Popen[str]],
) -> None:
    program = programs["a slow reader"]
    assert program.stdin
    assert program.stdout
    port = int(program.stdout.readline())
    with Wire(port, buffer=65_536) as client:
        client.send(request(port, "/points_3d.bin.gz"))
        assert client.socket.recv(1000)
        program.stdin.write("\n")
        program.stdin.close()
        program.stdin = None
        end = time.monotonic() + PATIENCE
        while program.poll() is None:
            assert time.monotonic() < end, "the program waits for the client"
            try:
                client.socket.recv(2000)  # 40 kB/s
            except ConnectionError:
                break
            time.sleep(0.05)
        assert program.wait(PATIENCE) == 0


def test_stop_cuts_off_slow_clients_of_this_server_only(folder: Path) -> None:
    """``stop`` returns False; another server of the program continues."""
    long = internal("http.listener").GRACE
    with CellucidServer(folder / "export", port=0, quiet=True) as other:
        server = CellucidServer(folder / "export", port=0, quiet=True)
        server.start_background()
        with Wire(server.port, buffer=65_536) as slow, Wire(other.port, SECONDS) as kept:
            slow.send(request(server.port, "/points_3d.bin.gz"))
            kept.send(request(other.port, "/points_3d.bin.gz"))
            assert slow.socket.recv(1000)
            assert not server.stop(), f"all went out within {long} s"
            with pytest.raises((ConnectionError, AssertionError)):
                slow.reply()
            reply = kept.reply()
            assert reply is not None
            assert len(reply.body) == 40_000_000


def test_restarted_server_has_one_watcher(folder: Path) -> None:
    others = set(threading.enumerate())

    def watchers() -> int:
        found = set(threading.enumerate()) - others
        return sum(thread.name == "cellucid end" for thread in found)

    server = CellucidServer(folder / "short", port=0, quiet=True)
    for _ in range(3):
        server.start_background()
        server.start_background()
        assert watchers() == 1
        server.stop()
        wait_until(lambda: watchers() == 0, "a watcher is left")
