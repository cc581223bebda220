"""What every worker on another machine must have: the same software, and the same files.

All workers are checked before the first task. Each worker is checked again with its own first
task, since workers come and go during a run.
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

from cellucid_dask.compute.worker_memory import tell_peak
from cellucid_dask.errors import EngineError
from cellucid_dask.native.library import COMPILE, SWITCH, find_library

R = TypeVar("R")
PACKAGES = ("cellucid-dask", "dask", "distributed", "numpy", "zlib-ng")
FIX_ENVIRONMENT = "use one environment for both"
FOLDER_SIZE = -1  # stands for the size of a folder


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a worker must have.

    Parameters
    ----------
    versions
        Name and version of the packages on which the bytes of the output, or the messages between
        processes, depend.
    paths
        Path of each file or folder that the worker must see, and its size in bytes:
        `FOLDER_SIZE` for a folder, None where nothing exists.
    native
        Whether tasks use the native library.
    """

    versions: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, int | None], ...]
    native: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """How a worker differs from its requirements.

    Parameters
    ----------
    versions
        Name, version on the worker and required version of each package that differs.
    paths
        What the worker does not see, or sees with another size.
    host
        Its machine.
    native
        Why it does not have the native library; empty when it has, or need not have it.
    """

    versions: tuple[tuple[str, str, str], ...]
    paths: tuple[str, ...]
    host: str
    native: str = ""


def describe_requirements(paths: Iterable[str], *, native: bool = False) -> Requirements:
    """Return the versions of this process, and what it sees at `paths`."""
    versions = tuple((name, _version(name)) for name in ("python", *PACKAGES))
    return Requirements(versions, tuple((path, _size(path)) for path in paths), native)


def find_differences(requirements: Requirements) -> Differences:
    """Compare this process with the requirements; imports what tasks need."""
    import_module("cellucid_dask.compute.preload")
    versions = tuple(
        (name, own, required)
        for name, required in requirements.versions
        if (own := _version(name)) != required
    )
    paths = tuple(path for path, size in requirements.paths if _size(path) != size)
    native = find_library().reason if requirements.native else ""
    return Differences(versions, paths, platform.node(), native)


def _version(name: str) -> str:
    if name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _size(path: str) -> int | None:
    try:
        return FOLDER_SIZE if Path(path).is_dir() else Path(path).stat().st_size
    except OSError:
        return None


def refuse_differences(worker: str, differences: Differences) -> None:
    """Raise when a worker differs.

    Raises
    ------
    EngineError
        With both versions, with why the worker lacks the native library, or with the paths that
        it does not see.
    """
    where = f"worker {worker} on {differences.host}"
    if differences.versions:
        theirs = ", ".join(f"{name} {own}" for name, own, _ in differences.versions)
        ours = ", ".join(f"{name} {required}" for name, _, required in differences.versions)
        what = f"has {theirs}; this process has {ours}"
        raise EngineError(what, where=where, fix=FIX_ENVIRONMENT)
    if differences.native:
        raise EngineError(
            f"cannot use the native library, as this process does ({differences.native})",
            where=where,
            fix=f"compile it there ({COMPILE}), or set {SWITCH}=0 for this process",
        )
    if differences.paths:
        raise EngineError(
            f"does not see {', '.join(differences.paths)}",
            where=where,
            fix="put the data, the output and --scratch on a file system that all machines share",
        )


def check_all_workers(client: Any, requirements: Requirements) -> None:
    """Check all workers that are connected now.

    Raises
    ------
    EngineError
        When one of them differs, or cannot import this package.
    """
    answers = client.run(find_differences, requirements, on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, ModuleNotFoundError | AttributeError):
            raise EngineError(
                f"a worker of the scheduler cannot import this package ({answer})",
                fix=f"install cellucid-dask in the environment of the workers: {FIX_ENVIRONMENT}",
            ) from answer
        if not isinstance(answer, BaseException):  # else the worker has already gone
            refuse_differences(worker, answer)


@lru_cache(maxsize=8)
def _check_this_worker(requirements: Requirements) -> None:
    from distributed import get_worker

    refuse_differences(str(get_worker().address), find_differences(requirements))


def run_on_checked_worker(
    requirements: Requirements, run: str, work: Callable[..., R], *task: Any
) -> R:
    """Run a task on a worker, which is checked once for all its tasks, and tells its memory.

    Parameters
    ----------
    run
        Name of the run.
    """
    _check_this_worker(requirements)
    try:
        return work(*task)
    finally:
        tell_peak(run)
