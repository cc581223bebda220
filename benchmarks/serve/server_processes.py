"""Processes of servers that are measured, what they serve, and how wrk asks for it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil

from cellucid_dask.synthetic import AtlasSpec

LOAD = AtlasSpec(100_000, 2_000)
# Every client walks through the genes from a place of its own; wrk keeps connections open where
# the server lets it.
GENES = """
local paths, n = {}, 0
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
end
function request()
  n = n + 1
  return wrk.format("GET", paths[(n * 7919) % #paths + 1], {["Accept-Encoding"] = "gzip"})
end
"""


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int) -> Iterator[tuple[psutil.Process, float]]:
    """Run a server; yields its process and the seconds until its first identity."""
    began = time.perf_counter()
    quiet = {**os.environ, "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore")}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet
    )
    try:
        while not _answers(port, "/dataset_identity.json"):
            if process.poll() is not None:
                raise click.ClickException(f"the server ended: {' '.join(command)}")
            time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(port: int, path: str) -> bool:
    try:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("GET", path)
        return client.getresponse().status == 200
    except OSError:
        return False


def ours(path: Path, port: int, *more: str) -> list[str]:
    """Command of our server."""
    program = str(Path(sys.executable).with_name("cellucid-dask"))
    return [program, "serve", str(path), "-p", str(port), "--no-browser", "-q", *more]


def as_csc_zarr(atlas: Path, store: Path) -> None:
    """Write the atlas as zarr with a CSC matrix, unless it is there."""
    if store.exists():
        return
    import anndata
    from scipy import sparse

    adata = anndata.read_h5ad(atlas)
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_zarr(store)


def require_wrk() -> None:
    """Raise an error when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not here: install it, for example apt install wrk")


def genes_of(exported: Path) -> list[str]:
    """Ids of the genes of an export."""
    fields = json.loads((exported / "var_manifest.json").read_text())["fields"]
    return [field[0] for field in fields]
