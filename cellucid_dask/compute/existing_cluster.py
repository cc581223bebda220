"""A dask scheduler that was there before: found, joined, and left again."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cellucid_dask.errors import EngineError

ANSWER_SECONDS = 10
CHECK_ADDRESS = "check the address, and that the scheduler is running"


def join(scheduler: Any, stack: ExitStack) -> Any:
    """Connect to a scheduler, and wait for a worker; left again with `stack`.

    Parameters
    ----------
    scheduler
        A client of it, its address, or its scheduler file.

    Raises
    ------
    EngineError
        When it does not answer, or has no workers.
    """
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


def threads_of(client: Any) -> int:
    """Threads of all its workers."""
    return max(1, sum(client.nthreads().values()))
