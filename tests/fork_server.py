"""A process that has imported what commands need, and forks one process for each that is asked for.

A line of JSON comes in, a number goes out: the pid of a command that was started, the exit code of
one that has ended, that of a line of shell, or of modules that were imported.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import tempfile
from importlib import import_module
from typing import Any

MODULES = (
    "anndata",
    "dask.array",
    "h5py",
    "zarr",
    "rich.progress",
    "distributed",
    "distributed.deploy.spec",
    "distributed.deploy.subprocess",
    "cellucid_dask.api",
    "cellucid_dask.exporter.run",
    "cellucid_dask.server.build_index",
    "cellucid_dask.server.lifetime",
    "cellucid_dask.server.datasets.live",
    "cellucid_dask.verify.comparison.compare",
)


def become(asked: dict[str, Any]) -> None:
    """Be the command, in a session of its own, with files, folder and environment as asked for."""
    os.setsid()
    os.chdir(asked["cwd"])
    for number, path in enumerate(asked["files"]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    sys.path[0] = asked["cwd"]
    sys.argv = ["cellucid-dask", *asked["words"]]
    if asked["script"]:
        sys.argv = [asked["script"], *asked["words"]]
        runpy.run_path(asked["script"], run_name="__main__")
        sys.exit(0)
    exec(asked["first"], {})
    import_module("cellucid_dask.__main__").main(asked["words"])


def serve() -> None:
    """Answer line by line; in a child this returns never, or by an exception."""
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["kind"] == "shell":
            answer = os.waitstatus_to_exitcode(os.system(asked["line"]))
        elif asked["kind"] == "load":
            answer = len([import_module(name) for name in asked["modules"]])
        elif asked["kind"] == "code":
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["pid"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                become(asked)
        print(answer, flush=True)


if __name__ == "__main__":
    for name in MODULES:
        import_module(name)
    gc.freeze()  # what never changes is shared with those that are forked
    serve()
