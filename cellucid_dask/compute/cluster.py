"""What the engine needs of a cluster, whichever kind it is: slots, memory, start, error texts.

The kinds are `threads.Threads`, `local_cluster.LocalCluster`, `existing_cluster.ExistingCluster`
and `queues.cluster.QueueCluster`; `choose_cluster` is the only place that picks one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
from rich.filesize import decimal

from cellucid_dask.compute.machine import MiB, available_memory, job_memory
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import PlanError

GROWTH_BYTES = 80_000_000  # added by this process during a run: manifests, scheduler
WORKER_BYTES = 190_000_000  # resident memory of a worker process before its first task
MB = 10**6

# Receives the error when no worker can come any more; it never has a result.
Failure = Future[Any]


@dataclass(frozen=True, slots=True)
class StartContext:
    """What a cluster needs to start its workers.

    Parameters
    ----------
    folder
        Folder for the files of the workers, such as their logs; remote workers see it as well.
    stack
        Ends the workers when it is closed.
    failure
        Receives the error when no worker can come any more.
    """

    folder: Path
    reporter: Reporter
    stack: ExitStack
    failure: Failure


class Cluster(ABC):
    """Where tasks run.

    Parameters
    ----------
    slots
        Tasks at a time.
    """

    uses_dask: ClassVar[bool] = True
    # Whether workers run on other machines, as far as this process knows: they must be checked
    # before their first task, and the memory of this machine is not theirs.
    is_remote: ClassVar[bool] = False
    option: str = ""  # the option that chooses this kind
    lost_worker_fix: ClassVar[str] = (
        "a machine out of memory kills them: give fewer --workers, or less --memory"
    )
    lost_connection_fix: ClassVar[str] = ""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    @abstractmethod
    def __str__(self) -> str:
        """Name of the cluster in messages."""

    def connect(self, stack: ExitStack) -> None:  # noqa: B027  most kinds have nothing to do
        """Connect to what runs already, until `stack` is closed."""

    @abstractmethod
    def start(self, context: StartContext) -> Any | None:
        """Start the workers.

        Returns
        -------
        Client of their dask scheduler; None where threads of this process do the tasks.

        Raises
        ------
        EngineError
            When no worker can come.
        """

    def drop_worker(self, *, fixed: bool) -> Cluster | None:  # noqa: ARG002
        """Return the cluster with one slot less; None when there cannot be fewer.

        Parameters
        ----------
        fixed
            Whether the user chose the number of workers.
        """
        return None

    # ------------------------------------------------------------------------- memory

    @abstractmethod
    def count_processes(self) -> int:
        """Worker processes, besides this process."""

    def worker_limits(self) -> list[int]:
        """Bytes of memory for the task of each worker that has a limit of its own."""
        return []

    def task_memory(self, total: int | None) -> int:
        """Bytes a task may take.

        The limits of the workers bound it as well, and are the default where there are any: the
        memory of this machine says nothing of theirs.

        Parameters
        ----------
        total
            Bytes for all processes of the run; None is half of what is free.
        """
        limits = self.worker_limits()
        if total is None and limits:
            return min(limits) * 6 // 10
        run_bytes = total or max(available_memory() // 2, 256 * MiB)
        task_bytes = (run_bytes - self.overhead()) * 9 // 10 // self.slots
        return min([task_bytes, *(limit * 9 // 10 for limit in limits)])

    def overhead(self) -> int:
        """Resident bytes of all processes of the run without any task."""
        return baseline_memory() + self.count_processes() * WORKER_BYTES

    def run_memory(self, task_bytes: int) -> int:
        """Bytes for the run with which `task_memory` gives `task_bytes`, by its own limit."""
        return task_bytes * 10 // 9 * self.slots + self.overhead()

    def advise_memory(self, peak: int, task_bytes: int) -> str:  # noqa: ARG002
        """Return the option for the memory to ask for next time; empty if there is none.

        A batch script gives nine tenths of the memory of its job to a run on its node.

        Parameters
        ----------
        peak
            Largest memory of a worker on another machine in bytes; 0 without one.
        task_bytes
            What the plan projects for its largest task.
        """
        if self.is_remote or job_memory() is None:
            return ""
        return f"sbatch --mem={-(-self.run_memory(task_bytes) * 10 // 9 // MiB) + 1}M"

    def memory_error(self, task_bytes: int, total: int | None, other_fix: str = "") -> PlanError:
        """Make the error for tasks that need more memory than they may take.

        Parameters
        ----------
        task_bytes
            What a task needs.
        total
            Bytes that the user gave for the run.
        other_fix
            What else the user can do.
        """
        reserve = 16 * MiB
        fixes = [f"use --memory {megabytes(self.run_memory(task_bytes) + reserve)}"]
        if self.slots > 1:
            alone = task_bytes * 10 // 9 + baseline_memory() + reserve
            fixes[0] += f", or --workers 1 with at least --memory {megabytes(alone)}"
        return PlanError(
            f"{decimal(total) if total else 'the free memory'} is too little for {self}: a task "
            f"needs {decimal(task_bytes)}, and the processes themselves "
            f"{decimal(self.overhead())}",
            where="--memory",
            fix=", ".join(filter(None, (*fixes, other_fix))),
        )


def baseline_memory() -> int:
    """Resident bytes of a run in this process alone, without any task."""
    return int(psutil.Process().memory_info().rss) + GROWTH_BYTES


def megabytes(size: int) -> str:
    """Bytes as ``--memory`` takes them, rounded up."""
    return f"{-(-size // MB)}MB"
