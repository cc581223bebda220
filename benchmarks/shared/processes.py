"""Run a command and measure the memory of all its processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL = 0.05  # seconds between samples
READ_BYTES = 1 << 24


class CommandError(Exception):
    """A command failed or took too long."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used.

    Parameters
    ----------
    seconds
        From its start to its end, the start of the interpreter included.
    peak_bytes
        Largest sample of the resident memory of it and its descendants; a page that two
        processes share counts twice.
    cpu_seconds
        CPU time of it and of those descendants that were waited for.
    """

    seconds: float
    peak_bytes: int
    cpu_seconds: float


# The command, which prints a line at the end of each stage, also of those that took no second.
TELLING_COMMAND = (
    sys.executable,
    "-c",
    """
from cellucid_dask.commands.main import main
from cellucid_dask.compute import progress
progress.SHORT_SECONDS = 0.0
main()
""",
)


def sum_memory(process: psutil.Process) -> int:
    """Sum the resident bytes of a process and its descendants; those that just ended count 0."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += member.memory_info().rss
    return total


def read_into_cache(path: Path) -> None:
    """Read a file, or all files of a folder, into the page cache; write out earlier changes."""
    os.sync()
    for file_path in [path] if path.is_file() else path.rglob("*"):
        if file_path.is_file():
            with file_path.open("rb", buffering=0) as file:
                while file.read(READ_BYTES):
                    pass


def count_bytes(folder: Path) -> int:
    """Sum the bytes of all files below a folder, or those of a file."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def count_cpu_seconds() -> float:
    """Return the CPU time of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_command(
    command: Sequence[str],
    log: Path,
    *,
    timeout: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run a command in its own session, its output in `log`.

    Parameters
    ----------
    folder
        Where it runs; None is the current folder.
    environment
        Variables to set, besides those of this process.

    Raises
    ------
    CommandError
        The exit code is not 0, with the end of the output, or it ran for over `timeout` seconds.
    """
    peak = 0
    cpu_seconds = count_cpu_seconds()
    start = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process = psutil.Process(child.pid)
            while child.poll() is None:
                peak = max(peak, sum_memory(process))
                if time.perf_counter() - start > timeout:
                    raise CommandError(f"no end after {timeout:.0f} s: {' '.join(command)}")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(INTERVAL)
            seconds = time.perf_counter() - start
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if child.returncode:
        tail = log.read_text(errors="replace")[-3000:]
        raise CommandError(f"exit code {child.returncode}: {' '.join(command)}\n{tail}")
    return Usage(seconds, peak, count_cpu_seconds() - cpu_seconds)
