"""Server processes of cellucid-dask, and of cellucid 0.0.9 and 0.9.5."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import psutil

PROGRAM = str(Path(sys.executable).with_name("cellucid-dask"))
REFERENCE = """
import sys
from cellucid.server import CellucidServer
from cellucid.anndata_server import AnnDataServer
kind, path, port = sys.argv[1:]
server = (CellucidServer if kind == "export" else AnnDataServer)(path, port=int(port), quiet=True)
server.web_proxy = False
server.start()
"""


def find_free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_command(path: Path, port: int, *options: str) -> list[str]:
    """Return the command that serves `path` with cellucid-dask."""
    return [PROGRAM, "serve", str(path), "-p", str(port), "--no-browser", "-q", *options]


def reference_command(kind: str, path: Path, port: int) -> list[str]:
    """Return the command that serves `path` with cellucid 0.0.9; `kind` is export or live."""
    return [sys.executable, "-c", REFERENCE, kind, str(path), str(port)]


def ready_reference_command(python: Path, path: Path, port: int) -> list[str]:
    """Return the command that serves ready files with cellucid 0.9.5, without its page."""
    program = str(python.with_name("cellucid"))
    return [program, "serve", str(path), "-p", str(port), "--no-browser", "-q", "--no-web-ui"]


@contextmanager
def running_server(
    command: list[str],
    port: int,
    path: str = "/dataset_identity.json",
    folder: Path | None = None,
) -> Iterator[tuple[psutil.Process, float]]:
    """Run a server; yield its process and the seconds until it sent its first `path`."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PYTHONWARNINGS": "ignore", **os.environ},
        cwd=folder,
    )
    try:
        while not _has_response(port, path):
            if process.poll() is not None:
                raise click.ClickException(f"the server ended: {' '.join(command)}")
            time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - start
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _has_response(port: int, path: str) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        try:
            client.request("GET", path)
            with client.getresponse() as response:
                return response.status == 200
        except OSError:
            return False
