"""How much memory a run takes, all of its processes together."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil

LOOK = 0.5  # seconds between two looks for processes that are new
RARELY = 50  # times as long as a look takes, at least


class MemoryWatch:
    """Highest summed resident memory of this process and all below it, sampled as it runs."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.peak = 0
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        family, look_again = [me], 0.0
        while True:
            began = time.monotonic()
            if began >= look_again:
                with suppress(psutil.Error, OSError):
                    family = [me, *me.children(recursive=True)]
                # It reads of every process there is, which may be thousands on a shared machine.
                took = time.monotonic() - began
                look_again = began + max(LOOK, RARELY * took)
            total = 0
            for process in family:
                try:
                    total += process.memory_info().rss
                except (psutil.Error, OSError):  # as of too many open files
                    continue
            self.peak = max(self.peak, total)
            if self._stop.wait(self._seconds):
                return
