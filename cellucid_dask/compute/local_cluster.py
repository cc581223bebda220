"""Worker processes on this machine: separate programs, replaced when they die."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from cellucid_dask.compute import worker_process
from cellucid_dask.compute.cluster import Cluster, StartContext
from cellucid_dask.compute.threads import Threads
from cellucid_dask.compute.worker_logs import LOG_NAME
from cellucid_dask.errors import EngineError, refuse_fault

DEATH_SECONDS = 10  # after which workers end if their run was killed while they started
LOCALHOST = "127.0.0.1"
DASK_SETTINGS = {
    "distributed.scheduler.no-workers-timeout": "60s",
    "distributed.scheduler.worker-ttl": None,
    "distributed.deploy.lost-worker-timeout": "1s",
    "distributed.comm.timeouts.connect": "30s",
}


class LocalCluster(Cluster):
    """Tasks run in worker processes on this machine, of one thread each."""

    def __str__(self) -> str:
        return f"{self.slots} worker processes"

    def start(self, context: StartContext) -> Any:
        """Start the scheduler and the workers, and return a client."""
        return start_local_workers(self.slots, context.folder, context.stack)

    def count_processes(self) -> int:
        """Count the workers."""
        return self.slots

    def drop_worker(self, *, fixed: bool) -> Cluster | None:
        """Return one process less; a thread of this process instead of a single one."""
        if fixed:
            return None
        n_workers = self.slots - 1
        return LocalCluster(n_workers) if n_workers > 1 else Threads(1)


def start_local_workers(n_workers: int, folder: Path, stack: ExitStack) -> Any:
    """Start a scheduler in this process and workers as separate programs.

    Workers are not forked or spawned by multiprocessing: that would run the user's script again
    in each of them, and fail where it has no ``if __name__ == "__main__"``.

    Parameters
    ----------
    folder
        For the log and the temporary files of the workers.
    stack
        Ends the workers when it is closed.

    Returns
    -------
    Client of the scheduler.

    Raises
    ------
    EngineError
        When they cannot be started.
    """
    import dask
    from distributed import Client

    # It logs a traceback for connections that end just after the cluster has closed.
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)
    stack.enter_context(dask.config.set(DASK_SETTINGS))
    run_ended = threading.Event()
    stack.callback(_kill_workers, folder, run_ended)  # a signal may come before the cluster exists
    try:
        cluster = _make_dask_cluster(n_workers, folder, run_ended)
    except RuntimeError as error:
        refuse_fault(error)
        fix = "use --workers 1, or check whether memory, threads or open files are short"
        raise EngineError(f"the workers cannot be started ({error})", fix=fix) from error
    stack.enter_context(closing_cluster(cluster))
    cluster.adapt(minimum=n_workers, maximum=n_workers, interval="1s")  # replaces dead workers
    return stack.enter_context(Client(cluster, set_as_default=False))


def _make_dask_cluster(n_workers: int, folder: Path, run_ended: threading.Event) -> Any:
    from distributed import Scheduler
    from distributed.deploy.spec import SpecCluster

    worker_options = {
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard": False,
        "host": LOCALHOST,
        "local_directory": str(folder),
        "death_timeout": DEATH_SECONDS,
        "preload": [worker_process.PRELOAD],
    }
    worker = {
        "cls": make_worker_class(folder, run_ended),
        "options": {"worker_class": "distributed.Worker", "worker_kwargs": worker_options},
    }
    scheduler_options = {
        "host": LOCALHOST,
        "port": 0,
        "dashboard": False,
        "dashboard_address": f"{LOCALHOST}:0",
    }
    return SpecCluster(
        workers=dict.fromkeys(range(n_workers), worker),
        scheduler={"cls": Scheduler, "options": scheduler_options},
        worker=worker,
        silence_logs=logging.CRITICAL,
    )


@contextmanager
def closing_cluster(cluster: Any) -> Iterator[None]:
    """Close a cluster of dask at the end; if that fails, other cleanup ends its workers."""
    try:
        yield
    finally:
        # What dask raises when a signal comes while it closes.
        with suppress(RuntimeError, UnboundLocalError, OSError):
            cluster.close()


def make_worker_class(folder: Path, run_ended: threading.Event) -> type[Any]:
    """Return the class of the workers: they log to `folder`; none starts after `run_ended`."""
    from distributed.deploy.subprocess import SubprocessWorker

    class Worker(SubprocessWorker):  # type: ignore[misc]
        """A worker in a session of its own, so that Ctrl-C reaches only this process.

        It has the name by which the cluster knows it. So the cluster notices its death, even
        before the worker has registered with the scheduler.
        """

        async def _start(self) -> None:
            if run_ended.is_set():
                raise RuntimeError("the run has ended")
            options = {"name": self.name, **self.worker_kwargs}
            spec = json.dumps({"cls": self.worker_class, "opts": options})
            program = worker_process.__name__
            command = [sys.executable, "-m", program, self.scheduler, "--spec", spec]
            with (folder / LOG_NAME).open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *command,
                    start_new_session=True,
                    stderr=log,
                    stdout=log,
                    env=worker_process.worker_environment(),
                )
            self.watch = asyncio.ensure_future(self._forget_when_dead())

        async def close(self) -> None:
            """Kill the process; it may have died a moment ago, without anybody noticing."""
            try:
                await super().close()
            except (psutil.NoSuchProcess, ProcessLookupError):
                await self.process.wait()
                await super().close()

        async def _forget_when_dead(self) -> None:
            await self.process.wait()
            cluster = self._cluster and self._cluster()
            if cluster is not None and cluster.workers.get(self.name) is self:
                del cluster.workers[self.name]

    return Worker


def _kill_workers(folder: Path, run_ended: threading.Event) -> None:
    """Kill workers that nobody closed, and let no more start."""
    run_ended.set()
    folder_in_spec = json.dumps(str(folder))[1:-1]
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any(folder_in_spec in word for word in child.cmdline()):
                child.kill()
