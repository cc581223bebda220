"""The cluster of a run with ``--cluster`` or ``--slurm``: workers as jobs of a batch queue."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.filesize import decimal

from cellucid_dask.compute.cluster import WORKER_BYTES, Cluster, StartContext, megabytes
from cellucid_dask.compute.queues.jobs import NANNY_BYTES, WorkerJobs
from cellucid_dask.compute.queues.workers import submit_workers
from cellucid_dask.errors import PlanError


class QueueCluster(Cluster):
    """Tasks run in worker processes, one or more in each job."""

    is_remote: ClassVar[bool] = True
    lost_worker_fix: ClassVar[str] = (
        "jobs out of memory are killed: give more --job-memory, or less --memory"
    )
    lost_connection_fix: ClassVar[str] = "run the same command again"

    def __init__(self, jobs: WorkerJobs) -> None:
        super().__init__(jobs.slots)
        self._jobs = jobs
        self.option = jobs.options.option

    def __str__(self) -> str:
        return str(self._jobs)

    def start(self, context: StartContext) -> Any:
        """Submit the jobs, wait for the first worker, and return a client."""
        return submit_workers(self._jobs, context)

    def count_processes(self) -> int:
        """Count the workers of all jobs."""
        return self.slots

    def worker_limits(self) -> list[int]:
        """Bytes for the task of a worker."""
        return [max(self._jobs.worker_bytes - WORKER_BYTES, 0)]

    def advise_memory(self, peak: int, task_bytes: int) -> str:
        """Return the least ``--job-memory`` that leaves the plan as it is, and dask's limits unmet.

        dask halts a worker at 80 % of its limit.
        """
        return self._spell_memory(max(peak * 4 // 3, task_bytes * 10 // 6 + WORKER_BYTES))

    def _spell_memory(self, worker_bytes: int) -> str:
        """Return the option for jobs whose workers have a limit of so many bytes each."""
        job_bytes = self._jobs.workers * worker_bytes + NANNY_BYTES
        return f"--job-memory {megabytes(job_bytes)}"

    def memory_error(self, task_bytes: int, total: int | None, other_fix: str = "") -> PlanError:
        """Make the error for tasks that need more memory than a job gives them."""
        fix = f"use {self._spell_memory(task_bytes * 10 // 6 + WORKER_BYTES)}"
        if total is not None:
            fix += f", and --memory {megabytes(self.run_memory(task_bytes))} or none"
        return PlanError(
            f"is too little for {self}: a task needs {decimal(task_bytes)}",
            where="--job-memory",
            fix=", ".join(filter(None, (fix, other_fix))),
        )
