"""A dask scheduler that runs already: connect to it, use its workers, and disconnect."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from cellucid_dask.compute.cluster import WORKER_BYTES, Cluster, StartContext
from cellucid_dask.compute.worker_logs import silence_logger
from cellucid_dask.errors import EngineError

ANSWER_SECONDS = 10
CHECK_ADDRESS = "check the address, and that the scheduler is running"
# Loggers that report the end of the connection.
NOISY_LOGGERS = ("distributed", "distributed.client", "tornado.application")


class ExistingCluster(Cluster):
    """Tasks run on the workers of a dask scheduler that somebody else started.

    Its slots are known when it is connected.

    Parameters
    ----------
    scheduler
        A client of it, its address, or its scheduler file.
    """

    is_remote: ClassVar[bool] = True
    option = "--scheduler"
    lost_connection_fix: ClassVar[str] = "start it again, then run the same command again"

    def __init__(self, scheduler: Any) -> None:
        super().__init__(slots=1)
        self._scheduler = scheduler
        self._client: Any = None

    def __str__(self) -> str:
        return f"{self.slots} threads of the dask scheduler {self._client.scheduler.address}"

    def connect(self, stack: ExitStack) -> None:
        """Connect to the scheduler until `stack` is closed, and wait for a worker."""
        for logger in NOISY_LOGGERS:  # muted until the connection has ended
            stack.enter_context(silence_logger(logger))
        self._client = connect_client(self._scheduler, stack)
        self.slots = max(1, sum(self._client.nthreads().values()))

    def start(self, context: StartContext) -> Any:  # noqa: ARG002
        """Return the client: the workers run already."""
        return self._client

    def count_processes(self) -> int:
        """Count the workers that are connected now."""
        return len(self._workers())

    def worker_limits(self) -> list[int]:
        """Bytes for the task of each thread, of workers that have a limit."""
        return [
            max(worker["memory_limit"] - WORKER_BYTES, 0) // max(worker["nthreads"], 1)
            for worker in self._workers()
            if worker["memory_limit"]
        ]

    def _workers(self) -> list[dict[str, Any]]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"].values())


def connect_client(scheduler: Any, stack: ExitStack) -> Any:
    """Return a client of a scheduler that has workers; `stack` closes it unless it was given.

    Parameters
    ----------
    scheduler
        A client, an address, or a scheduler file.

    Raises
    ------
    EngineError
        When the scheduler does not answer, or has no workers.
    """
    from distributed import Client

    if isinstance(scheduler, Client):
        _wait_for_worker(scheduler)
        return scheduler
    given = os.fspath(scheduler)
    address = _read_address(given)
    answer: Future[Any] = Future()

    def connect() -> None:
        try:
            answer.set_result(Client(address, timeout=ANSWER_SECONDS, set_as_default=False))
        except BaseException as error:  # noqa: BLE001  it is raised below
            answer.set_exception(error)

    # A daemon thread can be abandoned: Client has no time limit for a peer that accepts the
    # connection and then sends nothing.
    threading.Thread(target=connect, daemon=True).start()
    try:
        client = answer.result(ANSWER_SECONDS + 1)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        named = address if given == address else f"{address} of {given}"
        what = f"{named} does not answer within {ANSWER_SECONDS} s"
        raise EngineError(what, where="--scheduler", fix=CHECK_ADDRESS) from error
    _wait_for_worker(stack.enter_context(client))
    return client


def _read_address(given: str) -> str:
    """Return the address of a scheduler, which `given` is, or which is in its scheduler file."""
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
            f"{given!r} is not a scheduler file of dask ({error})",
            where="--scheduler",
            fix="start the scheduler with: dask scheduler --scheduler-file FILE",
        ) from error
    raise EngineError(f"{given!r} contains no address", where="--scheduler", fix=CHECK_ADDRESS)


def _wait_for_worker(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=ANSWER_SECONDS)
    except TimeoutError as error:
        raise EngineError(
            f"{client.scheduler.address} has no workers after {ANSWER_SECONDS} s",
            where="--scheduler",
            fix="start workers, for example: dask worker " + client.scheduler.address,
        ) from error
