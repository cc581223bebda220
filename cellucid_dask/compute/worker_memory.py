"""The largest memory of each worker elsewhere, so that the next run asks for the right one.

A worker tells it after a task, when it has grown: workers that are lost later count as well.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

GROWTH = 1.01  # of the memory, before a worker tells it again
_told: dict[str, int] = {}  # by run, in the process of a worker


def peak_memory() -> int:
    """Return the largest resident memory that this process ever had, in bytes."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def tell_peak(run: str) -> None:
    """Tell the scheduler the peak of this worker, under the name of a run."""
    from distributed import get_worker

    peak = peak_memory()
    if peak > _told.get(run, 0) * GROWTH:
        _told[run] = peak
        worker = get_worker()
        worker.log_event(run, {"name": str(worker.name), "peak": peak})


def read_peaks(client: Any, run: str) -> dict[str, int]:
    """Return the peak of each worker that has done a task of a run, in bytes, by its name."""
    peaks: dict[str, int] = {}
    for _, event in client.get_events(run):
        name = event["name"]
        peaks[name] = max(peaks.get(name, 0), event["peak"])
    return dict(sorted(peaks.items()))
