"""The jobs of workers that a run asks SLURM for: how many, how large, and what is wrong with them.

What a user leaves open is as dask's own configuration has it (``jobqueue.slurm``), where a site
keeps its defaults.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
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
KEPT = (  # variables of sbatch that say what belongs to the user, not to the job
    "SBATCH_ACCOUNT",
    "SBATCH_CONSTRAINT",
    "SBATCH_EXPORT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_RESERVATION",
)
OURS = {  # options of sbatch that this package sets, with that of ours which says it
    "--account": "--account",
    "--array": "",
    "--clusters": "",
    "--cpus-per-task": "--job-cores",
    "--error": "",
    "--job-name": "",
    "--mem": "--job-memory",
    "--mem-per-cpu": "--job-memory",
    "--ntasks": "",
    "--output": "",
    "--parsable": "",
    "--partition": "--partition",
    "--quiet": "",
    "--test-only": "",
    "--time": "--time",
    "--wait": "",
    "--wrap": "",
}
SHORT = {
    "-A": "--account",
    "-a": "--array",
    "-c": "--cpus-per-task",
    "-e": "--error",
    "-J": "--job-name",
    "-M": "--clusters",
    "-n": "--ntasks",
    "-o": "--output",
    "-p": "--partition",
    "-Q": "--quiet",
    "-t": "--time",
    "-W": "--wait",
}
LISTS = ("job-script-prologue", "job-extra-directives", "job-directives-skip", "worker-extra-args")
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
    """Import dask_jobqueue, without its import taking Ctrl-C over, which fails in a thread."""
    if "dask_jobqueue" not in sys.modules:
        kept = signal.signal
        signal.signal = lambda *_: None
        try:
            import_module("dask_jobqueue")
        finally:
            signal.signal = kept
    return sys.modules["dask_jobqueue"]


def environment(options: SlurmOptions) -> dict[str, str]:
    """Environment for the programs of SLURM: variables there win over what a script says."""
    defaults = {"SBATCH_ACCOUNT": options.account, "SBATCH_PARTITION": options.partition}
    left = {name for name in KEPT if defaults.get(name) is None}
    return {
        name: value
        for name, value in os.environ.items()
        if name in left or not name.startswith(("SBATCH_", "SQUEUE_", "SCANCEL_"))
    }


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
        "local_directory": f'"{site("local-directory") or "${TMPDIR:-/tmp}"}"',  # of the node
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


def slurm_problems(run: RunOptions, out: Path) -> list[Problem]:
    """Say why SLURM would not take the jobs; submits nothing, and writes nothing.

    Parameters
    ----------
    out
        The export to make; its folder takes the spill unless there is another for that.
    """
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
    wrong = list(_site_problems())
    found += [*wrong, *_path_problems(run, out), *_directive_problems(run.slurm)]
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


def _site_problems() -> Iterator[Problem]:
    """Settings of the site that are not what they must be."""
    memory, cores, time = site("memory"), site("cores"), site("walltime")
    death = str(site("death-timeout") or 60)
    of_text = ("queue", "account", "log-directory", "local-directory", "python")
    checks = [
        ("memory", memory is None or bytes_of(memory) is not None, "write it as 16GB or 16GiB"),
        ("cores", cores is None or re.fullmatch(r"[1-9]\d*", str(cores)), "write a number"),
        ("walltime", time is None or isinstance(time, str), "write it in quotes: '2:00:00'"),
        ("death-timeout", re.fullmatch(r"\d+(\.\d+)?", death), "write seconds"),
        *((name, isinstance(site(name) or [], list), "write it as a list") for name in LISTS),
        *((name, isinstance(site(name) or "", str), "write it in quotes") for name in of_text),
        ("scheduler-options", isinstance(site("scheduler-options") or {}, dict), "name: value"),
    ]
    for name, good, fix in checks:
        if not good:
            what = f"jobqueue.slurm.{name} is {site(name)!r}"
            yield Problem(what, "dask's configuration", fix)


def _path_problems(run: RunOptions, out: Path) -> Iterator[Problem]:
    """Paths that a line of a batch script cannot hold."""
    folders = {"--out": out.absolute(), "log-directory in dask's configuration": ""}
    if run.scratch is not None:
        folders = {"--scratch": Path(run.scratch).absolute(), **folders, "--out": ""}
    if isinstance(site("log-directory"), str):
        folders["log-directory in dask's configuration"] = site("log-directory")
    for where, path in folders.items():
        if re.search(r"[\"\\\n\r]", str(path)):
            what = f"{str(path)!r} has a quote, a backslash or a line break"
            yield Problem(what, where, "batch scripts cannot hold them: name another folder")


def _directive_problems(options: SlurmOptions) -> Iterator[Problem]:
    """Options of sbatch that would make other jobs than those that are watched."""
    for line in options.slurm_directives:
        found = re.match(r"--[\w-]+|-\w", line)
        name = found[0] if found else ""
        name = SHORT.get(name, name)
        if name in OURS:
            fix = f"use {OURS[name]}" if OURS[name] else "leave it out"
            yield Problem(f"{line!r} is set by this command", "--slurm-directive", fix)


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
                errors="replace",
                timeout=ANSWER_SECONDS,
                check=False,
                env=environment(jobs.options),
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
