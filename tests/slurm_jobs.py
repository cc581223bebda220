"""What tests of SLURM jobs share: jobs, commands that submit them, tasks that wait, the queue."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from atlas import Outcome, tree
from scenes import FACTS, Launcher, Started
from slurm_local import PATIENCE, call

from cellucid_dask.compute.queues.jobs import WorkerJobs, plan_jobs
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions

PYTHON = shlex.quote(sys.executable)


def until(reached: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a moment, and return what was waited for."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, f"it never came to that: {what}"
        time.sleep(0.2)
    return found


def jobs_for(workers: int = 2, **slurm: Any) -> WorkerJobs:
    return plan_jobs(RunOptions(workers=workers, jobs=JobOptions(**slurm)))


def option(text: str, name: str) -> str:
    """Value of an option in the script of a job."""
    found = re.search(rf"{name}[ =](\S+)", text)
    assert found is not None, f"no {name} in {text}"
    return found[1]


def waiting_task() -> Callable[..., tuple[int, int]]:
    """Task that notes each time it begins and then waits for a file; goes to workers as text."""

    def work(notes: str, gate: str | None, number: int) -> tuple[int, int]:
        import time
        from pathlib import Path

        with Path(notes).open("a") as file:
            file.write(f"{number}\n")
        while gate is not None and not Path(gate).exists():
            time.sleep(0.02)
        return number, os.getpid()

    return work


def count_starts(notes: Path) -> Counter[int]:
    """How often each task began."""
    return Counter(map(int, notes.read_text().split())) if notes.exists() else Counter()


def results_of(futures: list[Future[Any]], seconds: float = PATIENCE) -> list[Any]:
    """Results of all, in their order."""
    assert not wait(futures, timeout=seconds).not_done, "tasks do not end"
    return [future.result() for future in futures]


def setup_lines(config: dict[str, Any] | None = None, **variables: object) -> str:
    """Lines that a command runs first: settings of dask, and variables of the environment.

    Variables go to the jobs as well.
    """
    given = {name: str(value) for name, value in variables.items()}
    named = {f"jobqueue.slurm.{name}": value for name, value in (config or {}).items()}
    return f"import os, dask\nos.environ.update({given!r})\ndask.config.set({named!r})\n"


def program(path: Path, text: str) -> Path:
    """Write a program of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


class Gate:
    """A folder for PYTHONPATH by which workers halt before they put the first gene in place."""

    TEXT = """
import os, sys, time
def hook(event, arguments):
    if event == "os.rename" and "/var/" in os.fspath(arguments[1]).partition("/export-")[2]:
        open({reached!r}, "a").close()
        while not os.path.exists({open!r}):
            time.sleep(0.05)
sys.addaudithook(hook)
"""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self._reached, self._open = folder, folder / "reached", folder / "open"
        text = self.TEXT.format(reached=str(self._reached), open=str(self._open))
        (folder / "sitecustomize.py").write_text(text)

    def reached(self) -> bool:
        return self._reached.exists()

    def open(self) -> None:
        self._open.touch()


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def begin(
    launcher: Launcher,
    place: Path,
    data: Path,
    *more: object,
    first: str = "",
    workers: int = 1,
    memory: str | None = "1GiB",
) -> Started:
    """Start an export by jobs; `place` is its own, by which its jobs are known."""
    words = ["export", data, "-o", "out", "--slurm", "--workers", workers, *FACTS]
    size = () if memory is None else ("--job-memory", memory)
    return launcher.start(*words, *size, *more, cwd=place, first=first)


def live_jobs(place: Path) -> list[str]:
    """Jobs that were submitted in `place` or below and have not ended."""
    listed = call("squeue", "-h", "-t", "PENDING,RUNNING,CONFIGURING", "-o", "%i\t%Z")
    rows = [line.split("\t") for line in listed.splitlines()]
    return [job for job, at in rows if Path(at).is_relative_to(place)]


def wait_for_jobs(place: Path, count: int) -> list[str]:
    """Jobs that were submitted in `place`, once there are as many as that."""
    until(lambda: len(live_jobs(place)) >= count, f"{count} jobs of {place.name}")
    jobs = live_jobs(place)
    assert len(jobs) == count
    return jobs


def job_script(job: str) -> str:
    """Script of a job."""
    return call("scontrol", "write", "batch_script", job, "-")


def find_processes(word: str) -> list[psutil.Process]:
    """Processes whose command line names `word`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(word in text for text in process.cmdline()):
                found.append(process)
    return found


def assert_refused(outcome: Outcome, place: Path, *lines: str) -> None:
    """The command names the problem and writes nothing."""
    assert outcome.code == 2, outcome.err
    assert "Traceback" not in outcome.err
    for line in lines:
        assert line in outcome.err
    assert tree(place) == {}
