"""The queue beside the list of jobs that a cluster keeps: what is gone is asked for again."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cellucid_dask.errors import EngineError
from cellucid_dask.progress import Reporter
from cellucid_dask.slurm_jobs import ANSWER_SECONDS, CHANGE, Jobs

FUTILE = 3  # jobs in a row that end before a worker of theirs has come: something is wrong
SOON, LATE = 1.0, 30.0  # seconds between two looks at the queue, while something is missing
AGAIN = 600.0  # seconds after which a line on what is waited for is said again
UNREACHED = re.compile(r"Timed out (?:trying|during|starting)|Connect call failed|unreachable")
TELLING = re.compile(r"rror\b|Exception|imed out|slurmstepd|No such file|not found|WARNING")

Failed = Future[NoReturn]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Queued:
    """A job in the queue.

    Parameters
    ----------
    state, reason
        As squeue says them, such as ``PENDING`` and ``Priority``.
    """

    state: str
    reason: str


async def queue(name: str) -> dict[str, Queued]:
    """Jobs of this name that have not ended, by their number.

    Raises
    ------
    OSError
        When squeue does not answer.
    """
    words = ["squeue", "--noheader", f"--name={name}", "--format=%i|%T|%r"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe)
    try:
        out, err = await asyncio.wait_for(process.communicate(), ANSWER_SECONDS)
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        raise OSError(err.decode(errors="replace").strip())
    rows = [line.split("|", 2) for line in out.decode().splitlines() if line.count("|") >= 2]
    return {row[0]: Queued(row[1], row[2]) for row in rows}


def _over(found: Queued | None, n_workers: int) -> bool:
    """Whether a job has ended; SLURM may take long to clean up after one."""
    return found is None or (found.state == "COMPLETING" and n_workers == 0)


class Watch:
    """Replaces jobs that are gone, and says what is waited for; in the loop of the cluster.

    The queue is asked only while workers are missing, and ever more seldom.

    Parameters
    ----------
    cluster
        Of dask-jobqueue.
    name, log
        Of its jobs: their name, and the pattern of the files of their output.
    failed
        Is given the error when no workers can come.
    """

    def __init__(
        self, cluster: Any, jobs: Jobs, name: str, log: str, reporter: Reporter, failed: Failed
    ) -> None:
        self._cluster, self._jobs, self._name, self._log = cluster, jobs, name, log
        self._reporter, self._failed = reporter, failed
        self._came: set[str] = set()  # jobs of which a worker has come
        self._futile = 0
        self._missing_since = self._said_at = time.monotonic()
        self._said = ""
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Look no more."""
        self._ended = True
        if self._task is not None:
            self._cluster.loop.add_callback(self._task.cancel)

    async def run(self) -> None:
        """Look until it is stopped."""
        self._task = asyncio.current_task()
        while not self._ended:
            missing = time.monotonic() - self._missing_since
            await asyncio.sleep(min(max(SOON, missing / 10), LATE))
            try:
                if not self._ended:
                    await self._look()
            except (OSError, TimeoutError) as error:
                self._say(f"squeue does not answer ({error})")
            except Exception as error:  # noqa: BLE001  it is raised where tasks are waited for
                if not self._failed.done():
                    self._failed.set_exception(error)
                return

    async def _look(self) -> None:
        cluster = self._cluster
        here = Counter(map(self._job_of, cluster.scheduler.workers.values()))
        listed = dict(cluster.workers)
        if not self._came >= here.keys():
            self._came |= here.keys()
            self._futile = 0
        absent = {job: found for job, found in listed.items() if here[job] < self._jobs.workers}
        if not absent and listed.keys() >= cluster.worker_spec.keys():
            self._missing_since = time.monotonic()
            return
        queued = await queue(self._name)
        if self._ended:
            return
        refused = {job: found for job, found in absent.items() if found.refused}
        dead = {
            job: found
            for job, found in absent.items()
            if job not in refused and _over(queued.get(found.job_id), here[job])
        }
        self._note(dead, refused, working=bool(here), alive=bool(here or queued))
        for job in (*dead, *refused):
            # Its number may be asked for again: nobody must wait for what has ended.
            if cluster.workers.get(job) is listed[job]:
                del cluster.workers[job]
                await listed[job].close()
        self._tell(sum(here.values()), queued)
        await cluster  # submits what is missing of its list

    def _job_of(self, worker: Any) -> str:
        """Name of a worker's job: its own where it is the only one there."""
        name = str(worker.name)
        return name.rpartition("-")[0] if self._jobs.workers > 1 else name

    def _note(
        self, dead: Mapping[str, Any], refused: Mapping[str, Any], *, working: bool, alive: bool
    ) -> None:
        """Count jobs that ended in vain.

        Raises
        ------
        EngineError
            When there is no other job, and no reason to think that another try would do.
        """
        for job, found in dead.items():
            self._say(f"job {found.job_id} has ended; asks for another in its place")
            self._futile += job not in self._came and not self._cancelled(found.job_id)
            self._came.discard(job)
        if refused and not alive:
            what = next(iter(refused.values())).refused
            raise EngineError(f"sbatch refused the job ({what})", where="--slurm", fix=CHANGE)
        if refused:
            self._say(f"sbatch refuses more jobs for now ({next(iter(refused.values())).refused})")
        if self._futile and not working:
            self._refuse_vain([found.job_id for found in dead.values()])

    def _cancelled(self, job: str) -> bool:
        """Whether somebody ended the job: a user, or SLURM for a job of higher priority."""
        return any("CANCELLED AT" in line and "TIME LIMIT" not in line for line in self._lines(job))

    def _lines(self, job: str) -> list[str]:
        """Lines of the output of a job that may say why it ended."""
        with suppress(OSError):
            folder, _, ending = self._log.rpartition("%j")
            file = Path(f"{folder}{job}{ending}".replace("%%", "%"))
            lines = file.read_text("utf-8", "replace").splitlines()
            return [line.strip()[:300] for line in lines if TELLING.search(line)]
        return []

    def _refuse_vain(self, ids: list[str]) -> None:
        """Raise, by what is in the output of jobs that ended, when others would end alike."""
        lines = [line for job in ids for line in self._lines(job)]
        last = f"; the last line of their output: {lines[-1]}" if lines else ""
        if any(map(UNREACHED.search, lines)):
            address = self._cluster.scheduler_address
            what = f"the nodes do not reach the scheduler at {address}{last}"
            fix = "name a network interface that the nodes reach, with --interface"
            raise EngineError(what, where="--slurm", fix=fix)
        if self._futile >= FUTILE:
            what = f"{self._futile} jobs ended before their workers came{last}"
            folder = Path(self._log).parent
            fix = f"see that the nodes have the Python of this environment, and the folder {folder}"
            raise EngineError(what, where="--slurm", fix=fix)

    def _tell(self, n_workers: int, queued: Mapping[str, Queued]) -> None:
        states = Counter((found.state, found.reason) for found in queued.values())
        listed = ", ".join(
            f"{count} {state.lower()}" + (f" ({reason})" if reason not in ("None", "") else "")
            for (state, reason), count in states.items()
            if state not in ("RUNNING", "COMPLETING")
        )
        if listed:
            self._say(f"{n_workers} of {self._jobs.slots} workers are there; jobs: {listed}")

    def _say(self, text: str) -> None:
        """Say it, unless it was just said."""
        now = time.monotonic()
        if text != self._said or now - self._said_at > AGAIN:
            self._said, self._said_at = text, now
            self._reporter.say(text)
