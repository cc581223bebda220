"""A real SLURM for tests: jobs are submitted, waited for, and looked at.

One instance serves all test processes. It is started when the first test asks for it, and ended
with the session by the process that pytest was started as; see ``conftest.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

STARTER = Path(__file__).parents[2] / "shared" / "slurm-local.sh"
FOLDER = "CELLUCID_TEST_SLURM"  # variable with the folder of the instance of this session
OWNER = "CELLUCID_TEST_SLURM_OWNER"  # number of the process that chose it
NONE = "no SLURM: "  # how reasons of skipped tests begin
POLL = 0.5  # seconds between two questions, each of which starts a program
PATIENCE = 600  # seconds; jobs of other tests may have the memory that one waits for
OVER = ("CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")


class NoSlurmError(Exception):
    """There is no SLURM here; says why."""


def call(*words: object, seconds: float = 240) -> str:
    """What a command prints; fails with what it says when it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
    return done.stdout


# ------------------------------------------------------------------- the instance of a session


def reserve() -> None:
    """Choose the folder of an instance, for this process and those that it starts."""
    if STARTER.is_file() and FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="slurm-")
        os.environ[OWNER] = str(os.getpid())


def start() -> Slurm:
    """Have a SLURM: one of this session, else the one that is there.

    Raises
    ------
    NoSlurmError
        When there is none, and none can be started.
    """
    if FOLDER in os.environ:
        words = ["bash", str(STARTER), "start", os.environ[FOLDER]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise NoSlurmError(f"it cannot be started ({last})")
        os.environ["SLURM_CONF"] = str(Path(os.environ[FOLDER], "slurm.conf"))
    elif shutil.which("sbatch") is None:
        raise NoSlurmError("there is no sbatch")
    try:
        call("sinfo", "-h")
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        raise NoSlurmError(f"sinfo does not answer ({error})") from error
    return Slurm()


def end() -> None:
    """Cancel all jobs of the instance of this session and end it; nothing of it stays.

    Only the process that chose the folder does: tests start pytest themselves, and those processes
    end while others still use it.
    """
    if os.environ.get(OWNER) != str(os.getpid()):
        return
    del os.environ[OWNER]
    folder = os.environ.pop(FOLDER)
    if Path(folder, "slurm.conf").exists():
        words = ["bash", str(STARTER), "clean", folder]
        subprocess.run(words, capture_output=True, timeout=120, check=False)
    shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------------- jobs


class Slurm:
    """A SLURM that answers; jobs are known by their numbers, as text."""

    def submit(self, script: Path, *arguments: object, cwd: Path, **options: object) -> str:
        """Submit a script from the folder `cwd`; ``mem="1G"`` stands for ``--mem=1G``."""
        given = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
        return call("sbatch", "--parsable", f"--chdir={cwd}", *given, script, *arguments).strip()

    def jobs(self, folder: Path | None = None) -> list[str]:
        """Numbers of the jobs in the queue; of those submitted in `folder` or below."""
        found = [line.split("\t") for line in call("squeue", "-h", "-o", "%i\t%Z").splitlines()]
        return [job for job, at in found if folder is None or Path(at).is_relative_to(folder)]

    def details(self, job: str) -> dict[str, str]:
        """What SLURM knows of a job, such as its JobState, Reason, ExitCode and Restarts."""
        told = call("scontrol", "show", "job", "-o", job).splitlines()[0]
        return dict(word.split("=", 1) for word in told.split() if "=" in word)

    def state(self, job: str) -> str:
        """State of a job, with the reason when there is one: ``PENDING (Resources)``."""
        found = self.details(job)
        reason = "" if found["Reason"] == "None" else f" ({found['Reason']})"
        return found["JobState"] + reason

    def log(self, job: str) -> str:
        """What a job has printed."""
        told = call("scontrol", "show", "job", job)
        path = Path(next(line for line in told.splitlines() if "StdOut=" in line).split("=", 1)[1])
        return path.read_text() if path.exists() else ""

    def wait(
        self, job: str, states: Collection[str] = ("COMPLETED",), seconds: float = PATIENCE
    ) -> None:
        """Wait until a job has one of `states`; fails when it ends with another one."""
        limit = time.monotonic() + seconds
        while (found := self.details(job))["JobState"] not in states:
            if found["JobState"] in OVER or time.monotonic() > limit:
                told = f"{job} is {self.state(job)}, exit code {found['ExitCode']}"
                raise AssertionError(f"within {seconds} s {told}\n{self.log(job)}")
            time.sleep(POLL)

    def wait_for(self, job: str, text: str, seconds: float = PATIENCE) -> str:
        """Wait until a job has printed `text`, and return all that it has printed."""
        limit = time.monotonic() + seconds
        while text not in (printed := self.log(job)):
            assert time.monotonic() < limit, f"{job} is {self.state(job)}\n{printed}"
            time.sleep(POLL)
        return printed

    def signal(self, job: str, number: signal.Signals) -> None:
        """Send a signal to the batch script, as SLURM does before the end of the time."""
        call("scancel", f"--signal={number.name.removeprefix('SIG')}", "--batch", job)

    def cancel(self, *jobs: str) -> None:
        """Cancel jobs; those that have ended are left as they are."""
        if jobs:
            call("scancel", *jobs)
