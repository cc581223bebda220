"""The lines of a report that say where and how its figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys

import psutil

PACKAGES = ("anndata", "numpy", "scipy", "h5py", "dask")


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> str:
    """Describe the machine, Python and the libraries in one line."""
    memory = psutil.virtual_memory().total / 1e9
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{count_cores()} cores, {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def describe_command() -> str:
    """Return the command line of this benchmark, as a user types it."""
    return f"python -m benchmarks {shlex.join(sys.argv[1:])}"
