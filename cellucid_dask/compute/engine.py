"""Run tasks on a cluster of any kind, and show their progress.

A task is a plain function of paths and small numbers that returns a receipt. Its future is that of
the standard library on every cluster, so a stage does not know where its tasks run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cellucid_dask.compute.cluster import Cluster, Failure, StartContext
from cellucid_dask.compute.failures import translate_dask_error
from cellucid_dask.compute.machine import cores
from cellucid_dask.compute.performance_report import save_performance_report
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.tasks import submit
from cellucid_dask.compute.worker_check import (
    Requirements,
    check_all_workers,
    describe_requirements,
    run_on_checked_worker,
)
from cellucid_dask.compute.worker_logs import silence_logger
from cellucid_dask.compute.worker_memory import read_peaks

R = TypeVar("R")


class Engine:
    """Runs tasks on a cluster; as a context manager it is connected to an existing scheduler.

    Parameters
    ----------
    performance_report
        File for dask's own report of the tasks.
    """

    def __init__(
        self,
        cluster: Cluster,
        reporter: Reporter,
        *,
        performance_report: str | os.PathLike[str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.reporter = reporter
        self._performance_report = performance_report
        self._connection = ExitStack()
        self._client: Any = None
        self._threads: Executor | None = None
        self._failure: Failure = Future()  # of all tasks, when no worker can come any more
        self._requirements: Requirements | None = None
        self._inline = False
        self._logs = Path()
        self._run = f"cellucid-dask-{secrets.token_hex(4)}"
        self.worker_peaks: dict[str, int] = {}  # of workers on other machines, at the end

    @property
    def slots(self) -> int:
        """Tasks at a time."""
        return self.cluster.slots

    @property
    def uses_dask(self) -> bool:
        """Whether workers of dask run the tasks, and not threads of this process."""
        return self.cluster.uses_dask

    def drop_worker(self, *, fixed: bool) -> bool:
        """Give up one slot to leave the others more memory; False when that is impossible.

        Parameters
        ----------
        fixed
            Whether the user chose the number of workers.
        """
        smaller = self.cluster.drop_worker(fixed=fixed)
        if smaller is None:
            return False
        self.cluster = smaller
        return True

    def __enter__(self) -> Engine:
        self.cluster.connect(self._connection)
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    @contextmanager
    def start_workers(self, folder: Path) -> Iterator[None]:
        """Start the workers, and end them with the block; their logs go to `folder`.

        After the block no thread or process of the run is left that could still write.
        """
        with ExitStack() as stack:
            stack.enter_context(silence_logger("distributed"))
            self._logs = folder
            # Threads run the tasks of this process, besides those of workers elsewhere.
            n_threads = min(self.slots, cores()) if self.cluster.is_remote else self.slots
            self._threads = stack.enter_context(_Threads(n_threads))
            self._client = self.cluster.start(
                StartContext(folder, self.reporter, stack, self._failure)
            )
            if self._performance_report is not None and self._client is not None:
                stack.enter_context(
                    save_performance_report(self._client, self._performance_report, self.reporter)
                )
            yield
            if self._requirements is not None:
                self.worker_peaks = read_peaks(self._client, self._run)

    def check_workers(self, paths: Sequence[str], *, native: bool) -> None:
        """Refuse remote workers without this package, with another version, or without `paths`.

        Workers that come later are checked with their first task.

        Parameters
        ----------
        native
            Whether tasks use the native library, which every worker must then have.

        Raises
        ------
        EngineError
            With what the worker lacks.
        """
        if self.cluster.is_remote:
            self._requirements = describe_requirements(paths, native=native)
            check_all_workers(self._client, self._requirements)

    def run(
        self,
        stage: str,
        work: Callable[..., R],
        tasks: Iterable[tuple[Any, ...]],
        *,
        in_process: bool = False,
        unit: str = "tasks",
        weigh: Callable[[R], int] | None = None,
        total: int | None = None,
        on_result: Callable[[int, R], None] | None = None,
    ) -> list[R]:
        """Run ``work(*task)`` for every task; results in the order of the tasks.

        Parameters
        ----------
        stage
            Name shown beside the progress.
        in_process
            Run in this process, as a task must that needs its memory.
        unit, weigh, total
            What the progress counts, how much of it one result is, and how much there is.
        on_result
            Called with the number of a task and its result as soon as the task is done.
        """
        futures = self.begin(work, tasks, in_process=in_process)
        return self.finish(stage, futures, unit=unit, weigh=weigh, total=total, on_result=on_result)

    def begin(
        self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]], *, in_process: bool = False
    ) -> list[Future[R]]:
        """Start tasks, beside all others that run; `finish` collects them."""
        if in_process and self._inline:
            return [_run_now(work, task) for task in tasks]
        if in_process or self._client is None:
            assert self._threads is not None, "the workers are not started"
            return [self._threads.submit(work, *task) for task in tasks]
        if self._requirements is None:
            return submit(self._client, work, tasks)
        checked_tasks = ((self._requirements, self._run, work, *task) for task in tasks)
        return submit(self._client, run_on_checked_worker, checked_tasks)

    @contextmanager
    def run_inline(self) -> Iterator[None]:
        """Run the tasks of this process in this thread: other tasks keep its threads busy."""
        self._inline = True
        try:
            yield
        finally:
            self._inline = False

    def finish(
        self,
        stage: str,
        futures: Sequence[Future[R]],
        *,
        unit: str = "tasks",
        weigh: Callable[[R], int] | None = None,
        total: int | None = None,
        on_result: Callable[[int, R], None] | None = None,
        began: float | None = None,
    ) -> list[R]:
        """Wait for tasks; results in their order, or the first error. Parameters as of `run`.

        Parameters
        ----------
        began
            When they were started, by `time.perf_counter`; now if None.
        """
        size = len(futures) if total is None else total
        number = {future: i for i, future in enumerate(futures)}
        with self.reporter.stage(stage, size, unit, began) as advance:
            try:
                for future in islice(as_completed([*futures, self._failure]), len(futures)):
                    result = future.result()
                    if on_result is not None:
                        on_result(number[future], result)
                    advance(1 if weigh is None else weigh(result))
            except BaseException as error:
                for future in futures:
                    future.cancel()
                translated = translate_dask_error(error, self.cluster, self._logs)
                if translated is error:
                    raise
                raise translated from error
        return [future.result() for future in futures]


def _run_now(work: Callable[..., R], task: tuple[Any, ...]) -> Future[R]:
    done: Future[R] = Future()
    try:
        done.set_result(work(*task))
    except Exception as error:  # noqa: BLE001  raised by `finish`, as that of any task
        done.set_exception(error)
    return done


class _Threads(ThreadPoolExecutor):
    """Threads that drop the tasks they have not begun when the block ends."""

    def __exit__(self, *exc: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)
