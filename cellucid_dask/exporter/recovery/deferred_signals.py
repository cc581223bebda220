"""Signals that wait: an exception in the middle of a removal would leave the rest behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST: Final = 5.0  # seconds that a signal waits at most; a longer block hangs


@contextmanager
def defer_signals() -> Iterator[None]:
    """Delay signals until the block has ended; then send the first of them again.

    Does nothing outside the main thread: Python raises signals only there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    began = time.monotonic()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def note(number: int, _: object) -> None:
        came.append(number)
        if time.monotonic() > began + LONGEST:
            restore()
            signal.raise_signal(number)

    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        restore()
        if came:
            signal.raise_signal(came[0])
