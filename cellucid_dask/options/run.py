"""How the work is done, as a user may choose it: workers, memory, places, SLURM jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.export import (
    ExportOptions,
    Options,
    bytes_of,
    file_problems,
    make,
    writable,
)
from cellucid_dask.options.preview_path import target_problems

MB = 10**6
TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}")  # as `man sbatch` lists them


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions(Options):
    """The jobs of workers on a SLURM cluster.

    What is None is as dask's own configuration (``jobqueue.slurm``) has it, else as said here.

    Parameters
    ----------
    partition, account, time
        As ``sbatch`` takes them; `time` is the limit of each job.
    job_memory
        Memory of a job, in bytes or as text such as ``"16GB"``; 4 GiB for each core.
    job_cores
        Cores of a job, with a worker for each; 1.
    slurm_directives
        More options of ``sbatch``, such as ``"--qos=long"``.
    max_jobs
        Jobs at the same time, at most.
    adaptive
        Give jobs back for which there is no work, and ask for them again when there is.
    interface
        Network interface by which scheduler and workers reach each other, such as ``"ib0"``.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    partition: str | None = None
    account: str | None = None
    time: str | None = None
    job_memory: float | str | None = None
    job_cores: int | None = None
    slurm_directives: tuple[str, ...] = ()
    max_jobs: int | None = None
    adaptive: bool = False
    interface: str | None = None

    def problems(self) -> Iterator[Problem]:
        """Say what is wrong with the values."""
        for name in ("partition", "account"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[^\s#-]\S*", str(value)):
                yield Problem(
                    f"{value!r} is not a name", f"--{name}", "write it as sbatch takes it"
                )
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            fix = "write it as hours:minutes:seconds, or as days-hours"
            yield Problem(f"{self.time!r} is not a time", "--time", fix)
        if self.job_memory is not None and bytes_of(self.job_memory) is None:
            fix = "write it as 16GB or 16GiB"
            yield Problem(f"{self.job_memory!r} is not a size", "--job-memory", fix)
        elif self.job_memory is not None and (bytes_of(self.job_memory) or 0) < MB:
            what = f"{self.job_memory!r} is {bytes_of(self.job_memory)} bytes"
            yield Problem(what, "--job-memory", "write the unit, as in 16GB")
        for name in ("job_cores", "max_jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = option_of(name)
                yield Problem(f"{value!r} is not a positive number", option, "use 1 or more")
        for line in self.slurm_directives:
            if not re.fullmatch(r"--?[A-Za-z][^\n\r]*", line):
                fix = "write it as sbatch takes it, such as --qos=long"
                yield Problem(f"{line!r} is not an option of sbatch", "--slurm-directive", fix)
        yield from interface_problems(self.interface)


def interface_problems(name: str | None) -> Iterator[Problem]:
    """Say when there is no such network interface, with those there are."""
    found = psutil.net_if_addrs()
    if name is not None and name not in found:
        fix = suggest(name, sorted(found), noun="this machine has")
        yield Problem(f"there is no network interface {name!r}", "--interface", fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Options):
    """How the work is done: nothing here changes a byte of the output.

    Parameters
    ----------
    workers
        Processes; with `slurm`, those of all its jobs. 1 runs threads in this process; None takes
        the cores this process may use, and stays in this process when the job is too small to be
        worth starting others.
    memory
        Bound on the summed resident memory of all processes of the run, in bytes or as text
        such as ``"8GB"``; None is half of what is available to this process.
    scratch
        Folder for the spill; None is the staging folder beside the output.
    scheduler
        A running dask scheduler: ``tcp://host:port``, a scheduler file, or a
        ``distributed.Client``.
    slurm
        The jobs of workers to submit to SLURM; None submits none.
    force
        Replace an export that is already there once the new one is complete.
    report
        Write the run report as JSON to this file.
    performance_report
        Write dask's own report of its tasks as HTML to this file.
    preview
        Draw a sheet of thumbnails of the export to this .png, .pdf or .svg.
    restart
        Discard what an earlier run of other input or options left unfinished in the same place,
        and begin anew; without it, a run goes on where the last one stopped.
    verify
        Read the export before it is published, and refuse to publish it if anything is wrong.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    workers: int | None = None
    memory: float | str | None = None
    scratch: str | os.PathLike[str] | None = None
    scheduler: Any = None
    slurm: SlurmOptions | None = None
    force: bool = False
    report: str | os.PathLike[str] | None = None
    performance_report: str | os.PathLike[str] | None = None
    preview: str | os.PathLike[str] | None = None
    restart: bool = False
    verify: bool = False

    def problems(self) -> Iterator[Problem]:
        """Say what is wrong with the values."""
        if self.workers is not None and self.workers < 1:
            yield Problem(
                f"{self.workers} is not a number of workers", "--workers", "use 1 or more"
            )
        if self.memory is not None and bytes_of(self.memory) is None:
            yield Problem(f"{self.memory!r} is not a size", "--memory", "write it as 8GB or 8GiB")
        if self.scratch is not None and not Path(self.scratch).is_dir():
            yield Problem(f"{os.fspath(self.scratch)!r} is not a folder", "--scratch")
        elif any("\udc80" <= letter <= "\udcff" for letter in str(self.scratch or "")):
            yield Problem("has a name that is not UTF-8", "--scratch", "name it otherwise")
        elif self.scratch is not None and not writable(Path(self.scratch)):
            what, fix = f"the folder {str(self.scratch)!r} cannot be written", "name another folder"
            yield Problem(what, "--scratch", fix)
        if not _reaches_scheduler(self.scheduler):
            kind = type(self.scheduler).__name__
            what = f"is of type {kind}, not an address, a scheduler file or a Client"
            yield Problem(what, "--scheduler", "write an address as tcp://host:8786")
        yield from self._report_problems()
        if self.slurm is not None:
            yield from self._slurm_problems(self.slurm)

    def _report_problems(self) -> Iterator[Problem]:
        files = {"--report": self.report, "--performance-report": self.performance_report}
        given = {option: Path(path) for option, path in files.items() if path is not None}
        for option, path in given.items():
            yield from file_problems(path, option)
        if self.preview is not None:
            yield from target_problems(Path(self.preview), "--preview")
            given["--preview"] = Path(self.preview)
        first: dict[Path, str] = {}
        for option, path in given.items():
            other = first.setdefault(path.absolute(), option)
            if other != option:
                yield Problem(f"is the file of {other} as well", option, "name two files")

    def _slurm_problems(self, slurm: SlurmOptions) -> Iterator[Problem]:
        yield from slurm.problems()
        if self.scheduler is not None:
            fix = "leave one of them out"
            yield Problem("--slurm and --scheduler cannot both be given", fix=fix)
        if self.workers is None:
            fix = "add --workers N: how many of them may work at the same time"
            yield Problem("does not say how many workers are wanted", "--slurm", fix)

    def memory_bytes(self) -> int | None:
        """`memory` in bytes; None when it was not given."""
        return None if self.memory is None else bytes_of(self.memory)


def _reaches_scheduler(given: Any) -> bool:
    """Whether it is of a type that can name a scheduler; to ask for a Client imports dask."""
    return given is None or isinstance(given, str | os.PathLike) or hasattr(given, "scheduler_info")


def read(given: Mapping[str, Any]) -> tuple[ExportOptions, RunOptions, list[Problem]]:
    """Make both option objects of keyword arguments, and say what is wrong with them.

    The objects hold what was given even where it is wrong, so that what is wrong with the data
    can be told together with it; nothing must be written with them while there are problems.

    Parameters
    ----------
    given
        Fields of both, and of `SlurmOptions`, which need ``slurm=True``.
    """
    names = {f.name for f in fields(SlurmOptions)}
    jobs = {name: value for name, value in given.items() if name in names}
    rest: dict[str, Any] = {key: value for key, value in given.items() if key not in names}
    wrong: list[Problem] = []
    if type(rest.get("slurm")) is bool and rest.pop("slurm"):
        rest["slurm"], wrong = SlurmOptions.read(jobs)
        jobs = {}
    (what, how), problems = make((ExportOptions, RunOptions), rest)
    problems = list(dict.fromkeys([*wrong, *problems]))
    without = ", ".join(option_of(name) for name, value in jobs.items() if value)
    if without:
        problems.append(Problem("only together with --slurm", without, "add --slurm"))
    return what, how, problems
