"""Work that may hang, in threads of its own; equal requests at the same time share one result.

The threads are daemons, not threads of a pool: a DNS look-up that hangs would keep a pool, and so
the process, from ending.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import BoundedSemaphore, Lock, Thread
from typing import Any


class CrowdedError(Exception):
    """Too many requests are running, or one takes too long."""


class RequestCoalescer:
    """Runs each piece of work once for all requests that need it at the same time.

    Parameters
    ----------
    number
        Pieces of work that run at a time; others wait.
    """

    def __init__(self, number: int) -> None:
        self._slots = BoundedSemaphore(number)
        self._pending: dict[Any, Future[Any]] = {}
        self._lock = Lock()

    def get(self, key: Any, work: Callable[[], Any], seconds: float) -> Any:
        """Return the result of `work`, or of the work that already runs for `key`.

        Raises
        ------
        CrowdedError
            When that takes longer than `seconds`; the work continues.
        """
        with self._lock:
            future = self._pending.get(key)
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
        except RuntimeError as error:  # the limit of threads of this user is reached
            raise CrowdedError("no thread can be started") from error
        self._pending[key] = future  # the lock is held, so the thread has not removed its key yet
        return future

    def _do(self, key: Any, future: Future[Any], work: Callable[[], Any], seconds: float) -> None:
        result: Any = None
        failure: BaseException | None = None
        if not self._slots.acquire(timeout=seconds):
            failure = CrowdedError("waited too long for its turn")
        else:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  raised in the waiting requests
                failure = error
            finally:
                self._slots.release()
        with self._lock:  # first: a later request starts the work again
            del self._pending[key]
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
