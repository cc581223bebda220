"""What stands against asking SLURM for jobs: told before anything is submitted or written."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rich.filesize import decimal

from cellucid_dask.compute.slurm.jobs import WorkerJobs, plan_jobs, settings, site
from cellucid_dask.compute.slurm.sbatch import (
    CHANGE,
    UNHELD,
    ProgramError,
    SilentError,
    ask_now,
    environment,
    is_held,
    long_name,
)
from cellucid_dask.errors import Problem
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size
from cellucid_dask.options.slurm import SlurmOptions, check_interface

NEEDED = ("bokeh", "cryptography", "dask_jobqueue")
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
LISTS = ("job-script-prologue", "job-extra-directives", "job-directives-skip", "worker-extra-args")
INSTALL = "pip install 'cellucid-dask[slurm]'"


def find_slurm_problems(run: RunOptions, out: Path) -> list[Problem]:
    """Say why SLURM would not take the jobs; submits nothing, and writes nothing.

    Parameters
    ----------
    out
        The export to make; its folder takes the spill unless there is another for that.
    """
    assert run.slurm is not None
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return [Problem(f"needs {' and '.join(missing)}", "--slurm", INSTALL)]
    found = [] if shutil.which("sbatch") else [_no_sbatch()]
    if run.slurm.interface is None:
        found += [
            Problem(problem.what, "interface in dask's configuration", problem.fix)
            for problem in check_interface(site("interface"))
        ]
    wrong = list(_site_problems())
    found += [*wrong, *_path_problems(run, out), *_directive_problems(run.slurm)]
    if wrong or run.workers is None or list(run.slurm.find_problems()):
        return found  # which is told already
    jobs, total = plan_jobs(run), run.memory_bytes()
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
        ("memory", memory is None or parse_size(memory) is not None, "write it as 16GB or 16GiB"),
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
    folders = {"--out": out}  # which takes the spill
    if run.scratch is not None:
        folders = {"--scratch": Path(run.scratch)}
    if isinstance(site("log-directory"), str):
        folders["log-directory in dask's configuration"] = Path(site("log-directory"))
    for where, path in folders.items():
        path = path.absolute()
        if not is_held(path):
            what = f"{str(path)!r} has {UNHELD}"
            yield Problem(what, where, "batch scripts cannot hold them: name another folder")


def _directive_problems(options: SlurmOptions) -> Iterator[Problem]:
    """Options of sbatch that would make other jobs than those that are watched."""
    for line in options.slurm_directives:
        name = long_name(line)
        if name in OURS:
            fix = f"use {OURS[name]}" if OURS[name] else "leave it out"
            yield Problem(f"{line!r} is set by this command", "--slurm-directive", fix)


def _no_sbatch() -> Problem:
    return Problem(
        "there is no sbatch on the PATH",
        "--slurm",
        "run this on a login node of the cluster, or leave out --slurm",
    )


def _refusals(jobs: WorkerJobs) -> list[Problem]:
    """What ``sbatch --test-only`` says against a job."""
    from dask_jobqueue.slurm import SLURMJob

    job = SLURMJob("tcp://127.0.0.1:8786", "test", **settings(jobs, "cellucid-dask", "/dev/null"))
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(job.job_script())
        file.flush()
        try:
            ask_now("sbatch", "--test-only", file.name, env=environment(jobs.options))
        except SilentError as error:
            return [Problem(str(error), "--slurm", "see whether squeue answers")]
        except ProgramError as error:
            return [Problem(f"sbatch refuses such a job ({error})", "--slurm", CHANGE)]
    return []
