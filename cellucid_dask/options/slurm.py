"""Options of worker jobs on a SLURM cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.base import Options
from cellucid_dask.options.sizes import parse_size

MB = 10**6
TIME: Final = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}")  # the forms that `man sbatch` lists


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions(Options):
    """Worker jobs on a SLURM cluster.

    None takes the value of dask's own configuration (``jobqueue.slurm``), or the default below.

    Parameters
    ----------
    partition, account, time
        As for ``sbatch``; `time` is the limit of each job.
    job_memory
        Memory of a job, in bytes or as text such as ``"16GB"``; default 4 GiB for each core.
    job_cores
        Cores of a job, with one worker for each; default 1.
    slurm_directives
        More options of ``sbatch``, such as ``"--qos=long"``.
    max_jobs
        Largest number of jobs at the same time.
    adaptive
        Release jobs when there is no work, and request them again when there is.
    interface
        Network interface between scheduler and workers, such as ``"ib0"``.

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

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values."""
        for name in ("partition", "account"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[^\s#-]\S*", str(value)):
                yield Problem(
                    f"{value!r} is not a name", f"--{name}", "write it as sbatch takes it"
                )
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            fix = "write it as hours:minutes:seconds, or as days-hours"
            yield Problem(f"{self.time!r} is not a time", "--time", fix)
        if self.job_memory is not None and parse_size(self.job_memory) is None:
            fix = "write it as 16GB or 16GiB"
            yield Problem(f"{self.job_memory!r} is not a size", "--job-memory", fix)
        elif self.job_memory is not None and (parse_size(self.job_memory) or 0) < MB:
            what = f"{self.job_memory!r} is {parse_size(self.job_memory)} bytes"
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
        yield from check_interface(self.interface)


def check_interface(name: str | None) -> Iterator[Problem]:
    """Check that a network interface exists; the problem lists those of this machine."""
    interfaces = psutil.net_if_addrs()
    if name is not None and name not in interfaces:
        fix = suggest(name, sorted(interfaces), noun="this machine has")
        yield Problem(f"there is no network interface {name!r}", "--interface", fix)
