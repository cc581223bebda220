"""What every worker on another machine must have: the same software, and the same files.

It is asked before the first task, and again on the worker with its first one, since workers come
and go while a run goes on.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from cellucid_dask.errors import EngineError

R = TypeVar("R")
SAME = ("cellucid-dask", "dask", "distributed", "numpy", "zlib-ng")
ENVIRONMENT = "use one environment for both"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a worker must have.

    Parameters
    ----------
    versions
        Name and version of the packages on which the bytes of the output, or the talk between
        processes, depend.
    paths
        Path and size in bytes of what it must see; -1 for a folder.
    """

    versions: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """How a worker differs from what is expected.

    Parameters
    ----------
    versions
        Name, version there and version here of each package that is another.
    paths
        What it does not see, or sees otherwise.
    host
        Its machine.
    """

    versions: tuple[tuple[str, str, str], ...]
    paths: tuple[str, ...]
    host: str


def expected(paths: Iterable[str]) -> Expected:
    """Describe this process, and what it sees at `paths`."""
    found = tuple((path, _size(path)) for path in paths)
    return Expected(tuple((name, _version(name)) for name in ("python", *SAME)), found)


def look(what: Expected) -> Seen:
    """Compare the process this runs in with what is expected of it; imports what tasks need."""
    import_module("cellucid_dask.compute.preload")
    versions = tuple(
        (name, _version(name), here) for name, here in what.versions if _version(name) != here
    )
    paths = tuple(path for path, size in what.paths if _size(path) != size)
    return Seen(versions, paths, platform.node())


def _version(name: str) -> str:
    if name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _size(path: str) -> int | None:
    """Size of a file, -1 of a folder, None where there is nothing."""
    try:
        found = Path(path)
        return -1 if found.is_dir() else found.stat().st_size
    except OSError:
        return None


def refuse(worker: str, seen: Seen) -> None:
    """Raise when a worker differs.

    Raises
    ------
    EngineError
        With both versions, or with what the worker does not see.
    """
    where = f"worker {worker} on {seen.host}"
    if seen.versions:
        theirs = ", ".join(f"{name} {there}" for name, there, _ in seen.versions)
        ours = ", ".join(f"{name} {here}" for name, _, here in seen.versions)
        raise EngineError(f"has {theirs}; this process has {ours}", where=where, fix=ENVIRONMENT)
    if seen.paths:
        raise EngineError(
            f"does not see {', '.join(seen.paths)}",
            where=where,
            fix="put the data, the output and --scratch on a file system that all machines share",
        )


@lru_cache(maxsize=8)
def _checked(what: Expected) -> None:
    from distributed import get_worker

    refuse(str(get_worker().address), look(what))


def checked(what: Expected, work: Callable[..., R], *task: Any) -> R:
    """Do a task on a worker that is as it should be; looked at once for all its tasks."""
    _checked(what)
    return work(*task)
