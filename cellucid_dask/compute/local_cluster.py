"""Worker processes on this machine: programs of their own, replaced when they die."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from cellucid_dask.errors import EngineError, refuse_fault

LOG = "workers.log"
WORKER_BYTES = 190_000_000  # resident memory of a worker process before its first task
NANNY_BYTES = 160_000_000  # of the process that watches the workers of a SLURM job
# Environment of a worker: one thread each, and freed memory goes back to the system. Arrays of
# 16 MiB and more are mapped apart and returned at once; smaller ones are kept for the next gene,
# since giving each back and faulting it in again took as long as a third of pass 2.
THREADS_AND_MEMORY = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
PRELOAD = "cellucid_dask.compute.preload"
RUN = "CELLUCID_DASK_RUN"  # variable: the process that a worker works for
LOOK = 0.5  # seconds between two looks of a worker whether its run is there
DEATH_SECONDS = 10  # after which workers end whose run was killed while they started


def spawn_workers(n_workers: int, folder: Path, stack: ExitStack) -> Any:
    """Start a scheduler in this process and workers as programs of their own.

    Workers are not forked or spawned by multiprocessing: that would run the user's script again
    in each of them, and fail where it has no ``if __name__ == "__main__"``.
    """
    import dask
    from distributed import Client, Scheduler
    from distributed.deploy.spec import SpecCluster

    over = threading.Event()
    # It tells, with a traceback, of connections that end a moment after the cluster has closed.
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.no-workers-timeout": "60s",
        "distributed.scheduler.worker-ttl": None,
        "distributed.deploy.lost-worker-timeout": "1s",
        "distributed.comm.timeouts.connect": "30s",
    }
    stack.enter_context(dask.config.set(settings))
    options = {
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard": False,
        "host": "127.0.0.1",
        "local_directory": str(folder),
        "death_timeout": DEATH_SECONDS,
        "preload": [PRELOAD],
    }
    worker = {
        "cls": _worker_class(folder, over),
        "options": {"worker_class": "distributed.Worker", "worker_kwargs": options},
    }
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        },
    }
    stack.callback(_kill_workers, folder, over)  # a signal may come before there is a cluster
    try:
        cluster = SpecCluster(
            workers=dict.fromkeys(range(n_workers), worker),
            scheduler=scheduler,
            worker=worker,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        refuse_fault(error)
        fix = "use --workers 1, or see whether memory, threads or open files are short"
        raise EngineError(f"the workers cannot be started ({error})", fix=fix) from error
    stack.enter_context(closed(cluster))
    cluster.adapt(minimum=n_workers, maximum=n_workers, interval="1s")  # replaces those that die
    return stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def closed(cluster: Any) -> Iterator[None]:
    """Close a cluster of dask in the end; what its workers are is ended by others if that fails."""
    try:
        yield
    finally:
        # What dask raises when a signal comes while it closes.
        with suppress(RuntimeError, UnboundLocalError, OSError):
            cluster.close()


def _worker_class(folder: Path, over: threading.Event) -> type[Any]:
    """Class of the workers; their log is in `folder`, and none is started once it is `over`."""
    from distributed.deploy.subprocess import SubprocessWorker

    class Worker(SubprocessWorker):  # type: ignore[misc]
        """A worker in a session of its own, so that Ctrl-C reaches only this process.

        It bears the name by which the cluster knows it, and so is missed when it dies, also
        before the scheduler knows of it.
        """

        async def _start(self) -> None:
            if over.is_set():
                raise RuntimeError("the run has ended")
            options = {"name": self.name, **self.worker_kwargs}
            spec = json.dumps({"cls": self.worker_class, "opts": options})
            command = [sys.executable, "-m", __name__, self.scheduler, "--spec", spec]
            with (folder / LOG).open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *command, start_new_session=True, stderr=log, stdout=log, env=_environment()
                )
            self.watch = asyncio.ensure_future(self._missed())

        async def close(self) -> None:
            """Kill the process; it may have died so shortly before that nobody noticed."""
            try:
                await super().close()
            except (psutil.NoSuchProcess, ProcessLookupError):
                await self.process.wait()
                await super().close()

        async def _missed(self) -> None:
            await self.process.wait()
            cluster = self._cluster and self._cluster()
            if cluster is not None and cluster.workers.get(self.name) is self:
                del cluster.workers[self.name]

    return Worker


def _kill_workers(folder: Path, over: threading.Event) -> None:
    """Kill workers that nobody closed, and let no more be started."""
    over.set()
    named = json.dumps(str(folder))[1:-1]
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any(named in word for word in child.cmdline()):
                child.kill()


def _environment() -> dict[str, str]:
    return {**os.environ, **THREADS_AND_MEMORY, RUN: str(os.getpid())}


def work() -> None:
    """Be a worker, and end with the run that started it, whatever is being imported or done then.

    A worker that lost its scheduler would first wait for the task that it works on.
    """
    run = int(os.environ.get(RUN, 0))
    if run:
        threading.Thread(target=_end_with, args=(run, os.getppid()), daemon=True).start()
    from distributed.cli.dask_spec import main  # `dask spec` would load all its plugins

    main()


def _end_with(run: int, parent: int) -> None:
    """End this process with the run, which need not be its parent and may have ended already."""
    while os.getppid() == parent and _is_running(run):
        time.sleep(LOOK)
    os._exit(1)


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    work()
