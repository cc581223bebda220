"""Runs of the export command in processes of their own, and the signals that kill them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import psutil

from benchmarks.shared.processes import TELLING_COMMAND

TIMEOUT = 300  # seconds for a run
TARGETS = ("group", "all", "main", "worker")  # which processes a kill ends


class Run:
    """One run of the command, in its own session.

    Parameters
    ----------
    folder
        Everything that the run writes is below it, so that its workers can be found.
    """

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._lines: list[str] = []
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            [*TELLING_COMMAND, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line.rstrip())

    @property
    def output(self) -> str:
        """What the run has printed so far."""
        return "\n".join(self._lines)

    def list_workers(self) -> list[psutil.Process]:
        """List the worker processes of the run; each has its own session."""
        with suppress(psutil.NoSuchProcess):
            return [
                child
                for child in psutil.Process(self.process.pid).children()
                if child.status() != psutil.STATUS_ZOMBIE
            ]
        return []

    def wait_until(self, is_reached: Callable[[], bool]) -> bool:
        """Wait for a condition; False if the run ends before."""
        while not is_reached():
            if self.process.poll() is not None:
                return False
            if time.monotonic() - self._start > TIMEOUT:
                raise click.ClickException(f"a run does not end:\n{self.output}")
            time.sleep(0.001)
        return self.process.poll() is None

    def kill(self, target: str, rng: random.Random) -> bool:
        """Kill one of `TARGETS`; False if no process is left to kill."""
        workers = self.list_workers()
        if target == "worker":
            victims = [rng.choice(workers)] if workers else []
        else:
            victims = workers if target == "all" else []
            with suppress(ProcessLookupError):
                if self.process.poll() is None:
                    (os.kill if target == "main" else os.killpg)(self.process.pid, signal.SIGKILL)
        kill_processes(victims)
        return bool(victims) or target != "worker"

    def wait(self) -> int:
        """Wait for the end of the run and return its exit code."""
        try:
            code = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise click.ClickException(f"a run does not end:\n{self.output}") from None
        finally:
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()
        return code


def kill_processes(processes: list[psutil.Process]) -> None:
    """Kill processes; those that have ended are skipped."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def find_processes(folder: Path) -> list[psutil.Process]:
    """Find the processes whose command line names `folder`: workers whose run is dead."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in w for w in process.cmdline()):
                found.append(process)
    return found
