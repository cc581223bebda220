"""The programs of SLURM, and what they take: options, sizes, patterns of logs, variables."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cellucid_dask.compute.machine import MiB
from cellucid_dask.options.slurm import SlurmOptions

ANSWER_SECONDS = 30  # after which SLURM is taken not to answer
AT_ONCE = 8  # programs of SLURM that run at a time
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
KEPT = (  # variables of sbatch that say what belongs to the user, not to the job
    "SBATCH_ACCOUNT",
    "SBATCH_CONSTRAINT",
    "SBATCH_EXPORT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_RESERVATION",
)
CHANGE = "change --partition, --account, --time, --job-memory, --job-cores or --slurm-directive"
UNHELD = "a quote, a backslash or a line break"  # what no line of a batch script can hold


# --------------------------------------------------------------------------- what they take


def long_name(option: str) -> str:
    """Name of an option that is written as sbatch takes it; empty when it is none."""
    found = re.match(r"--[\w-]+|-\w", option)
    return SHORT.get(found[0], found[0]) if found else ""


def directive(option: str) -> str:
    """As a line of a script has it, where a value with spaces must be quoted."""
    if re.search(r"\s--\w", option):
        return option  # more than one
    return re.sub(r"^(--[\w-]+=)([^\"']*\s[^\"']*)$", r'\1"\2"', option)


def mebibytes(size: int) -> str:
    """Bytes as SLURM takes them, whose M are MiB; rounded up."""
    return f"{-(-size // MiB)}M"


def log_folder(path: str | os.PathLike[str]) -> str:
    """A folder in the pattern of a log, where % stands for something."""
    return str(Path(path).absolute()).replace("%", "%%")


def is_held(path: str | os.PathLike[str]) -> bool:
    """Whether a line of a batch script can hold the path."""
    return re.search(r"[\"\\\n\r]", str(path)) is None


def environment(options: SlurmOptions) -> dict[str, str]:
    """Environment for the programs of SLURM: variables there win over what a script says."""
    defaults = {"SBATCH_ACCOUNT": options.account, "SBATCH_PARTITION": options.partition}
    left = {name for name in KEPT if defaults.get(name) is None}
    return {
        name: value
        for name, value in os.environ.items()
        if name in left or not name.startswith(("SBATCH_", "SQUEUE_", "SCANCEL_"))
    }


# --------------------------------------------------------------------------- what they answer


class ProgramError(Exception):
    """A program that does not answer, cannot be run, or says no; in one line."""


class SilentError(ProgramError):
    """A program that does not answer."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} does not answer within {ANSWER_SECONDS} s")


def said(text: str) -> str:
    """What a program printed, or an error says, in one line."""
    lines = [re.sub(r"^\w+: (error: )?", "", line).strip() for line in text.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))[:300]


def _refuse(program: str, code: int | None, printed: str) -> None:
    if code:
        raise ProgramError(said(printed) or f"{program} ended with {code}")


def ask_now(*words: str, env: Mapping[str, str]) -> str:
    """Run a program and wait for what it prints.

    Parameters
    ----------
    env
        Its environment.

    Raises
    ------
    ProgramError
        When it does not answer, or says no.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
            env=env,
        )
    except subprocess.TimeoutExpired:
        raise SilentError(words[0]) from None
    except OSError as error:
        raise ProgramError(str(error)) from error
    _refuse(words[0], done.returncode, done.stderr)
    return done.stdout


class Programs:
    """Runs programs of SLURM beside all else, a few at a time.

    Parameters
    ----------
    env
        Their environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, *words: str) -> str:
        """Run a program; what it prints. Raises as `ask_now` does, and leaves none running."""
        async with self._turns:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=self._env,
                )
            except OSError as error:
                raise ProgramError(str(error)) from error
            try:
                out, err = await asyncio.wait_for(process.communicate(), ANSWER_SECONDS)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    process.kill()
                if isinstance(error, TimeoutError):
                    raise SilentError(words[0]) from None
                raise
        _refuse(words[0], process.returncode, err.decode(errors="replace"))
        return out.decode(errors="replace")
