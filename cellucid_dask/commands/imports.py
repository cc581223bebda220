"""Import what a command needs, and nothing else: libraries take most of a short command's time."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cellucid_dask.commands.signals import unwind_at_signals
from cellucid_dask.native import library

ZIP = b"PK\x03\x04"  # first bytes of a .zarr.zip


def import_modules(*names: str) -> None:
    """Import modules; from then on a signal unwinds the command.

    The garbage collector waits meanwhile, and never looks at what the modules hold: imports make
    many objects and no garbage, and each full collection took 40 ms.
    """
    gc.disable()
    try:
        for name in names:
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()
    unwind_at_signals()


def input_modules(data: str) -> tuple[str, ...]:
    """Name the modules that read `data`: an HDF5 file needs no zarr, a zarr no filters of HDF5."""
    head, path = b"", Path(data)
    with suppress(OSError, ValueError):  # opening it reports what is wrong
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(len(ZIP))
    library = "zarr" if head == ZIP or not head else "hdf5plugin"
    libraries = (library,) if find_spec(library) else ()  # hdf5plugin is an extra
    return (*libraries, "cellucid_dask.source.open")


def cluster_modules(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the modules of dask for a run with the options `given`; threads need none."""
    asked = given["workers"] not in (None, 1) or any(
        map(given.get, ("scheduler", "slurm", "cluster"))
    )
    return ("distributed",) if asked or library.load() is None else ()
