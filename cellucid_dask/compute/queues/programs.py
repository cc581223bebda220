"""Run the programs of a batch queue, such as sbatch and qsub."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress

ANSWER_SECONDS = 30  # after which a program counts as silent
MAX_PROGRAMS = 8  # programs that run at a time


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
    """Runs programs of a queue concurrently, a few at a time.

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
