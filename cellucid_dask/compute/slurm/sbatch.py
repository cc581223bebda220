"""Run the programs of SLURM, and write what they read: options, sizes, log patterns, variables."""

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

ANSWER_SECONDS = 30  # after which a program of SLURM counts as silent
MAX_PROGRAMS = 8  # programs of SLURM that run at a time
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
FIX_OPTIONS = (
    "change --partition, --account, --time, --job-memory, --job-cores or --slurm-directive"
)
BAD_CHARACTERS = "a quote, a backslash or a line break"  # not possible in a batch script


# --------------------------------------------------------------------------- what they read


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


def slurm_environment(options: SlurmOptions) -> dict[str, str]:
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


# --------------------------------------------------------------------------- what they print


class ProgramError(Exception):
    """A program does not answer, cannot be run, or fails; the text is one line."""


class SilentError(ProgramError):
    """A program does not answer."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} does not answer within {ANSWER_SECONDS} s")


def join_lines(text: str) -> str:
    """Return what a program printed, or the text of an error, as one line."""
    lines = [re.sub(r"^\w+: (error: )?", "", line).strip() for line in text.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))[:300]


def _raise_failure(program: str, code: int | None, printed: str) -> None:
    if code:
        raise ProgramError(join_lines(printed) or f"{program} ended with {code}")


def run_program(*words: str, env: Mapping[str, str]) -> str:
    """Run a program, wait, and return what it prints.

    Parameters
    ----------
    env
        Its environment.

    Raises
    ------
    ProgramError
        When it does not answer, or fails.
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
    _raise_failure(words[0], done.returncode, done.stderr)
    return done.stdout


class Programs:
    """Runs programs of SLURM concurrently, a few at a time.

    Parameters
    ----------
    env
        Their environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._slots = asyncio.Semaphore(MAX_PROGRAMS)

    async def ask(self, *words: str) -> str:
        """Run a program and return what it prints.

        Raises as `run_program` does, and leaves no program running.
        """
        async with self._slots:
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
        _raise_failure(words[0], process.returncode, err.decode(errors="replace"))
        return out.decode(errors="replace")
