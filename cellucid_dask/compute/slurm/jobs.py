"""The SLURM jobs of the workers: their number, their size, and their settings.

The configuration of dask (``jobqueue.slurm``), where a site keeps its defaults, decides what the
user leaves open.
"""

from __future__ import annotations

import shlex
import signal
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from cellucid_dask.compute.machine import MiB
from cellucid_dask.compute.slurm.sbatch import escape_log_folder, format_mebibytes, quote_directive
from cellucid_dask.compute.worker_process import PRELOAD, WORKER_ENVIRONMENT
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size
from cellucid_dask.options.slurm import SlurmOptions

NANNY_BYTES = 160_000_000  # of the process that watches the workers of a SLURM job
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
    options: SlurmOptions

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
        text = f"{workers} in {self.number} SLURM job{'s' * (self.number > 1)}"
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
    defaults = dask.config.merge(*dask.config.defaults)["jobqueue"]["slurm"]
    keys = {f"jobqueue.slurm.{name}": value for name, value in defaults.items()}
    absent = object()
    lost = {key: value for key, value in keys.items() if dask.config.get(key, absent) is absent}
    dask.config.set(lost)
    return sys.modules["dask_jobqueue"]


def site_setting(name: str) -> Any:
    """Return a setting of this site in the configuration of dask, or None."""
    import dask

    import_jobqueue()  # has the defaults
    return dask.config.get(f"jobqueue.slurm.{name}", None)


def plan_jobs(run: RunOptions) -> WorkerJobs:
    """Return the number and size of the jobs that the user asks for."""
    options = run.slurm
    assert options is not None
    wanted = run.workers or 1
    cores = options.job_cores or int(site_setting("cores") or 1)
    memory = parse_size(options.job_memory or site_setting("memory") or CORE_BYTES * cores) or 0
    workers = min(cores, wanted)
    number = min(-(-wanted // workers), options.max_jobs or wanted)
    return WorkerJobs(number, workers, cores, memory, wanted, options)


def job_settings(jobs: WorkerJobs, name: str, log: str) -> dict[str, Any]:
    """Return the arguments of a job of dask-jobqueue.

    Parameters
    ----------
    name
        Name of all jobs of the run, by which they are found in the queue.
    log
        File of their output, a pattern of sbatch.
    """
    options = jobs.options
    exports = [f"export {key}={value}" for key, value in WORKER_ENVIRONMENT.items()]
    return {
        "queue": options.partition,
        "account": options.account,
        "walltime": options.time,
        "job_name": name,
        "cores": jobs.workers,
        "job_cpu": jobs.cores,
        "processes": jobs.workers,
        "memory": f"{jobs.worker_bytes * jobs.workers // MiB}MiB",  # less than that of the job
        "job_mem": format_mebibytes(jobs.memory),
        "interface": options.interface,
        "python": site_setting("python") or shlex.quote(sys.executable),
        # On the node.
        "local_directory": f'"{site_setting("local-directory") or "${TMPDIR:-/tmp}"}"',
        # A dashboard would make a worker slower to start, and larger.
        "worker_extra_args": [
            *("--preload", PRELOAD, "--no-dashboard"),
            *(site_setting("worker-extra-args") or ()),
        ],
        "job_script_prologue": [*(site_setting("job-script-prologue") or ()), *exports],
        "job_directives_skip": [
            *(site_setting("job-directives-skip") or ()),
            "#SBATCH -e ",
            "#SBATCH -o ",
        ],
        "job_extra_directives": [
            *(site_setting("job-extra-directives") or ()),
            f'--output="{log}"',
            *map(quote_directive, options.slurm_directives),
        ],
    }


def log_pattern(folder: Path) -> str:
    """Return the log file of a job, in the site's folder or `folder`; ``%j`` is its number."""
    return f"{escape_log_folder(site_setting('log-directory') or folder)}/workers-%j.log"
