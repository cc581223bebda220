"""The arguments of dask-jobqueue for the jobs: what all queues share, and what each spells its way.

Every queue is given the whole memory and all cores of a job, and dask's workers the memory that
the process beside them leaves.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cellucid_dask.compute.machine import MiB
from cellucid_dask.compute.queues.jobs import WorkerJobs, site_setting
from cellucid_dask.compute.slurm.sbatch import escape_log_folder, format_mebibytes, quote_directive
from cellucid_dask.compute.worker_process import PRELOAD, WORKER_ENVIRONMENT
from cellucid_dask.options.jobs import parse_minutes, parse_seconds
from cellucid_dask.options.sizes import parse_size

DISK_BYTES = 10**9  # of a job of HTCondor, by default: the spill is on the shared file system


def job_settings(jobs: WorkerJobs, name: str, folder: Path) -> dict[str, Any]:
    """Return the arguments of a job of dask-jobqueue.

    Parameters
    ----------
    name
        Name of all jobs of the run, by which they are found in the queue.
    folder
        For their output, unless the site has another one.
    """
    options = jobs.options

    def site(setting: str) -> Any:
        return site_setting(options.cluster, setting)

    exports = [f"export {key}={value}" for key, value in WORKER_ENVIRONMENT.items()]
    return {
        "job_name": name,
        "cores": jobs.workers,
        "processes": jobs.workers,
        "memory": f"{jobs.worker_bytes * jobs.workers // MiB}MiB",  # less than that of the job
        "interface": options.interface,
        "python": site("python") or shlex.quote(sys.executable),
        # On the node.
        "local_directory": f'"{site("local-directory") or "${TMPDIR:-/tmp}"}"',
        # A dashboard would make a worker slower to start, and larger.
        "worker_extra_args": [
            *("--preload", PRELOAD, "--no-dashboard"),
            *(site("worker-extra-args") or ()),
        ],
        "job_script_prologue": [*(site("job-script-prologue") or ()), *options.setup, *exports],
        **SPELLINGS[options.cluster](jobs, name, folder),
    }


def log_pattern(folder: Path) -> str:
    """Return the log file of a SLURM job, whose number is ``%j``; in the site's folder, if any."""
    return f"{escape_log_folder(site_setting('slurm', 'log-directory') or folder)}/workers-%j.log"


def _spell_slurm(jobs: WorkerJobs, _name: str, folder: Path) -> dict[str, Any]:
    options = jobs.options
    return {
        "queue": options.partition,
        "account": options.account,
        "walltime": options.time,
        "job_cpu": jobs.cores,
        "job_mem": format_mebibytes(jobs.memory),
        "job_directives_skip": [
            *(site_setting("slurm", "job-directives-skip") or ()),
            "#SBATCH -e ",
            "#SBATCH -o ",
        ],
        "job_extra_directives": [
            *(site_setting("slurm", "job-extra-directives") or ()),
            f'--output="{log_pattern(folder)}"',
            *map(quote_directive, options.directives),
        ],
    }


def _spell_pbs(jobs: WorkerJobs, _name: str, folder: Path) -> dict[str, Any]:
    options = jobs.options
    size = f"select=1:ncpus={jobs.cores}:mem={-(-jobs.memory // MiB)}mb"  # its mb are MiB
    return {
        "queue": options.partition,
        "account": options.account,
        "walltime": _clock(options.time),
        "resource_spec": site_setting("pbs", "resource-spec") or size,
        **_lines(jobs, folder),
    }


def _spell_lsf(jobs: WorkerJobs, _name: str, folder: Path) -> dict[str, Any]:
    options = jobs.options
    time = None if options.time is None else parse_minutes(options.time)
    return {
        "queue": options.partition,
        "project": options.account,
        "walltime": None if time is None else f"{time // 60}:{time % 60:02}",
        "ncpus": jobs.cores,
        "mem": jobs.memory,  # written in the unit of the site
        **_lines(jobs, folder),
    }


def _spell_sge(jobs: WorkerJobs, _name: str, folder: Path) -> dict[str, Any]:
    options = jobs.options
    each = -(-jobs.memory // jobs.cores // MiB)  # resources are for each core
    size = None if options.memory_resource is None else f"{options.memory_resource}={each}M"
    environment = options.parallel_environment
    lines = ["-S /bin/bash"]  # else some queues run the script with csh
    if environment is not None:
        lines.append(f"-pe {environment} {jobs.cores}")
    return {
        "queue": options.partition,
        "project": options.account,
        "walltime": _clock(options.time),
        "resource_spec": size,
        **_lines(jobs, folder, lines),
    }


def _spell_htcondor(jobs: WorkerJobs, name: str, folder: Path) -> dict[str, Any]:
    options = jobs.options
    pairs = (line.partition("=") for line in options.directives)
    account = {} if options.account is None else {"accounting_group": options.account}
    disk = options.job_disk or site_setting("htcondor", "disk") or DISK_BYTES
    return {
        "disk": f"{parse_size(disk)}B",
        "log_directory": site_setting("htcondor", "log-directory") or str(folder),
        "job_extra_directives": {
            **(site_setting("htcondor", "job-extra-directives") or {}),
            "batch_name": name,
            "RequestCpus": jobs.cores,
            "RequestMemory": -(-jobs.memory // MiB),
            **account,
            **{key.strip(): value.strip() for key, _, value in pairs},
        },
    }


# What dask-jobqueue calls the options of a job, by queue.
SPELLINGS: Final[Mapping[str, Callable[[WorkerJobs, str, Path], dict[str, Any]]]] = {
    "slurm": _spell_slurm,
    "pbs": _spell_pbs,
    "lsf": _spell_lsf,
    "sge": _spell_sge,
    "htcondor": _spell_htcondor,
}


def _lines(jobs: WorkerJobs, folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the folder of the output, and further lines of the job script."""
    cluster = jobs.options.cluster
    return {
        "log_directory": site_setting(cluster, "log-directory") or str(folder),
        "job_extra_directives": [
            *(site_setting(cluster, "job-extra-directives") or ()),
            *more,
            *jobs.options.directives,
        ],
    }


def _clock(time: str | None) -> str | None:
    """Return a time limit as hours:minutes:seconds, whatever its form."""
    if time is None:
        return None
    minutes, seconds = divmod(parse_seconds(time), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
