"""What prevents SLURM jobs: reported before anything is submitted or written."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rich.filesize import decimal

from cellucid_dask.compute.slurm.jobs import WorkerJobs, job_settings, plan_jobs, site_setting
from cellucid_dask.compute.slurm.sbatch import (
    BAD_CHARACTERS,
    FIX_OPTIONS,
    ProgramError,
    SilentError,
    fits_in_script,
    long_name,
    run_program,
    slurm_environment,
)
from cellucid_dask.errors import Problem
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size
from cellucid_dask.options.slurm import SlurmOptions, check_interface

NEEDED = ("bokeh", "cryptography", "dask_jobqueue")
OWN_OPTIONS = {  # options of sbatch that this package sets, with the option of ours to use
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
LIST_SETTINGS = (
    "job-script-prologue",
    "job-extra-directives",
    "job-directives-skip",
    "worker-extra-args",
)
INSTALL = "pip install bokeh cryptography dask-jobqueue"


def find_slurm_problems(run: RunOptions, out: Path) -> list[Problem]:
    """Return why SLURM would refuse the jobs; submits nothing, and writes nothing.

    Parameters
    ----------
    out
        The export to make; the spill is in its folder unless there is ``--scratch``.
    """
    assert run.slurm is not None
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return [Problem(f"needs {' and '.join(missing)}", "--slurm", INSTALL)]
    problems = [] if shutil.which("sbatch") else [_no_sbatch()]
    if run.slurm.interface is None:
        problems += [
            Problem(problem.what, "interface in dask's configuration", problem.fix)
            for problem in check_interface(site_setting("interface"))
        ]
    of_site = list(_site_problems())
    problems += [*of_site, *_path_problems(run, out), *_directive_problems(run.slurm)]
    if of_site or run.workers is None or list(run.slurm.find_problems()):
        return problems  # sbatch cannot be asked
    jobs, total = plan_jobs(run), run.memory_bytes()
    if total is not None and total > jobs.number * jobs.memory:
        problems.append(
            Problem(
                f"{decimal(total)} is more than {jobs.number} jobs of {decimal(jobs.memory)} have",
                "--memory",
                f"use at most --memory {jobs.number * jobs.memory // 10**6}MB, "
                f"or raise --job-memory or --workers",
            )
        )
    return problems or _test_submission(jobs)


def _site_problems() -> Iterator[Problem]:
    """Settings of the site with a wrong type or value."""
    memory, cores, time = site_setting("memory"), site_setting("cores"), site_setting("walltime")
    death = str(site_setting("death-timeout") or 60)
    text_settings = ("queue", "account", "log-directory", "local-directory", "python")
    checks = [
        ("memory", memory is None or parse_size(memory) is not None, "write it as 16GB or 16GiB"),
        ("cores", cores is None or re.fullmatch(r"[1-9]\d*", str(cores)), "write a number"),
        ("walltime", time is None or isinstance(time, str), "write it in quotes: '2:00:00'"),
        ("death-timeout", re.fullmatch(r"\d+(\.\d+)?", death), "write seconds"),
        *(
            (name, isinstance(site_setting(name) or [], list), "write it as a list")
            for name in LIST_SETTINGS
        ),
        *(
            (name, isinstance(site_setting(name) or "", str), "write it in quotes")
            for name in text_settings
        ),
        (
            "scheduler-options",
            isinstance(site_setting("scheduler-options") or {}, dict),
            "name: value",
        ),
    ]
    for name, is_valid, fix in checks:
        if not is_valid:
            what = f"jobqueue.slurm.{name} is {site_setting(name)!r}"
            yield Problem(what, "dask's configuration", fix)


def _path_problems(run: RunOptions, out: Path) -> Iterator[Problem]:
    """Paths that a line of a batch script cannot contain."""
    folders = {"--out": out}  # with the spill
    if run.scratch is not None:
        folders = {"--scratch": Path(run.scratch)}
    if isinstance(site_setting("log-directory"), str):
        folders["log-directory in dask's configuration"] = Path(site_setting("log-directory"))
    for where, path in folders.items():
        path = path.absolute()
        if not fits_in_script(path):
            what = f"{str(path)!r} has {BAD_CHARACTERS}"
            yield Problem(what, where, "batch scripts cannot contain them: choose another folder")


def _directive_problems(options: SlurmOptions) -> Iterator[Problem]:
    """Options of sbatch that this package sets: with others it would not find its jobs."""
    for line in options.slurm_directives:
        name = long_name(line)
        if name in OWN_OPTIONS:
            fix = f"use {OWN_OPTIONS[name]}" if OWN_OPTIONS[name] else "leave it out"
            yield Problem(f"{line!r} is set by this command", "--slurm-directive", fix)


def _no_sbatch() -> Problem:
    return Problem(
        "there is no sbatch on the PATH",
        "--slurm",
        "run this on a login node of the cluster, or leave out --slurm",
    )


def _test_submission(jobs: WorkerJobs) -> list[Problem]:
    """Return why ``sbatch --test-only`` refuses a job."""
    from dask_jobqueue.slurm import SLURMJob

    job = SLURMJob(
        "tcp://127.0.0.1:8786", "test", **job_settings(jobs, "cellucid-dask", "/dev/null")
    )
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(job.job_script())
        file.flush()
        try:
            run_program("sbatch", "--test-only", file.name, env=slurm_environment(jobs.options))
        except SilentError as error:
            return [Problem(str(error), "--slurm", "check whether squeue answers")]
        except ProgramError as error:
            return [Problem(f"sbatch refuses such a job ({error})", "--slurm", FIX_OPTIONS)]
    return []
