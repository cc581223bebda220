"""Peak memory of a run, of all its processes together."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil

SCAN_SECONDS = 0.5  # at least, between two searches for new processes
SCAN_FACTOR = 50  # at least, between two searches, as a multiple of the time that one takes


class MemoryWatch:
    """Samples the summed resident memory of this process and all its children; keeps the peak."""

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
        processes: list[psutil.Process] = []
        next_scan = 0.0
        while True:
            began = time.monotonic()
            if began >= next_scan:
                with suppress(psutil.Error, OSError):  # such as too many open files
                    me = psutil.Process()
                    processes = [me, *me.children(recursive=True)]
                # It lists every process of the machine, which may be thousands.
                scan_seconds = time.monotonic() - began
                next_scan = began + max(SCAN_SECONDS, SCAN_FACTOR * scan_seconds)
            total = 0
            for process in processes:
                try:
                    total += process.memory_info().rss
                except (psutil.Error, OSError):
                    continue
            self.peak = max(self.peak, total)
            if self._stop.wait(self._seconds):
                return
