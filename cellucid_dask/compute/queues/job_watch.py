"""Tell what a run waits for on other queues than SLURM, and ask again for jobs that are lost."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

from cellucid_dask.compute.cluster import Failure
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.queues.job_logs import cause_lines
from cellucid_dask.compute.queues.jobs import WorkerJobs
from cellucid_dask.compute.queues.programs import ProgramError, Programs
from cellucid_dask.errors import EngineError
from cellucid_dask.options.queues import Queue

POLL_SECONDS = 1.0
SLOW_SECONDS = 30.0  # without a worker, after which the run says what it waits for
REPEAT_SECONDS = 600.0  # after which it says so again
RETRY_SECONDS = 30.0  # after which a refused job is asked for again, while others work
LIST_SECONDS = 10.0  # between two lists of the queue
GONE_SECONDS = 15.0  # a job is over when it is not listed for so long: a list may be wrong once
MAX_FAILED_JOBS = 3  # in a row, which end before a worker of theirs connects


async def list_jobs(queue: Queue, name: str, programs: Programs) -> set[str]:
    """Return the numbers of the jobs of a name, and perhaps of others, that have not ended.

    Raises
    ------
    ProgramError
        When the queue does not answer.
    """
    words = [word.replace("{name}", name) for word in queue.unfinished]
    try:
        text = await programs.ask(*words)
    except ProgramError as error:
        if re.search(queue.none_unfinished, str(error)):
            return set()
        raise
    return set(re.findall(r"^\s*(\d+)", text, re.MULTILINE))


class JobWatch:
    """Asks again for jobs that the queue refuses or loses, or ends the run.

    A job that ends before its worker connects looks to dask like one that waits. So while workers
    are missing, the list of the queue is compared with that of the cluster. If the queue does not
    answer, the user is told where to look.

    Parameters
    ----------
    cluster
        Cluster of dask-jobqueue.
    name, folder
        Name of its jobs, and the folder of their output.
    failure
        Receives the error when no worker can come.
    """

    def __init__(
        self,
        cluster: Any,
        jobs: WorkerJobs,
        name: str,
        folder: Path,
        *,
        programs: Programs,
        reporter: Reporter,
        failure: Failure,
    ) -> None:
        self._cluster, self._jobs, self._name, self._folder = cluster, jobs, name, folder
        self._programs, self._reporter, self._failure = programs, reporter, failure
        self._ended = False
        self._next_word = SLOW_SECONDS
        self._retry_at: float | None = None
        self._connected: set[str] = set()  # jobs with a worker that connected
        self._unlisted: dict[str, float] = {}  # since when a job is not in the list
        self._listed_at = 0.0
        self._n_failed = 0

    def stop(self) -> None:
        """Stop watching."""
        self._ended = True

    async def run(self) -> None:
        """Watch until `stop`, or until no worker can come."""
        began = self._listed_at = time.monotonic()
        while not self._ended and not self._failure.done():
            await asyncio.sleep(POLL_SECONDS)
            here = set(map(self._jobs.job_of, self._cluster.scheduler.workers.values()))
            if here:
                began, self._next_word = time.monotonic(), SLOW_SECONDS
            if not self._connected >= here:
                self._connected |= here
                self._n_failed = 0
            self._drop_refused()
            await self._drop_ended()
            if self._retry_at is not None and time.monotonic() >= self._retry_at:
                self._retry_at = None
                await self._cluster  # submits the missing jobs of its list
            self._report(time.monotonic() - began)

    def _drop_refused(self) -> None:
        """Take refused jobs from the list of the cluster; end the run if there is no other job."""
        cluster, queue = self._cluster, self._jobs.options.queue
        refused = {job: entry for job, entry in dict(cluster.workers).items() if entry.refused}
        for job in refused:
            del cluster.workers[job]
        if not refused:
            return
        what = f"{queue.submit} refused the job ({next(iter(refused.values())).refused})"
        if cluster.scheduler.workers or cluster.workers:
            self._reporter.say(f"{what}; asks again in {RETRY_SECONDS:.0f} s")
            self._retry_at = time.monotonic() + RETRY_SECONDS
        else:
            self._fail(
                what, f"change the options of the job; {queue.listing} lists those that wait"
            )

    async def _drop_ended(self) -> None:
        """Take jobs from the list of the cluster that ended before a worker of theirs connected."""
        cluster = self._cluster
        waiting = {
            job: entry
            for job, entry in dict(cluster.workers).items()
            if job not in self._connected and getattr(entry, "job_id", None)
        }
        if not waiting or time.monotonic() - self._listed_at < LIST_SECONDS:
            return
        try:
            listed = await list_jobs(self._jobs.options.queue, self._name, self._programs)
        except ProgramError:
            self._unlisted.clear()  # `_report` tells the user where to look
            return
        finally:
            self._listed_at = time.monotonic()
        for job, entry in waiting.items():
            if self._has_ended(str(entry.job_id), listed) and cluster.workers.get(job) is entry:
                await entry.close()  # first: the cluster raises if it ends with an open one
                cluster.workers.pop(job, None)
                self._count_failure(str(entry.job_id))
                self._retry_at = time.monotonic()

    def _has_ended(self, number: str, listed: set[str]) -> bool:
        if number.partition(".")[0] in listed:
            self._unlisted.pop(number, None)
            return False
        now = time.monotonic()
        return now - self._unlisted.setdefault(number, now) >= GONE_SECONDS

    def _count_failure(self, number: str) -> None:
        """Tell of a job that ended; end the run if others would end like it."""
        self._n_failed += 1
        lines = cause_lines(sorted(self._folder.glob(f"*{number.partition('.')[0]}*")))
        last = f"; the last line of its output: {lines[-1]}" if lines else ""
        if self._n_failed < MAX_FAILED_JOBS or self._cluster.scheduler.workers:
            what = f"job {number} has ended before its worker came{last}"
            self._reporter.say(f"{what}; asks for another in its place")
            return
        what = f"{self._n_failed} jobs ended before their workers came{last}"
        fix = (
            f"see that the nodes have the Python of this environment, and the folder {self._folder}"
        )
        self._fail(what, fix)

    def _fail(self, what: str, fix: str) -> None:
        if not self._failure.done():
            error = EngineError(what, where=self._jobs.options.option, fix=fix)
            self._failure.set_exception(error)

    def _report(self, waited: float) -> None:
        if waited >= self._next_word:
            self._next_word = waited + REPEAT_SECONDS
            listing = self._jobs.options.queue.listing
            text = f"no worker has come yet; {listing!r} tells whether its jobs wait or have ended"
            self._reporter.say(text)
