"""Options of worker jobs on a batch queue."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

from cellucid_dask.errors import Problem, suggest
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.base import Options
from cellucid_dask.options.queues import OWN_FIELDS, QUEUES, Queue
from cellucid_dask.options.sizes import parse_size

MB = 10**6
TIME: Final = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}")  # the forms that `man sbatch` lists
NAMES: Final = ("partition", "account", "parallel_environment", "memory_resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions(Options):
    """Worker jobs on a batch queue.

    None takes the value of dask's own configuration (``jobqueue``), or the default below.

    Parameters
    ----------
    cluster
        The queue: ``"slurm"``, ``"pbs"``, ``"lsf"``, ``"sge"`` or ``"htcondor"``.
    partition
        Partition of SLURM, queue of the others.
    account
        Account to charge; a project for LSF and SGE, an accounting group for HTCondor.
    time
        Limit of each job, in the forms of ``sbatch`` for every queue.
    job_memory
        Memory of a job, in bytes or as text such as ``"16GB"``; default 4 GiB for each core.
    job_cores
        Cores of a job, with one worker for each; default 1.
    job_disk
        Disk of a job on its node, for HTCondor; default 1 GB.
    parallel_environment
        Parallel environment of SGE for jobs of several cores.
    memory_resource
        Resource of SGE that reserves the memory, such as ``"h_vmem"``.
    directives
        More lines of the job script, such as ``"--qos=long"`` for SLURM.
    setup
        Lines of shell that a job runs before its workers.
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

    cluster: str = "slurm"
    partition: str | None = None
    account: str | None = None
    time: str | None = None
    job_memory: float | str | None = None
    job_cores: int | None = None
    job_disk: float | str | None = None
    parallel_environment: str | None = None
    memory_resource: str | None = None
    directives: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    max_jobs: int | None = None
    adaptive: bool = False
    interface: str | None = None

    @property
    def queue(self) -> Queue:
        """What the queue calls what."""
        return QUEUES[self.cluster]

    @property
    def option(self) -> str:
        """The option that chooses the queue, as messages name it."""
        return "--slurm" if self.cluster == "slurm" else f"--cluster {self.cluster}"

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values."""
        if self.cluster not in QUEUES:
            fix = suggest(self.cluster, list(QUEUES))
            yield Problem(f"{self.cluster!r} is no batch queue", "--cluster", fix)
        else:
            yield from self._check_queue(self.queue)
        for name in NAMES:
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[^\s#-]\S*", str(value)):
                fix = "write it as the queue takes it"
                yield Problem(f"{value!r} is not a name", option_of(name), fix)
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            fix = "write it as hours:minutes:seconds, or as days-hours"
            yield Problem(f"{self.time!r} is not a time", "--time", fix)
        for name in ("job_memory", "job_disk"):
            yield from _check_size(getattr(self, name), option_of(name))
        for name in ("job_cores", "max_jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                option = option_of(name)
                yield Problem(f"{value!r} is not a positive number", option, "use 1 or more")
        for line in self.setup:
            if re.search(r"[\n\r]", line):
                fix = "repeat the option for each line"
                yield Problem(f"{line!r} has a line break", "--setup", fix)
        yield from check_interface(self.interface)

    def _check_queue(self, queue: Queue) -> Iterator[Problem]:
        """Check what depends on the queue: its options, and how their values are written."""
        for name in queue.lacks:
            if getattr(self, name) is not None:
                fix = "leave it out, or use --directive"
                yield Problem(f"{queue.title} has no such setting", option_of(name), fix)
        for name, title in OWN_FIELDS.items():
            if getattr(self, name) is not None and name not in queue.own:
                what = f"is a setting of {title}, and these are jobs of {queue.title}"
                yield Problem(what, option_of(name), "leave it out")
        for line in self.directives:
            if not re.fullmatch(queue.directive, line):
                what = f"{line!r} is not a line for {queue.submit}"
                fix = f"write it as {queue.submit} takes it, such as {queue.example}"
                yield Problem(what, "--directive", fix)


def _check_size(value: float | str | None, option: str) -> Iterator[Problem]:
    size = None if value is None else parse_size(value)
    if value is not None and size is None:
        yield Problem(f"{value!r} is not a size", option, "write it as 16GB or 16GiB")
    elif size is not None and size < MB:
        yield Problem(f"{value!r} is {size} bytes", option, "write the unit, as in 16GB")


def check_interface(name: str | None) -> Iterator[Problem]:
    """Check that a network interface exists; the problem lists those of this machine."""
    interfaces = psutil.net_if_addrs()
    if name is not None and name not in interfaces:
        fix = suggest(name, sorted(interfaces), noun="this machine has")
        yield Problem(f"there is no network interface {name!r}", "--interface", fix)


def parse_seconds(time: str) -> int:
    """Return the seconds of a valid time limit, in the forms of ``sbatch``."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(number) for number in rest.split(":")]
    if not dash and len(numbers) < 3:
        numbers.insert(0, 0)  # it begins with minutes, not with hours
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def parse_minutes(time: str) -> int:
    """Return the minutes of a valid time limit, rounded up as SLURM does."""
    return math.ceil(parse_seconds(time) / 60)
