"""The jobs of workers that a run asks SLURM for: how many, how large, and what is wrong with them.

What a user leaves open is as dask's own configuration has it (``jobqueue.slurm``), where a site
keeps its defaults.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from cellucid_dask.errors import Problem
from cellucid_dask.local_workers import NANNY_BYTES, PRELOAD, THREADS_AND_MEMORY
from cellucid_dask.options import bytes_of
from cellucid_dask.run_options import RunOptions, SlurmOptions, interface_problems

MiB = 1 << 20
CORE_BYTES = 4 << 30  # memory of a job for each of its cores, where nobody says
ANSWER_SECONDS = 30  # after which SLURM is taken not to answer
NEEDED = ("bokeh", "cryptography", "dask_jobqueue")
INSTALL = "pip install 'cellucid-dask[slurm]'"


@dataclass(frozen=True, slots=True)
class Jobs:
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

    def __str__(self) -> str:
        """Say what will be asked for."""
        workers = f"{self.slots} worker{'s' * (self.slots > 1)}"
        text = f"{workers} in {self.number} SLURM job{'s' * (self.number > 1)}"
        text += f" of {decimal(self.memory)}"
        if self.slots < self.wanted:
            text += f" (--max-jobs allows no more; {self.wanted} were asked for)"
        return text


def jobqueue() -> Any:
    """The package dask_jobqueue; its import takes Ctrl-C over, which is undone."""
    kept = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    if signal.getsignal(signal.SIGINT) is not kept:
        signal.signal(signal.SIGINT, kept)
    return dask_jobqueue


def site(name: str) -> Any:
    """Setting of this site in dask's configuration; None where there is none."""
    import dask

    jobqueue()  # brings the defaults
    return dask.config.get(f"jobqueue.slurm.{name}", None)


def jobs_of(run: RunOptions) -> Jobs:
    """Shape the jobs a user asks for."""
    options = run.slurm
    assert options is not None
    wanted = run.workers or 1
    cores = options.job_cores or int(site("cores") or 1)
    memory = bytes_of(options.job_memory or site("memory") or CORE_BYTES * cores)
    workers = min(cores, wanted)
    number = min(-(-wanted // workers), options.max_jobs or wanted)
    return Jobs(number, workers, cores, memory or CORE_BYTES, wanted, options)


def settings(jobs: Jobs, name: str, log: str) -> dict[str, Any]:
    """Arguments of a job of dask-jobqueue.

    Parameters
    ----------
    name
        Name of every job of the run, by which they are found in the queue.
    log
        File of their output, with the patterns of sbatch.
    """
    options = jobs.options
    # Within the limit of SLURM, whose M are MiB: rounded up there, down for the worker.
    mebibytes = -(-jobs.memory // MiB)
    exports = [f"export {key}={value}" for key, value in THREADS_AND_MEMORY.items()]
    return {
        "queue": options.partition,
        "account": options.account,
        "walltime": options.time,
        "job_name": name,
        "cores": jobs.workers,
        "job_cpu": jobs.cores,
        "processes": jobs.workers,
        "memory": f"{jobs.worker_bytes * jobs.workers // MiB}MiB",
        "job_mem": f"{mebibytes}M",
        "interface": options.interface,
        "python": site("python") or shlex.quote(sys.executable),
        "local_directory": site("local-directory") or '"${TMPDIR:-/tmp}"',  # of the node
        "worker_extra_args": [*(site("worker-extra-args") or ()), "--preload", PRELOAD],
        "job_script_prologue": [*(site("job-script-prologue") or ()), *exports],
        "job_directives_skip": [*(site("job-directives-skip") or ()), "#SBATCH -e ", "#SBATCH -o "],
        "job_extra_directives": [
            *(site("job-extra-directives") or ()),
            f'--output="{log}"',
            *map(_directive, options.slurm_directives),
        ],
    }


def _directive(option: str) -> str:
    """As a line of a script has it, where a value with spaces must be quoted."""
    return re.sub(r"^(--[\w-]+=)([^\"']*\s[^\"']*)$", r'\1"\2"', option)


def log_pattern(folder: Path) -> str:
    """Output of the jobs: in the folder of the site, else in `folder`; ``%j`` is the job."""
    place = str(Path(site("log-directory") or folder).absolute()).replace("%", "%%")
    return f"{place}/workers-%j.log"


# --------------------------------------------------------------------------- what is wrong


def slurm_problems(run: RunOptions) -> list[Problem]:
    """Say why SLURM would not take the jobs; submits nothing, and writes nothing."""
    if run.slurm is None:
        return []
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return [Problem(f"needs {' and '.join(missing)}", "--slurm", INSTALL)]
    found = [] if shutil.which("sbatch") else [_no_sbatch()]
    if run.slurm.interface is None:
        found += [
            Problem(problem.what, "interface in dask's configuration", problem.fix)
            for problem in interface_problems(site("interface"))
        ]
    wrong = _site_problems()
    found += wrong
    if wrong or run.workers is None or list(run.slurm.problems()):
        return found  # which is told already
    jobs, total = jobs_of(run), run.memory_bytes()
    if total is not None and total > jobs.number * jobs.memory:
        found.append(
            Problem(
                f"{decimal(total)} is more than {jobs.number} jobs of {decimal(jobs.memory)} have",
                "--memory",
                f"use at most --memory {jobs.number * jobs.memory // 10**6}MB, "
                f"or raise --job-memory or --workers",
            )
        )
    return found or _refusals(jobs)


def _site_problems() -> list[Problem]:
    """Settings of the site that are none, where a job would be shaped by them."""
    wrong = []
    if site("memory") is not None and bytes_of(site("memory")) is None:
        wrong.append(("memory", "write it as 16GB or 16GiB"))
    if site("cores") is not None and not re.fullmatch(r"[1-9]\d*", str(site("cores"))):
        wrong.append(("cores", "write a number"))
    return [
        Problem(f"jobqueue.slurm.{name} is {site(name)!r}", "dask's configuration", fix)
        for name, fix in wrong
    ]


def _no_sbatch() -> Problem:
    return Problem(
        "there is no sbatch on the PATH",
        "--slurm",
        "run this on a login node of the cluster, or leave out --slurm",
    )


def _refusals(jobs: Jobs) -> list[Problem]:
    """What ``sbatch --test-only`` says against a job."""
    from dask_jobqueue.slurm import SLURMJob

    job = SLURMJob("tcp://127.0.0.1:8786", "test", **settings(jobs, "cellucid-dask", "/dev/null"))
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(job.job_script())
        file.flush()
        try:
            answer = subprocess.run(
                ["sbatch", "--test-only", file.name],  # noqa: S607  wherever the site has it
                capture_output=True,
                text=True,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            what = f"sbatch does not answer within {ANSWER_SECONDS} s"
            return [Problem(what, "--slurm", "see whether squeue answers")]
    if answer.returncode == 0:
        return []
    return [Problem(f"sbatch refuses such a job ({said(answer.stderr)})", "--slurm", CHANGE)]


CHANGE = "change --partition, --account, --time, --job-memory, --job-cores or --slurm-directive"


def said(text: str) -> str:
    """What SLURM's programs printed, in one line."""
    lines = [re.sub(r"^\w+: (error: )?", "", line).strip() for line in text.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))[:300]
