"""Run a command and watch the memory of all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL = 0.05  # seconds between samples
READ = 1 << 24


class CommandError(Exception):
    """A command failed or took too long."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took.

    Parameters
    ----------
    seconds
        From its start to its end, the interpreter's start included.
    peak_bytes
        Most resident memory summed over it and all its descendants at one moment; a page shared
        by two processes counts twice.
    """

    seconds: float
    peak_bytes: int


def summed_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants, without those that have just ended."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += member.memory_info().rss
    return total


def warm(path: Path) -> None:
    """Read a file so that it is in the page cache, and let earlier writes reach the disk."""
    os.sync()
    with path.open("rb", buffering=0) as file:
        while file.read(READ):
            pass


def run(command: Sequence[str], log: Path, *, timeout: float) -> Measured:
    """Run a command in a session of its own, its output in `log`.

    Raises
    ------
    CommandError
        It ended with another code than 0, with the end of its output, or passed `timeout` seconds.
    """
    peak = 0
    start = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process = psutil.Process(child.pid)
            while child.poll() is None:
                peak = max(peak, summed_memory(process))
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
    return Measured(seconds, peak)
