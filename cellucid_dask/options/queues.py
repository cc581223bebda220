"""What each batch queue calls what: one row for each queue that dask-jobqueue knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FLAG: Final = r"--?[A-Za-z][^\n\r]*"  # an option as a line of a batch script has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A batch queue.

    Parameters
    ----------
    title
        Its name in messages.
    submit
        Program that submits a job.
    listing
        Command that lists the jobs of a user.
    unfinished
        Words of the command that lists the jobs of the name ``{name}`` that have not ended, and
        perhaps others: their numbers are the first words of its lines. Empty for SLURM, of which
        `cellucid_dask.compute.slurm.queue_watch` reads more.
    none_unfinished
        Pattern of the error with which it says that there are none.
    cancel
        Shell command that cancels all jobs of the name ``{name}``; it succeeds if there are none.
    lacks
        Fields of `JobOptions` for which it has no setting.
    own
        Fields of `JobOptions` that only it has.
    directive, example
        Pattern of one more line of its job script, and an example.
    reserved
        Names of lines that this package writes, with the option of ours to use, or nothing.
    """

    title: str
    submit: str
    listing: str
    unfinished: tuple[str, ...] = ()
    none_unfinished: str = r"(?!)"
    cancel: str
    lacks: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    directive: str = FLAG
    example: str
    reserved: Mapping[str, str] = field(default_factory=dict)

    def directive_name(self, line: str) -> str:
        """Return the name in a line of the job script, such as ``-q`` or ``requestcpus``."""
        found = re.match(r"--?\w[\w-]*|[\w.]+", line)
        return "" if found is None else found[0] if line.startswith("-") else found[0].lower()


QUEUES: Final[Mapping[str, Queue]] = {
    "slurm": Queue(
        title="SLURM",
        submit="sbatch",
        listing="squeue --me",
        cancel="scancel --quiet --name={name} --user=$(id -u)",
        example="--qos=long",
    ),
    "pbs": Queue(
        title="PBS",
        submit="qsub",
        listing="qstat -u $USER",
        unfinished=("qselect", "-N", "{name}"),
        cancel="qselect -N {name} | xargs -r qdel",
        example="-l place=scatter",
        reserved={
            "-N": "",
            "-o": "",
            "-e": "",
            "-j": "",
            "-J": "",
            "-q": "--partition",
            "-A": "--account",
        },
    ),
    "lsf": Queue(
        title="LSF",
        submit="bsub",
        listing="bjobs",
        unfinished=("bjobs", "-w", "-J", "{name}"),
        none_unfinished=r"is not found|No unfinished job|No job found",
        cancel="bkill -J {name} 0 || true",
        example="-R select[type==any]",
        reserved={
            "-J": "",
            "-o": "",
            "-e": "",
            "-q": "--partition",
            "-P": "--account",
            "-W": "--time",
            "-M": "--job-memory",
            "-n": "--job-cores",
        },
    ),
    "sge": Queue(
        title="SGE",
        submit="qsub",
        listing="qstat",
        unfinished=("qstat",),
        cancel="qdel {name} || true",
        own=("parallel_environment", "memory_resource"),
        example="-l arch=lx-amd64",
        reserved={
            "-N": "",
            "-o": "",
            "-e": "",
            "-j": "",
            "-t": "",
            "-pe": "--parallel-environment",
            "-q": "--partition",
            "-P": "--account",
        },
    ),
    "htcondor": Queue(
        title="HTCondor",
        submit="condor_submit",
        listing="condor_q",
        unfinished=(
            "condor_q",
            "-constraint",
            'JobBatchName == "{name}" && JobStatus != 3 && JobStatus != 4',  # removed, completed
            "-autoformat",
            "ClusterId",
        ),
        cancel="condor_rm -constraint 'JobBatchName == \"{name}\"' || true",
        lacks=("partition", "time"),
        own=("job_disk",),
        directive=r"\+?[A-Za-z][\w.]*\s*=[^\n\r]+",
        example='requirements = (Arch == "X86_64")',
        reserved={
            **dict.fromkeys(
                ("batch_name", "output", "error", "log", "executable", "arguments"), ""
            ),
            "requestcpus": "--job-cores",
            "request_cpus": "--job-cores",
            "requestmemory": "--job-memory",
            "request_memory": "--job-memory",
            "requestdisk": "--job-disk",
            "request_disk": "--job-disk",
            "accounting_group": "--account",
        },
    ),
}
# Fields of `JobOptions` that only some queues have, with the titles of these.
OWN_FIELDS: Final[Mapping[str, str]] = {
    name: queue.title for queue in QUEUES.values() for name in queue.own
}
