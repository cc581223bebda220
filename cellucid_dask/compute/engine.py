"""Where tasks run: threads here, worker processes on this machine, SLURM jobs, a dask scheduler.

Tasks are futures of the standard library on all of them, so a stage does not know which one it is
on. Tasks are plain functions of paths and small numbers; they return receipts.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
from rich.filesize import decimal

from cellucid_dask.compute.existing_cluster import join, threads_of
from cellucid_dask.compute.local_cluster import LOG, NANNY_BYTES, WORKER_BYTES, spawn_workers
from cellucid_dask.compute.machine import available_memory, cores
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.tasks import submit
from cellucid_dask.compute.worker_check import (
    ENVIRONMENT,
    Expected,
    checked,
    expected,
    look,
    refuse,
)
from cellucid_dask.errors import EngineError, PlanError, Problem
from cellucid_dask.options.run import RunOptions

if TYPE_CHECKING:
    from cellucid_dask.compute.slurm.jobs import Jobs

R = TypeVar("R")

GROWTH_BYTES = 80_000_000  # what this process adds while a run goes on: manifests, scheduler
NOISY = ("distributed", "distributed.client", "tornado.application")  # where connections end
TELLING = re.compile("^Exception: | - (?:WARNING|ERROR|CRITICAL) - ")  # lines of a log
LOST = ("CancelledError", "FutureCancelledError", "FuturesCancelledError", "CommClosedError")


def engine_problems(run: RunOptions, out: Path, *, local: bool) -> list[Problem]:
    """Say what stands against running as the user chose; starts nothing.

    Parameters
    ----------
    out
        The export to make.
    local
        Whether tasks need the memory of this process.
    """
    found = []
    if run.performance_report is not None and find_spec("bokeh") is None:
        found.append(Problem("needs bokeh", "--performance-report", "pip install bokeh"))
    if run.slurm is None:
        return found
    if local:
        fix = "write it to an .h5ad or .zarr that all nodes see, and export that"
        found.append(Problem("data in memory cannot go to other machines", "--slurm", fix))
    from cellucid_dask.compute.slurm.problems import slurm_problems

    return [*found, *slurm_problems(run, out)]


class Engine:
    """Runs tasks; a context manager, so that a scheduler it joined is left again.

    Parameters
    ----------
    run
        The user's choice.
    local
        Whether tasks need the memory of this process, so that threads must do them.
    small
        Whether the job is not worth starting processes for.
    """

    def __init__(self, run: RunOptions, reporter: Reporter, *, local: bool, small: bool) -> None:
        self.reporter = reporter
        self.client: Any = None
        self._joined = ExitStack()
        self._threads: Executor | None = None
        self._spawn = 0
        self._jobs: Jobs | None = None
        self._failed: Future[Any] = Future()  # of all tasks, when no worker can come any more
        self._expected: Expected | None = None
        self._performance = run.performance_report
        self._log = Path()
        if run.scheduler is not None:
            for logger in NOISY:  # to the end of the connection
                self._joined.enter_context(_hushed(logger))
            self.client = join(run.scheduler, self._joined)
            self.slots = threads_of(self.client)
        elif run.slurm is not None:
            from cellucid_dask.compute.slurm.jobs import jobs_of

            self._jobs = jobs_of(run)
            self.slots = self._jobs.slots
        else:
            self.slots = run.workers or cores()
            if self.slots > 1 and not local and not (small and run.workers is None):
                self._spawn = self.slots
            elif run.workers == 1:
                self.slots = cores()

        if run.performance_report is not None and not self.clustered:
            raise EngineError(
                f"is of a dask cluster; this run works with {self.kind}",
                where="--performance-report",
                fix="leave it out, or add --workers 2 or more",
            )

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run on other machines, as far as this process knows."""
        return self._jobs is not None or (self.client is not None and not self._spawn)

    @property
    def clustered(self) -> bool:
        """Whether tasks run on a dask cluster."""
        return self.elsewhere or self._spawn > 0

    @property
    def kind(self) -> str:
        """How messages name it."""
        if self._jobs is not None:
            return str(self._jobs)
        if self.client is not None:
            return f"{self.slots} threads of the dask scheduler {self.client.scheduler.address}"
        if self._spawn:
            return f"{self._spawn} worker processes"
        return f"{self.slots} thread{'s' * (self.slots > 1)} in this process"

    def share(self, total: int | None) -> int:
        """Bytes a task may take, of `total` for the whole run; by default half of what is free.

        On a scheduler that was joined, its workers' own limits bound it as well, and are the
        default: this machine's memory says nothing of theirs.
        """
        limits = self._worker_limits()
        if total is None and limits:
            return min(limits) * 6 // 10
        whole = total or max(available_memory() // 2, 256 << 20)
        share = (whole - self.overhead()) * 9 // 10 // self.slots
        return min([share, *(limit * 9 // 10 for limit in limits)])

    def _worker_limits(self) -> list[int]:
        """Bytes of each thread of the workers of a joined scheduler that have a limit."""
        if self._jobs is not None:
            return [max(self._jobs.worker_bytes - WORKER_BYTES, 0)]
        if self.client is None:
            return []
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        found = ((w["memory_limit"] or 0, w["nthreads"]) for w in workers)
        return [max(limit - WORKER_BYTES, 0) // max(n, 1) for limit, n in found if limit]

    def overhead(self) -> int:
        """Resident bytes of all processes of the run without any task."""
        n_workers = self._spawn
        if self._jobs is not None:
            n_workers = self.slots
        elif self.client is not None:
            n_workers = len(self.client.scheduler_info(n_workers=-1)["workers"])
        return self.alone() + n_workers * WORKER_BYTES

    def alone(self) -> int:
        """Resident bytes of a run in this process alone."""
        return int(psutil.Process().memory_info().rss) + GROWTH_BYTES

    def fewer(self, *, fixed: bool) -> bool:
        """Give up one slot to leave the others more memory; False when that cannot be."""
        if self.slots == 1 or self.elsewhere or (fixed and self._spawn):
            return False
        self.slots -= 1
        if self._spawn:
            self._spawn = self.slots if self.slots > 1 else 0
        return True

    def too_little(self, need: int, total: int | None, other: str = "") -> PlanError:
        """Error for tasks of `need` bytes, where `total` is what was given for the whole run.

        Parameters
        ----------
        other
            What else the user may do.
        """
        mega = 10**6
        if self._jobs is not None:
            job = self._jobs.workers * (need * 10 // 6 + WORKER_BYTES) + NANNY_BYTES
            fix, where = f"use --job-memory {-(-job // mega)}MB", "--job-memory"
            if total is not None:
                least = need * 10 // 9 * self.slots + self.overhead()
                fix += f", and --memory {-(-least // mega)}MB or none"
            what = f"is too little for {self.kind}: a task needs {decimal(need)}"
            return PlanError(what, where=where, fix=", ".join(filter(None, (fix, other))))
        least = need * 10 // 9 * self.slots + self.overhead() + (16 << 20)
        alone = need * 10 // 9 + self.alone() + (16 << 20)
        fix = f"use --memory {-(-least // mega)}MB"
        if self.slots > 1:
            fix += f", or --workers 1 with at least --memory {-(-alone // mega)}MB"
        return PlanError(
            f"{decimal(total) if total else 'what is free'} is too little for {self.kind}: "
            f"a task needs {decimal(need)}, and the processes themselves "
            f"{decimal(self.overhead())}",
            where="--memory",
            fix=", ".join(filter(None, (fix, other))),
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exc: object) -> None:
        self._joined.close()

    @contextmanager
    def working(self, folder: Path) -> Iterator[None]:
        """Have workers for as long as the block lasts; their logs go to `folder`.

        When it ends no thread or process of the run is left that could still write.
        """
        with ExitStack() as stack:
            stack.enter_context(_hushed("distributed"))
            self._log = folder / LOG
            self._threads = stack.enter_context(
                _Threads(min(self.slots, cores()) if self.elsewhere else self.slots)
            )
            if self._jobs is not None:
                from cellucid_dask.compute.slurm.workers import submit_workers

                self.client = submit_workers(self._jobs, folder, self.reporter, self._failed, stack)
            elif self._spawn:
                self.client = spawn_workers(self._spawn, folder, stack)
            if self._performance is not None and self.client is not None:
                stack.enter_context(_reported(self.client, self._performance, self.reporter))
            yield

    def probe(self, paths: Sequence[str]) -> None:
        """Refuse workers that cannot do the work: no package, another version, no such path.

        Workers that come later are looked at with their first task.
        """
        if not self.elsewhere:
            return
        self._expected = expected(paths)
        for worker, seen in self.client.run(look, self._expected, on_error="return").items():
            if isinstance(seen, ModuleNotFoundError | AttributeError):
                raise EngineError(
                    f"a worker of the scheduler cannot import this package ({seen})",
                    fix=f"install cellucid-dask in the environment of the workers: {ENVIRONMENT}",
                ) from seen
            if not isinstance(seen, BaseException):  # else it is gone already
                refuse(worker, seen)

    def run(
        self,
        stage: str,
        work: Callable[..., R],
        tasks: Iterable[tuple[Any, ...]],
        *,
        here: bool = False,
        unit: str = "tasks",
        weigh: Callable[[R], int] | None = None,
        total: int | None = None,
        note: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """Run ``work(*task)`` for every task; results in the order of the tasks.

        Parameters
        ----------
        stage
            Name shown beside the progress.
        here
            Run in this process, as what lives in its memory must.
        unit, weigh, total
            What progress counts, how much of it one result is, and how much there is.
        note
            Called with the number of a task and its result as soon as it is there.
        """
        futures = self.begin(work, tasks, here=here)
        return self.finish(stage, futures, unit=unit, weigh=weigh, total=total, note=note)

    def begin(
        self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]], *, here: bool = False
    ) -> list[Future[R]]:
        """Start tasks beside whatever else runs; `finish` collects them."""
        if here or self.client is None:
            assert self._threads is not None
            return [self._threads.submit(work, *task) for task in tasks]
        if self._expected is None:
            return submit(self.client, work, tasks)
        return submit(self.client, checked, ((self._expected, work, *task) for task in tasks))

    def finish(
        self,
        stage: str,
        futures: Sequence[Future[R]],
        *,
        unit: str = "tasks",
        weigh: Callable[[R], int] | None = None,
        total: int | None = None,
        note: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """Wait for tasks; results in their order, or the first error."""
        size = len(futures) if total is None else total
        number = {future: i for i, future in enumerate(futures)}
        with self.reporter.stage(stage, size, unit) as advance:
            try:
                for future in islice(as_completed([*futures, self._failed]), len(futures)):
                    result = future.result()
                    if note is not None:
                        note(number[future], result)
                    advance(1 if weigh is None else weigh(result))
            except BaseException as error:
                for future in futures:
                    future.cancel()
                explained = self._explained(error)
                if explained is error:
                    raise
                raise explained from error
        return [future.result() for future in futures]

    def _explained(self, error: BaseException) -> BaseException:
        """Say in the words of this package what dask reports of lost workers."""
        if type(error).__name__ in ("KilledWorker", "NoWorkerError", "NoValidWorkerError"):
            fix = "a machine out of memory kills them: give fewer --workers, or less --memory"
            if self._jobs is not None:
                fix = "jobs out of memory are killed: give more --job-memory, or less --memory"
            last = self._last_words()
            return EngineError(
                f"the workers died while working ({str(error).partition('. ')[0]})",
                where=f"last line of their log: {last}" if last else "",
                fix=fix,
            )
        if self.elsewhere and type(error).__name__ in LOST:
            return EngineError(
                f"the connection to the scheduler was lost ({str(error) or type(error).__name__})",
                where="--scheduler" if self._jobs is None else "--slurm",
                fix="start it again, then run the same command again"
                if self._jobs is None
                else "run the same command again",
            )
        return error

    def _last_words(self) -> str:
        """What the workers of this run have printed last that may tell why they died."""
        files = sorted(self._log.parent.glob(f"{self._log.stem}*.log"))
        lines = [line for file in files for line in file.read_text("utf-8", "replace").split("\n")]
        told = [*filter(TELLING.search, lines)]
        of_memory = [line for line in told if "memory" in line.lower()]
        return (of_memory or told or [""])[-1].strip()[:300]


@contextmanager
def _hushed(logger: str) -> Iterator[None]:
    """Keep a logger from telling of connections that end, as they do when a run is over."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _reported(client: Any, path: str | os.PathLike[str], reporter: Reporter) -> Iterator[None]:
    """Save dask's report of the tasks of the block, however it ends."""
    from distributed import performance_report

    report = performance_report(filename=os.fspath(path))
    with client.as_current():
        report.__enter__()
    try:
        yield
    finally:
        try:
            with client.as_current():
                report.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001  it must not cost the run
            reporter.say(f"warning: dask's report {os.fspath(path)} was not saved ({error})")


class _Threads(ThreadPoolExecutor):
    """Threads that are told to stop, not waited for to the last task, when a run fails."""

    def __exit__(self, *exc: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)
