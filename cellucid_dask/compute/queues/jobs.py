"""The jobs of the workers: their number and their size.

The configuration of dask (``jobqueue``), where a site keeps its defaults, decides what the user
leaves open.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rich.filesize import decimal

from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.queues import QUEUES
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size

NANNY_BYTES = 160_000_000  # of the process that watches the workers of a job
CORE_BYTES = 4 << 30  # memory of a job for each of its cores, by default


@dataclass(frozen=True, slots=True)
class WorkerJobs:
    """Number and size of the jobs.

    Parameters
    ----------
    number
        Most jobs at a time.
    workers
        Worker processes in each job, of one thread.
    cores
        Cores of each job.
    memory
        Memory of each job in bytes.
    wanted
        Workers that the user asked for.
    options
        All other choices of the user.
    """

    number: int
    workers: int
    cores: int
    memory: int
    wanted: int
    options: JobOptions

    @property
    def slots(self) -> int:
        """Workers of all jobs."""
        return self.number * self.workers

    @property
    def worker_bytes(self) -> int:
        """Memory limit of a worker: its part of the job's memory without the nanny."""
        return max(self.memory - NANNY_BYTES, 0) // self.workers

    def job_of(self, worker: Any) -> str:
        """Return the name of a worker's job: that of the worker if it is the only one."""
        name = str(worker.name)
        return name.rpartition("-")[0] if self.workers > 1 else name

    def __str__(self) -> str:
        """Name of the jobs in messages."""
        workers = f"{self.slots} worker{'s' * (self.slots > 1)}"
        text = f"{workers} in {self.number} {self.options.queue.title} job{'s' * (self.number > 1)}"
        text += f" of {decimal(self.memory)}"
        if self.slots < self.wanted:
            text += f" (--max-jobs allows no more; you asked for {self.wanted})"
        return text


def import_jobqueue() -> Any:
    """Import dask_jobqueue and keep its default settings.

    Its import replaces the handler of Ctrl-C, which fails in a thread; here it cannot. A first
    import within ``dask.config.set`` loses its default job_settings afterwards; they are set again.
    """
    import dask

    if "dask_jobqueue" not in sys.modules:
        set_handler = signal.signal
        signal.signal = lambda *_: None
        try:
            import_module("dask_jobqueue")
        finally:
            signal.signal = set_handler
    defaults = dask.config.merge(*dask.config.defaults)["jobqueue"]
    keys = {
        f"jobqueue.{queue}.{name}": value
        for queue in QUEUES
        for name, value in defaults[queue].items()
    }
    absent = object()
    lost = {key: value for key, value in keys.items() if dask.config.get(key, absent) is absent}
    dask.config.set(lost)
    return sys.modules["dask_jobqueue"]


def site_setting(cluster: str, name: str) -> Any:
    """Return a setting of this site for a queue in the configuration of dask, or None."""
    import dask

    import_jobqueue()  # has the defaults
    return dask.config.get(f"jobqueue.{cluster}.{name}", None)


def plan_jobs(run: RunOptions) -> WorkerJobs:
    """Return the number and size of the jobs that the user asks for."""
    options = run.jobs
    assert options is not None
    wanted = run.workers or 1
    cores = options.job_cores or int(site_setting(options.cluster, "cores") or 1)
    site_memory = site_setting(options.cluster, "memory")
    memory = parse_size(options.job_memory or site_memory or CORE_BYTES * cores) or 0
    workers = min(cores, wanted)
    number = min(-(-wanted // workers), options.max_jobs or wanted)
    return WorkerJobs(number, workers, cores, memory, wanted, options)
