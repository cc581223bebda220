"""The jobs of workers that a run asks SLURM for: how many, and how large.

What a user leaves open is as dask's own configuration has it (``jobqueue.slurm``), where a site
keeps its defaults.
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
from cellucid_dask.compute.slurm.sbatch import directive, log_folder, mebibytes
from cellucid_dask.compute.worker_process import PRELOAD, WORKER_ENVIRONMENT
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size
from cellucid_dask.options.slurm import SlurmOptions

NANNY_BYTES = 160_000_000  # of the process that watches the workers of a SLURM job
CORE_BYTES = 4 << 30  # memory of a job for each of its cores, where nobody says


@dataclass(frozen=True, slots=True)
class WorkerJobs:
    """Shape of the jobs.

    Parameters
    ----------
    number
        How many, at most.
    workers
        Worker processes in each, of one thread.
    cores
        Cores of each.
    memory
        Bytes of each.
    wanted
        Workers that were asked for.
    options
        What else the user chose.
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
        """Memory limit of a worker: its share of what the job leaves beside its nanny."""
        return max(self.memory - NANNY_BYTES, 0) // self.workers

    def job_of(self, worker: Any) -> str:
        """Name of the job of a worker: its own where it is the only one there."""
        name = str(worker.name)
        return name.rpartition("-")[0] if self.workers > 1 else name

    def __str__(self) -> str:
        """Say what will be asked for."""
        workers = f"{self.slots} worker{'s' * (self.slots > 1)}"
        text = f"{workers} in {self.number} SLURM job{'s' * (self.number > 1)}"
        text += f" of {decimal(self.memory)}"
        if self.slots < self.wanted:
            text += f" (--max-jobs allows no more; {self.wanted} were asked for)"
        return text


def jobqueue() -> Any:
    """Import dask_jobqueue, without its import taking Ctrl-C over, which fails in a thread.

    Its settings were taken away again if it was first imported within ``dask.config.set``.
    """
    import dask

    if "dask_jobqueue" not in sys.modules:
        kept = signal.signal
        signal.signal = lambda *_: None
        try:
            import_module("dask_jobqueue")
        finally:
            signal.signal = kept
    brought = dask.config.merge(*dask.config.defaults)["jobqueue"]["slurm"]
    keys = {f"jobqueue.slurm.{name}": value for name, value in brought.items()}
    absent = object()
    gone = {key: value for key, value in keys.items() if dask.config.get(key, absent) is absent}
    dask.config.set(gone)
    return sys.modules["dask_jobqueue"]


def site(name: str) -> Any:
    """Setting of this site in dask's configuration; None where there is none."""
    import dask

    jobqueue()  # brings the defaults
    return dask.config.get(f"jobqueue.slurm.{name}", None)


def plan_jobs(run: RunOptions) -> WorkerJobs:
    """Shape the jobs a user asks for."""
    options = run.slurm
    assert options is not None
    wanted = run.workers or 1
    cores = options.job_cores or int(site("cores") or 1)
    memory = parse_size(options.job_memory or site("memory") or CORE_BYTES * cores) or 0
    workers = min(cores, wanted)
    number = min(-(-wanted // workers), options.max_jobs or wanted)
    return WorkerJobs(number, workers, cores, memory, wanted, options)


def settings(jobs: WorkerJobs, name: str, log: str) -> dict[str, Any]:
    """Arguments of a job of dask-jobqueue.

    Parameters
    ----------
    name
        Name of every job of the run, by which they are found in the queue.
    log
        File of their output, with the patterns of sbatch.
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
        "memory": f"{jobs.worker_bytes * jobs.workers // MiB}MiB",  # within that of the job
        "job_mem": mebibytes(jobs.memory),
        "interface": options.interface,
        "python": site("python") or shlex.quote(sys.executable),
        "local_directory": f'"{site("local-directory") or "${TMPDIR:-/tmp}"}"',  # of the node
        # Pages of its own would make a worker slower to start, and larger.
        "worker_extra_args": [
            *("--preload", PRELOAD, "--no-dashboard"),
            *(site("worker-extra-args") or ()),
        ],
        "job_script_prologue": [*(site("job-script-prologue") or ()), *exports],
        "job_directives_skip": [*(site("job-directives-skip") or ()), "#SBATCH -e ", "#SBATCH -o "],
        "job_extra_directives": [
            *(site("job-extra-directives") or ()),
            f'--output="{log}"',
            *map(directive, options.slurm_directives),
        ],
    }


def log_pattern(folder: Path) -> str:
    """Output of the jobs: in the folder of the site, else in `folder`; ``%j`` is the job."""
    return f"{log_folder(site('log-directory') or folder)}/workers-%j.log"
