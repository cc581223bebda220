"""Tell what a run waits for on a queue that cannot be compared with the list of its jobs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cellucid_dask.compute.cluster import Failure
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.queues.jobs import WorkerJobs
from cellucid_dask.errors import EngineError

POLL_SECONDS = 1.0
SLOW_SECONDS = 30.0  # without a worker, after which the run says what it waits for
REPEAT_SECONDS = 600.0  # after which it says so again
RETRY_SECONDS = 30.0  # after which a refused job is asked for again, while others work


class RefusalWatch:
    """Asks again for jobs that the queue refuses, or ends the run; says when no worker comes.

    A job that ends before its worker connects looks like one that waits: the user is told where to
    look.

    Parameters
    ----------
    cluster
        Cluster of dask-jobqueue.
    failure
        Receives the error when no worker can come.
    """

    def __init__(
        self, cluster: Any, jobs: WorkerJobs, *, reporter: Reporter, failure: Failure
    ) -> None:
        self._cluster, self._jobs = cluster, jobs
        self._reporter, self._failure = reporter, failure
        self._ended = False
        self._next_word = SLOW_SECONDS
        self._retry_at: float | None = None

    def stop(self) -> None:
        """Stop watching."""
        self._ended = True

    async def run(self) -> None:
        """Watch until `stop`, or until no worker can come."""
        began = time.monotonic()
        while not self._ended and not self._failure.done():
            await asyncio.sleep(POLL_SECONDS)
            if self._cluster.scheduler.workers:
                began, self._next_word = time.monotonic(), SLOW_SECONDS
            self._drop_refused()
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
        elif not self._failure.done():
            fix = f"change the options of the job; {queue.listing} lists those that wait"
            error = EngineError(what, where=self._jobs.options.option, fix=fix)
            self._failure.set_exception(error)

    def _report(self, waited: float) -> None:
        if waited >= self._next_word:
            self._next_word = waited + REPEAT_SECONDS
            listing = self._jobs.options.queue.listing
            text = f"no worker has come yet; {listing!r} tells whether its jobs wait or have ended"
            self._reporter.say(text)
