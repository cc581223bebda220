"""The queue beside the list of jobs that a cluster keeps: what is gone is asked for again."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellucid_dask.compute.cluster import Failure
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.slurm.jobs import WorkerJobs
from cellucid_dask.compute.slurm.sbatch import CHANGE, ProgramError, Programs, SilentError
from cellucid_dask.errors import EngineError

FUTILE = 3  # jobs in a row that end before a worker of theirs has come: something is wrong
SOON, LATE = 1.0, 30.0  # seconds between two looks at the queue, while something is missing
GONE = 4.0  # seconds that a job is not in the queue: an answer of squeue may be old, or wrong
SLOW = 10.0  # seconds of waiting after which jobs that run without a worker are told of
AGAIN = 600.0  # seconds after which a line is said again
UNREACHED = re.compile(r"Timed out (?:trying|during|starting)|Connect call failed|unreachable")
TELLING = re.compile(r"rror\b|Exception|imed out|slurmstepd|No such file|not found|WARNING")


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


async def queue(name: str, programs: Programs) -> dict[str, Queued]:
    """WorkerJobs of this name that have not ended, by their number.

    Raises
    ------
    ProgramError
        When squeue does not answer.
    """
    text = await programs.ask("squeue", "--noheader", f"--name={name}", "--format=%i|%T|%r")
    rows = [line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return {row[0]: Queued(row[1], row[2]) for row in rows}


class Watch:
    """Replaces jobs that are gone, and says what is waited for; in the loop of the cluster.

    The queue is asked only while workers are missing, and ever more seldom.

    Parameters
    ----------
    cluster
        Of dask-jobqueue.
    name, log
        Of its jobs: their name, and the pattern of the files of their output.
    failure
        Is given the error when no workers can come.
    """

    def __init__(
        self,
        cluster: Any,
        jobs: WorkerJobs,
        name: str,
        log: str,
        *,
        programs: Programs,
        reporter: Reporter,
        failure: Failure,
    ) -> None:
        self._cluster, self._jobs, self._name, self._log = cluster, jobs, name, log
        self._programs, self._reporter, self._failure = programs, reporter, failure
        self._came: set[str] = set()  # jobs of which a worker has come
        self._futile = self._refusals = 0
        self._missing_since = time.monotonic()
        self._unseen: dict[str, float] = {}  # since when a job is not in the queue
        self._said: dict[str, float] = {}  # when a line was said
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
            await asyncio.sleep(min(max(SOON, missing / 10, 2.0**self._refusals - 1), LATE))
            try:
                if not self._ended:
                    await self._look()
            except SilentError as error:
                self._say(str(error))
            except ProgramError as error:
                self._say(f"squeue does not answer ({error})")
            except Exception as error:  # noqa: BLE001  it is raised where tasks are waited for
                if not self._failure.done():
                    self._failure.set_exception(error)
                return

    async def _look(self) -> None:
        cluster = self._cluster
        here = Counter(map(self._jobs.job_of, cluster.scheduler.workers.values()))
        listed = dict(cluster.workers)
        if not self._came >= here.keys():
            self._came |= here.keys()
            self._futile = 0
        absent = {job: found for job, found in listed.items() if here[job] < self._jobs.workers}
        if not absent and listed.keys() >= cluster.worker_spec.keys():
            self._missing_since = time.monotonic()
            return
        queued = await queue(self._name, self._programs)
        if self._ended:
            return
        refused = {job: found for job, found in absent.items() if found.refused}
        dead = {
            job: found
            for job, found in absent.items()
            if job not in refused and self._over(found.job_id, queued, here[job])
        }
        self._note(dead, refused, here, queued)
        for job in (*dead, *refused):
            # Its name may be asked for again: nobody must wait for what has ended.
            if cluster.workers.get(job) is listed[job]:
                del cluster.workers[job]
                await listed[job].close()
        if refused and not self._jobs.options.adaptive:
            await self._cancel_unknown(queued, listed)
        self._tell(sum(here.values()), queued)
        await cluster  # submits what is missing of its list

    def _over(self, job: str, queued: Mapping[str, Queued], n_workers: int) -> bool:
        """Whether a job has ended; SLURM may take long to clean up after one."""
        if job in queued:
            self._unseen.pop(job, None)
            return queued[job].state == "COMPLETING" and n_workers == 0
        now = time.monotonic()
        return now - self._unseen.setdefault(job, now) >= GONE

    async def _cancel_unknown(
        self, queued: Mapping[str, Queued], listed: Mapping[str, Any]
    ) -> None:
        """Cancel jobs that sbatch submitted although it said that it did not."""
        known = {found.job_id for found in listed.values()}
        unknown = [job for job, found in queued.items() if job not in known]
        if unknown:
            with suppress(ProgramError):  # at the next look it is tried again
                await self._programs.ask("scancel", *unknown)

    def _note(
        self,
        dead: Mapping[str, Any],
        refused: Mapping[str, Any],
        here: Mapping[str, int],
        queued: Mapping[str, Queued],
    ) -> None:
        """Count jobs that ended in vain.

        Raises
        ------
        EngineError
            When there is no other job, and no reason to think that another try would do.
        """
        ids = [found.job_id for found in dead.values()]
        for job, found in dead.items():
            self._say(f"job {found.job_id} has ended; asks for another in its place")
            self._futile += job not in self._came and not self._cancelled(found.job_id)
            self._came.discard(job)
        self._refusals = self._refusals + 1 if refused else 0
        if refused:
            what = next(iter(refused.values())).refused
            if not here and not queued:
                raise EngineError(f"sbatch refused the job ({what})", where="--slurm", fix=CHANGE)
            self._say(f"sbatch refuses more jobs for now ({what})")
        hopeful = queued.keys() - set(ids) and self._futile < 2 * self._jobs.number + FUTILE
        if self._futile and not here and not hopeful:
            self._refuse_vain(ids)

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
        n_running = sum(count for (state, _), count in states.items() if state == "RUNNING")
        told = [
            f"{count} {state.lower()}" + (f" ({reason})" if reason not in ("None", "") else "")
            for (state, reason), count in states.items()
            if state not in ("RUNNING", "COMPLETING")
        ]
        slow = time.monotonic() - self._missing_since > SLOW
        if slow and n_running * self._jobs.workers > n_workers:
            told.append(f"{n_running} running, of which not all workers have come")
        if told:
            text = ", ".join(told)
            self._say(f"{n_workers} of {self._jobs.slots} workers are there; jobs: {text}")

    def _say(self, text: str) -> None:
        """Say it, unless it was said not long ago."""
        now = time.monotonic()
        if now - self._said.get(text, -AGAIN) >= AGAIN:
            self._said[text] = now
            self._reporter.say(text)
