"""What the programs of SLURM read: options, sizes, log patterns, variables."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cellucid_dask.compute.machine import MiB
from cellucid_dask.options.jobs import JobOptions

SHORT = {
    "-A": "--account",
    "-a": "--array",
    "-c": "--cpus-per-task",
    "-e": "--error",
    "-J": "--job-name",
    "-M": "--clusters",
    "-N": "--nodes",
    "-n": "--ntasks",
    "-o": "--output",
    "-p": "--partition",
    "-Q": "--quiet",
    "-t": "--time",
    "-W": "--wait",
}
USER_VARIABLES = (  # variables of sbatch about the user, not about the job
    "SBATCH_ACCOUNT",
    "SBATCH_CONSTRAINT",
    "SBATCH_EXPORT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_RESERVATION",
)
FIX_OPTIONS = "change --partition, --account, --time, --job-memory, --job-cores or --directive"
BAD_CHARACTERS = "a quote, a backslash or a line break"  # not possible in a batch script
BAD_CHARACTERS_OR_SPACE = "a space, a quote, a backslash or a line break"  # nor without quotes


def long_name(option: str) -> str:
    """Return the long name of an option of sbatch; empty when `option` is not one."""
    found = re.match(r"--[\w-]+|-\w", option)
    return SHORT.get(found[0], found[0]) if found else ""


def quote_directive(option: str) -> str:
    """Return an option as a line of a script needs it: a value with spaces is quoted."""
    if re.search(r"\s--\w", option):
        return option  # more than one
    return re.sub(r"^(--[\w-]+=)([^\"']*\s[^\"']*)$", r'\1"\2"', option)


def format_mebibytes(size: int) -> str:
    """Return a size in bytes as SLURM reads it, rounded up; its M is MiB."""
    return f"{-(-size // MiB)}M"


def escape_log_folder(path: str | os.PathLike[str]) -> str:
    """Return a folder as a part of a log pattern, where % has a meaning."""
    return str(Path(path).absolute()).replace("%", "%%")


def fits_in_script(path: str | os.PathLike[str]) -> bool:
    """Whether a line of a batch script can contain the path."""
    return re.search(r"[\"\\\n\r]", str(path)) is None


def slurm_environment(options: JobOptions) -> dict[str, str]:
    """Return the environment for the programs of SLURM.

    Their variables override the options in a script, so most of them are removed.
    """
    defaults = {"SBATCH_ACCOUNT": options.account, "SBATCH_PARTITION": options.partition}
    allowed = {name for name in USER_VARIABLES if defaults.get(name) is None}
    return {
        name: value
        for name, value in os.environ.items()
        if name in allowed or not name.startswith(("SBATCH_", "SQUEUE_", "SCANCEL_"))
    }
