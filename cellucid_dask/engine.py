"""Where tasks run: threads here, worker processes on this machine, or a dask scheduler.

Every engine is a ``concurrent.futures`` executor underneath, so a stage does not know which one
it is on. Tasks are plain functions of paths and small numbers; they return receipts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psutil
from dask.system import CPU_COUNT

from cellucid_dask.errors import EngineError
from cellucid_dask.local_workers import LOG, spawn_workers
from cellucid_dask.options import RunOptions
from cellucid_dask.progress import Reporter

R = TypeVar("R")

WORKER_BYTES = 190_000_000  # resident memory of a worker process before its first task
GROWTH_BYTES = 80_000_000  # what this process adds while a run goes on: manifests, scheduler
ANSWER_SECONDS = 10
NOISY = ("distributed", "distributed.client", "tornado.application")  # where connections end
TELLING = re.compile("^Exception: | - (?:WARNING|ERROR|CRITICAL) - ")  # lines of a log
LOST = ("CancelledError", "FutureCancelledError", "FuturesCancelledError", "CommClosedError")
CHECK_ADDRESS = "check the address, and that the scheduler is running"


def cores() -> int:
    """Cores this process may use, by affinity and control group."""
    return int(CPU_COUNT)


def available_memory() -> int:
    """Bytes this process could take now: free on the machine, within its control group."""
    from distributed.system import memory_limit

    free = int(psutil.virtual_memory().available)
    return min(free, int(memory_limit()) - psutil.Process().memory_info().rss)


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
        self._remote: Executor | None = None
        self._spawn = 0
        self._log = Path()
        if run.scheduler is not None:
            for logger in NOISY:  # to the end of the connection
                self._joined.enter_context(_hushed(logger))
            self.client = _join(run.scheduler, self._joined)
            self.slots = _threads_of(self.client)
        else:
            self.slots = run.workers or cores()
            if self.slots > 1 and not local and not (small and run.workers is None):
                self._spawn = self.slots
            elif run.workers == 1:
                self.slots = cores()

    @property
    def joined(self) -> bool:
        """Whether tasks run on a scheduler that was there before."""
        return self.client is not None and not self._spawn

    @property
    def kind(self) -> str:
        """How messages name it."""
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
        if self.client is None:
            return []
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        found = ((w["memory_limit"] or 0, w["nthreads"]) for w in workers)
        return [max(limit - WORKER_BYTES, 0) // max(n, 1) for limit, n in found if limit]

    def overhead(self) -> int:
        """Resident bytes of all processes of the run without any task."""
        n_workers = self._spawn
        if self.client is not None:
            n_workers = len(self.client.scheduler_info(n_workers=-1)["workers"])
        return self.alone() + n_workers * WORKER_BYTES

    def alone(self) -> int:
        """Resident bytes of a run in this process alone."""
        return int(psutil.Process().memory_info().rss) + GROWTH_BYTES

    def fewer(self, *, fixed: bool) -> bool:
        """Give up one slot to leave the others more memory; False when that cannot be."""
        if self.slots == 1 or self.client is not None or (fixed and self._spawn):
            return False
        self.slots -= 1
        if self._spawn:
            self._spawn = self.slots if self.slots > 1 else 0
        return True

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
            self._threads = stack.enter_context(_Threads(self.slots))
            if self._spawn:
                self.client = spawn_workers(self._spawn, folder, stack)
            if self.client is not None:
                self._remote = self.client.get_executor(pure=False, retries=2)
            yield

    def probe(self, paths: Sequence[str]) -> None:
        """Refuse workers that cannot do the work: no package, another version, no such path."""
        if self.client is None or self._spawn:
            return
        try:
            answers = self.client.run(look, list(paths))
        except ModuleNotFoundError as error:
            raise EngineError(
                f"a worker of the scheduler cannot import {error.name}",
                fix="install cellucid-dask in the environment of the workers",
            ) from error
        for worker, (theirs, missing) in answers.items():
            if theirs != version("cellucid-dask"):
                raise EngineError(
                    f"has cellucid-dask {theirs}, this process {version('cellucid-dask')}",
                    where=f"worker {worker}",
                    fix="use one environment for both",
                )
            if missing:
                raise EngineError(
                    f"does not see {', '.join(missing)}",
                    where=f"worker {worker}",
                    fix="put the data, the output and --scratch on a shared file system",
                )

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
        executor = self._threads if here or self._remote is None else self._remote
        assert executor is not None
        return [executor.submit(work, *task) for task in tasks]

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
                for future in as_completed(futures):
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
            log = self._log.read_text("utf-8", "replace").split("\n") if self._log.is_file() else []
            last = next(filter(TELLING.search, reversed(log)), "").strip()[:300]
            return EngineError(
                f"the workers died while working ({error})",
                where=f"last line of their log: {last}" if last else "",
                fix="a machine out of memory kills them: give fewer --workers, or less --memory",
            )
        if self.joined and type(error).__name__ in LOST:
            return EngineError(
                f"the connection to the scheduler was lost ({str(error) or type(error).__name__})",
                where="--scheduler",
                fix="start it again, then run the same command again",
            )
        return error


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


class _Threads(ThreadPoolExecutor):
    """Threads that are told to stop, not waited for to the last task, when a run fails."""

    def __exit__(self, *exc: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)


def look(paths: list[str]) -> tuple[str, list[str]]:
    """On a worker: the version of this package, and which of `paths` cannot be seen."""
    return version("cellucid-dask"), [path for path in paths if not Path(path).exists()]


# ----------------------------------------------------------------------- a running scheduler


def _join(scheduler: Any, stack: ExitStack) -> Any:
    from distributed import Client

    if isinstance(scheduler, Client):
        return _with_workers(scheduler)
    given = os.fspath(scheduler)
    address = _address(given)
    answer: Future[Any] = Future()

    def connect() -> None:
        try:
            answer.set_result(Client(address, timeout=ANSWER_SECONDS, set_as_default=False))
        except BaseException as error:  # noqa: BLE001  it is raised below
            answer.set_exception(error)

    # In a thread that can be left behind: the time limit of Client does not hold for a peer
    # that takes the connection and then says nothing.
    threading.Thread(target=connect, daemon=True).start()
    try:
        client = answer.result(ANSWER_SECONDS + 1)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        named = address if given == address else f"{address} of {given}"
        what = f"{named} does not answer within {ANSWER_SECONDS} s"
        raise EngineError(what, where="--scheduler", fix=CHECK_ADDRESS) from error
    return _with_workers(stack.enter_context(client))


def _address(given: str) -> str:
    """Address of a scheduler: as given, or as its scheduler file says."""
    if "://" in given:
        return given
    if not Path(given).is_file():
        raise EngineError(
            f"{given!r} is neither an address such as tcp://host:8786 nor a scheduler file",
            where="--scheduler",
            fix=CHECK_ADDRESS,
        )
    try:
        address = json.loads(Path(given).read_bytes())["address"]
        if "://" in address:
            return str(address)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"{given!r} is no scheduler file of dask ({error})",
            where="--scheduler",
            fix="start the scheduler with: dask scheduler --scheduler-file FILE",
        ) from error
    raise EngineError(f"{given!r} names no address", where="--scheduler", fix=CHECK_ADDRESS)


def _with_workers(client: Any) -> Any:
    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except TimeoutError as error:
        raise EngineError(
            f"{client.scheduler.address} has no workers after {ANSWER_SECONDS} s",
            where="--scheduler",
            fix="start workers, for example: dask worker " + client.scheduler.address,
        ) from error
    return client


def _threads_of(client: Any) -> int:
    return max(1, sum(client.nthreads().values()))
