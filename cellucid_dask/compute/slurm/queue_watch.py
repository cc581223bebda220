"""Compare the SLURM queue with the list of jobs of a cluster, and submit lost jobs again."""

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
from cellucid_dask.compute.queues.job_logs import cause_lines
from cellucid_dask.compute.queues.jobs import WorkerJobs
from cellucid_dask.compute.queues.programs import ProgramError, Programs, SilentError
from cellucid_dask.compute.slurm.sbatch import FIX_OPTIONS
from cellucid_dask.errors import EngineError

MAX_FAILED_JOBS = 3  # in a row, which end before a worker of theirs connects
MIN_POLL, MAX_POLL = 1.0, 30.0  # seconds between two checks of the queue
GONE_SECONDS = 4.0  # a job is over when it is not queued for so long: squeue may be wrong once
SLOW_SECONDS = 10.0  # of waiting, after which jobs that run without a worker are reported
REPEAT_SECONDS = 600.0  # after which the same line is printed again
UNREACHABLE = re.compile(r"Timed out (?:trying|during|starting)|Connect call failed|unreachable")


@dataclass(frozen=True, slots=True)
class Queued:
    """A job in the queue.

    Parameters
    ----------
    state, reason
        As squeue prints them, such as ``PENDING`` and ``Priority``.
    """

    state: str
    reason: str


async def read_queue(name: str, programs: Programs) -> dict[str, Queued]:
    """Return the jobs of this name that have not ended, by their number.

    Raises
    ------
    ProgramError
        When squeue does not answer.
    """
    text = await programs.ask("squeue", "--noheader", f"--name={name}", "--format=%i|%T|%r")
    rows = [line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return {row[0]: Queued(row[1], row[2]) for row in rows}


class QueueWatch:
    """Replaces lost jobs, and reports what the run waits for; runs in the loop of the cluster.

    It reads the queue only while workers are missing, less and less often.

    Parameters
    ----------
    cluster
        Cluster of dask-jobqueue.
    name, log
        Name of its jobs, and the pattern of their log files.
    failure
        Receives the error when no worker can come.
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
        self._connected: set[str] = set()  # jobs with a worker that connected
        self._n_failed = self._n_refusals = 0
        self._missing_since = time.monotonic()
        self._unqueued: dict[str, float] = {}  # since when a job is not in the queue
        self._printed: dict[str, float] = {}  # when a line was printed
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Stop watching."""
        self._ended = True
        if self._task is not None:
            self._cluster.loop.add_callback(self._task.cancel)

    async def run(self) -> None:
        """Watch the queue until `stop`."""
        self._task = asyncio.current_task()
        while not self._ended:
            missing = time.monotonic() - self._missing_since
            await asyncio.sleep(
                min(max(MIN_POLL, missing / 10, 2.0**self._n_refusals - 1), MAX_POLL)
            )
            try:
                if not self._ended:
                    await self._check()
            except SilentError as error:
                self._say(str(error))
            except ProgramError as error:
                self._say(f"squeue does not answer ({error})")
            except Exception as error:  # noqa: BLE001  it is raised where tasks are waited for
                if not self._failure.done():
                    self._failure.set_exception(error)
                return

    async def _check(self) -> None:
        cluster = self._cluster
        here = Counter(map(self._jobs.job_of, cluster.scheduler.workers.values()))
        listed = dict(cluster.workers)
        if not self._connected >= here.keys():
            self._connected |= here.keys()
            self._n_failed = 0
        absent = {job: entry for job, entry in listed.items() if here[job] < self._jobs.workers}
        if not absent and listed.keys() >= cluster.worker_spec.keys():
            self._missing_since = time.monotonic()
            return
        queued = await read_queue(self._name, self._programs)
        if self._ended:
            return
        refused = {job: entry for job, entry in absent.items() if entry.refused}
        dead = {
            job: entry
            for job, entry in absent.items()
            if job not in refused and self._has_ended(entry.job_id, queued, here[job])
        }
        self._count_failures(dead, refused, here, queued)
        for job in (*dead, *refused):
            # Its name may be used again: nobody must wait for a job that has ended.
            if cluster.workers.get(job) is listed[job]:
                del cluster.workers[job]
                await listed[job].close()
        if refused and not self._jobs.options.adaptive:
            await self._cancel_unknown(queued, listed)
        self._report(sum(here.values()), queued)
        await cluster  # submits the missing jobs of its list

    def _has_ended(self, job: str, queued: Mapping[str, Queued], n_workers: int) -> bool:
        """Whether a job has ended; SLURM may take long to clean up."""
        if job in queued:
            self._unqueued.pop(job, None)
            return queued[job].state == "COMPLETING" and n_workers == 0
        now = time.monotonic()
        return now - self._unqueued.setdefault(job, now) >= GONE_SECONDS

    async def _cancel_unknown(
        self, queued: Mapping[str, Queued], listed: Mapping[str, Any]
    ) -> None:
        """Cancel jobs that sbatch submitted although it reported an error."""
        known = {entry.job_id for entry in listed.values()}
        unknown = [job for job, entry in queued.items() if job not in known]
        if unknown:
            with suppress(ProgramError):  # the next check tries again
                await self._programs.ask("scancel", *unknown)

    def _count_failures(
        self,
        dead: Mapping[str, Any],
        refused: Mapping[str, Any],
        here: Mapping[str, int],
        queued: Mapping[str, Queued],
    ) -> None:
        """Count jobs that ended without a worker.

        Raises
        ------
        EngineError
            When there is no other job, and another try would fail as well.
        """
        ids = [entry.job_id for entry in dead.values()]
        for job, entry in dead.items():
            self._say(f"job {entry.job_id} has ended; asks for another in its place")
            self._n_failed += job not in self._connected and not self._was_cancelled(entry.job_id)
            self._connected.discard(job)
        self._n_refusals = self._n_refusals + 1 if refused else 0
        if refused:
            what = next(iter(refused.values())).refused
            if not here and not queued:
                raise EngineError(
                    f"sbatch refused the job ({what})", where="--slurm", fix=FIX_OPTIONS
                )
            self._say(f"sbatch refuses more jobs for now ({what})")
        is_hopeful = (
            queued.keys() - set(ids) and self._n_failed < 2 * self._jobs.number + MAX_FAILED_JOBS
        )
        if self._n_failed and not here and not is_hopeful:
            self._raise_if_hopeless(ids)

    def _was_cancelled(self, job: str) -> bool:
        """Whether a user cancelled the job, or SLURM did for a job of higher priority."""
        return any(
            "CANCELLED AT" in line and "TIME LIMIT" not in line for line in self._cause_lines(job)
        )

    def _cause_lines(self, job: str) -> list[str]:
        """Return lines of the log of a job that may tell why it ended."""
        folder, _, ending = self._log.rpartition("%j")
        return cause_lines([Path(f"{folder}{job}{ending}".replace("%%", "%"))])

    def _raise_if_hopeless(self, ids: list[str]) -> None:
        """Raise when the logs of the jobs that ended show that others would end like them."""
        lines = [line for job in ids for line in self._cause_lines(job)]
        last = f"; the last line of their output: {lines[-1]}" if lines else ""
        if any(map(UNREACHABLE.search, lines)):
            address = self._cluster.scheduler_address
            what = f"the nodes do not reach the scheduler at {address}{last}"
            fix = "name a network interface that the nodes reach, with --interface"
            raise EngineError(what, where="--slurm", fix=fix)
        if self._n_failed >= MAX_FAILED_JOBS:
            what = f"{self._n_failed} jobs ended before their workers came{last}"
            folder = Path(self._log).parent
            fix = f"see that the nodes have the Python of this environment, and the folder {folder}"
            raise EngineError(what, where="--slurm", fix=fix)

    def _report(self, n_workers: int, queued: Mapping[str, Queued]) -> None:
        states = Counter((entry.state, entry.reason) for entry in queued.values())
        n_running = sum(count for (state, _), count in states.items() if state == "RUNNING")
        parts = [
            f"{count} {state.lower()}" + (f" ({reason})" if reason not in ("None", "") else "")
            for (state, reason), count in states.items()
            if state not in ("RUNNING", "COMPLETING")
        ]
        is_slow = time.monotonic() - self._missing_since > SLOW_SECONDS
        if is_slow and n_running * self._jobs.workers > n_workers:
            parts.append(f"{n_running} running, of which not all workers have come")
        if parts:
            text = ", ".join(parts)
            self._say(f"{n_workers} of {self._jobs.slots} workers are there; jobs: {text}")

    def _say(self, text: str) -> None:
        """Print a line, unless it was printed not long ago."""
        now = time.monotonic()
        if now - self._printed.get(text, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._printed[text] = now
            self._reporter.say(text)
