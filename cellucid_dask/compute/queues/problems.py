"""What prevents jobs of a batch queue: reported before anything is submitted or written."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from cellucid_dask.compute.queues.jobs import WorkerJobs, plan_jobs, site_setting
from cellucid_dask.compute.queues.programs import ProgramError, SilentError, run_program
from cellucid_dask.compute.queues.settings import job_settings
from cellucid_dask.compute.slurm.sbatch import (
    BAD_CHARACTERS,
    BAD_CHARACTERS_OR_SPACE,
    FIX_OPTIONS,
    fits_in_script,
    long_name,
    slurm_environment,
)
from cellucid_dask.errors import Problem
from cellucid_dask.options.jobs import JobOptions, check_interface
from cellucid_dask.options.queues import QUEUES
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.sizes import parse_size

NEEDED = ("bokeh", "cryptography", "dask_jobqueue")
RESERVED = {  # options of sbatch that this package sets, with the option of ours to use
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
DICT_SETTINGS = ("scheduler-options",)
INSTALL = "pip install bokeh cryptography dask-jobqueue"


def find_queue_problems(run: RunOptions, out: Path) -> list[Problem]:
    """Return why the queue would refuse the jobs; submits nothing, and writes nothing.

    Parameters
    ----------
    out
        The export to make; the spill is in its folder unless there is ``--scratch``.
    """
    options = run.jobs
    assert options is not None
    if options.cluster not in QUEUES:
        return []  # reported with the values
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return [Problem(f"needs {' and '.join(missing)}", options.option, INSTALL)]
    problems = [] if shutil.which(options.queue.submit) else [_no_program(options)]
    if options.interface is None:
        problems += [
            Problem(problem.what, "interface in dask's configuration", problem.fix)
            for problem in check_interface(site_setting(options.cluster, "interface"))
        ]
    of_site = list(_site_problems(options.cluster))
    problems += [*of_site, *_path_problems(run, options, out), *_directive_problems(options)]
    if of_site or run.workers is None or list(options.find_problems()):
        return problems  # the jobs cannot be planned
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
    if options.cluster == "sge" and jobs.cores > 1 and options.parallel_environment is None:
        what = "SGE gives a job several cores only in a parallel environment"
        fix = "add --parallel-environment NAME; 'qconf -spl' lists those of your site"
        problems.append(Problem(what, "--job-cores", fix))
    return problems if problems or options.cluster != "slurm" else _test_submission(jobs)


def _site_problems(cluster: str) -> Iterator[Problem]:
    """Settings of the site with a wrong type or value."""

    def site(name: str) -> Any:
        return site_setting(cluster, name)

    memory, cores, time = site("memory"), site("cores"), site("walltime")
    death = str(site("death-timeout") or 60)
    text_settings = ("queue", "account", "log-directory", "local-directory", "python")
    checks = [
        ("memory", memory is None or parse_size(memory) is not None, "write it as 16GB or 16GiB"),
        ("cores", cores is None or re.fullmatch(r"[1-9]\d*", str(cores)), "write a number"),
        ("walltime", time is None or isinstance(time, str), "write it in quotes: '2:00:00'"),
        ("death-timeout", re.fullmatch(r"\d+(\.\d+)?", death), "write seconds"),
        *(
            (name, isinstance(site(name) or [], list), "write it as a list")
            for name in LIST_SETTINGS
        ),
        *(
            (name, isinstance(site(name) or "", str), "write it in quotes")
            for name in text_settings
        ),
        *((name, isinstance(site(name) or {}, dict), "name: value") for name in DICT_SETTINGS),
    ]
    for name, is_valid, fix in checks:
        # The lines of a job script are a dict for HTCondor.
        if not is_valid and (name, cluster) != ("job-extra-directives", "htcondor"):
            what = f"jobqueue.{cluster}.{name} is {site(name)!r}"
            yield Problem(what, "dask's configuration", fix)


def _path_problems(run: RunOptions, options: JobOptions, out: Path) -> Iterator[Problem]:
    """Paths that a line of a batch script cannot contain."""
    log_folder = site_setting(options.cluster, "log-directory")
    is_slurm = options.cluster == "slurm"  # whose lines can quote a space
    folders = {"--out": out}  # with the spill
    if run.scratch is not None:
        folders = {"--scratch": Path(run.scratch)}
    if isinstance(log_folder, str):
        folders["log-directory in dask's configuration"] = Path(log_folder)
    for where, path in folders.items():
        path = path.absolute()
        if not fits_in_script(path) or (not is_slurm and re.search(r"\s", str(path))):
            what = f"{str(path)!r} has {BAD_CHARACTERS if is_slurm else BAD_CHARACTERS_OR_SPACE}"
            yield Problem(what, where, "batch scripts cannot contain them: choose another folder")


def _directive_problems(options: JobOptions) -> Iterator[Problem]:
    """Lines of the job script that this package writes: with others it would not find its jobs."""
    is_slurm = options.cluster == "slurm"
    reserved = RESERVED if is_slurm else options.queue.reserved
    for line in options.directives:
        name = long_name(line) if is_slurm else options.queue.directive_name(line)
        if name in reserved:
            fix = f"use {reserved[name]}" if reserved[name] else "leave it out"
            yield Problem(f"{line!r} is set by this command", "--directive", fix)


def _no_program(options: JobOptions) -> Problem:
    return Problem(
        f"there is no {options.queue.submit} on the PATH",
        options.option,
        f"run this on a login node of the cluster, or leave out {options.option}",
    )


def _test_submission(jobs: WorkerJobs) -> list[Problem]:
    """Return why ``sbatch --test-only`` refuses a job."""
    from dask_jobqueue.slurm import SLURMJob

    settings = job_settings(jobs, "cellucid-dask", Path(tempfile.gettempdir()))
    job = SLURMJob("tcp://127.0.0.1:8786", "test", **settings)
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
