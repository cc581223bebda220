"""Requests come before work in the background, such as building the gene index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from threading import Event, Lock
from time import monotonic
from typing import Final

QUIET: Final = 0.3  # seconds after a response in which the next request of a page is expected
START: Final = 1.0  # seconds after the start of a server in which its page is expected
LONGEST: Final = 10.0  # seconds that one task in the background waits; under any load it goes on
_POLL: Final = 0.02  # seconds between two checks


class Precedence:
    """Counts the requests that are being answered; background tasks begin when there are none."""

    def __init__(self) -> None:
        self._lock, self._n_requests, self._ended = Lock(), 0, -inf

    @contextmanager
    def request(self) -> Iterator[None]:
        """Make tasks in the background wait while a response is made."""
        with self._lock:
            self._n_requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_requests -= 1
                self._ended = max(self._ended, monotonic())

    def expect_page(self) -> None:
        """Make tasks in the background wait for the page of a server that has just started."""
        with self._lock:
            self._ended = max(self._ended, monotonic() + START - QUIET)

    def wait(self, stopped: Event) -> None:
        """Wait until no response is being made, or `stopped` is set; at most `LONGEST`."""
        end = monotonic() + LONGEST
        while self._is_busy() and monotonic() < end:
            if stopped.wait(_POLL):
                return

    def _is_busy(self) -> bool:
        return self._n_requests > 0 or monotonic() - self._ended < QUIET


precedence: Final = Precedence()  # of this process: all its servers share the cores
