"""Work that may hang, outside of the threads that answer: what is asked for twice is done once.

The threads are daemons and not those of a pool: a look-up of a name that hangs would keep a pool,
and with it the process, from ending.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import BoundedSemaphore, Lock, Thread
from typing import Any


class CrowdedError(Exception):
    """Too much is under way, or it takes too long."""


class Flights:
    """Results of work under way, shared by all who ask for them.

    Parameters
    ----------
    number
        Of works at a time; more wait their turn.
    """

    def __init__(self, number: int) -> None:
        self._slots = BoundedSemaphore(number)
        self._under_way: dict[Any, Future[Any]] = {}
        self._lock = Lock()

    def get(self, key: Any, work: Callable[[], Any], seconds: float) -> Any:
        """Return what `work` returns, or what the one under way for `key` does.

        Raises
        ------
        CrowdedError
            When that takes longer than `seconds`; the work continues.
        """
        with self._lock:
            future = self._under_way.get(key)
            if future is None:
                future = self._begin(key, work, seconds)
        try:
            return future.result(seconds)
        except TimeoutError as error:
            raise CrowdedError("takes too long") from error

    def _begin(self, key: Any, work: Callable[[], Any], seconds: float) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            Thread(target=self._do, args=(key, future, work, seconds), daemon=True).start()
        except RuntimeError as error:  # this user may have no more threads
            raise CrowdedError("no thread can be started") from error
        self._under_way[key] = future  # the lock is held: the thread cannot have ended with it
        return future

    def _do(self, key: Any, future: Future[Any], work: Callable[[], Any], seconds: float) -> None:
        result: Any = None
        failure: BaseException | None = None
        if not self._slots.acquire(timeout=seconds):
            failure = CrowdedError("waited too long for its turn")
        else:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  raised where it is asked for
                failure = error
            finally:
                self._slots.release()
        with self._lock:  # first: who asks from now on wants it done anew
            del self._under_way[key]
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
