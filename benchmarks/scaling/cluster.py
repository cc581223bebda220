"""Single-threaded worker processes for a benchmark: beside a dask scheduler, or as SLURM jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client

SECONDS = 60
# As workers of the package itself have it: one thread, and freed memory goes back to the system.
ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


@dataclass(frozen=True, slots=True)
class StartedWorkers:
    """Workers that run, or that an export will start.

    Parameters
    ----------
    options
        Options with which `export` uses them.
    scheduler, workers
        Their processes, where they are known.
    """

    options: tuple[str, ...]
    scheduler: tuple[psutil.Process, ...] = ()
    workers: tuple[psutil.Process, ...] = ()


StartWorkers = Callable[[int], AbstractContextManager[StartedWorkers]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A dask scheduler in a process of its own, and its workers.

    Parameters
    ----------
    file
        Its scheduler file.
    scheduler, workers
        The processes.
    """

    file: Path
    scheduler: psutil.Process
    workers: tuple[psutil.Process, ...]


@contextmanager
def running_cluster(n_workers: int) -> Iterator[Cluster]:
    """Run a scheduler and workers while the block runs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-")))
        file = folder / "scheduler.json"
        log = stack.enter_context((folder / "dask.log").open("wb"))

        def start(*words: str) -> psutil.Process:
            child = subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                stdout=log,
                stderr=log,
                env=worker_environment(),
            )
            stack.callback(_stop, child)
            return psutil.Process(child.pid)

        where = ("--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1")
        scheduler = start("scheduler", *where, "--port", "0")
        alone = ("--nthreads", "1", "--nworkers", "1", "--no-nanny", "--memory-limit", "0")
        places = ("--local-directory", str(folder))
        workers = tuple(start("worker", *where, *alone, *places) for _ in range(n_workers))
        with Client(scheduler_file=str(file), set_as_default=False, timeout=SECONDS) as client:
            client.wait_for_workers(n_workers, timeout=SECONDS)
        yield Cluster(file, scheduler, workers)


def worker_environment() -> dict[str, str]:
    """Return the environment of the processes, in which the benchmarks can be imported."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def start_dask_workers(n_workers: int) -> Iterator[StartedWorkers]:
    """Start a scheduler with workers, for an export to join."""
    with running_cluster(n_workers) as cluster:
        yield StartedWorkers(
            ("--scheduler", str(cluster.file)), (cluster.scheduler,), cluster.workers
        )


@contextmanager
def request_slurm_workers(n_workers: int) -> Iterator[StartedWorkers]:
    """Let `export` start its workers as SLURM jobs."""
    yield StartedWorkers(("--slurm", "--workers", str(n_workers)))
