"""A process that has imported the libraries and forks one process for each command.

To import the libraries takes most of the time of a small export. A line of JSON comes in: the
arguments, the folder to run in, and the file for what the command prints. The exit code goes out.
The first line that goes out is the file of the package. It runs with the tree of one version, so
it names no module of the package but those that every version has.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from importlib import import_module
from typing import Any

LIBRARIES = (
    "anndata",
    "dask.array",
    "distributed",
    "distributed.deploy.spec",
    "distributed.deploy.subprocess",
    "h5py",
    "rich.progress",
    "zarr",
)
TIMEOUT = 600  # seconds for one command


def serve() -> None:
    """Run commands until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become_command(request)
        print(wait(pid), flush=True)


def become_command(request: dict[str, Any]) -> None:
    """Run the command in this process, in a session and a folder of its own."""
    os.setsid()
    os.chdir(request["folder"])
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number, file in enumerate((null, output, output)):
        os.dup2(file, number)
    sys.argv = ["cellucid-dask", *request["arguments"]]
    import_module("cellucid_dask.__main__").main(request["arguments"])
    sys.exit(0)


def wait(pid: int) -> int:
    """Wait for a process, end it after `TIMEOUT`, and return its exit code."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    for library in LIBRARIES:
        import_module(library)
    gc.freeze()  # pages that never change stay shared with the forked processes
    print(import_module("cellucid_dask").__file__, flush=True)
    serve()
