"""Lines that tell how far the data are that the public app waits for at its opening."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

FIRST_LINE: Final = 5.0  # seconds; small data are ready before
LONGEST_PAUSE: Final = 60.0
READY: Final = "the values of all genes are counted: the app can open the data"


def progress_lines(
    progress: Callable[[], Mapping[str, Any]], pause: Callable[[float], bool]
) -> Iterator[str]:
    """Yield lines, more and more seldom, until the values are counted; none when that is soon.

    Parameters
    ----------
    progress
        What ``/_cellucid/info`` of the folder protocol says under ``index``.
    pause
        Waits for so many seconds; True when the server stops.
    """
    seconds, told = FIRST_LINE, False
    while not pause(seconds):
        line = _describe(progress())
        if line is None:
            break
        yield line
        seconds, told = min(2 * seconds, LONGEST_PAUSE), True
    else:
        return
    if told and progress().get("counts", {}).get("state") == "ready":
        yield READY


def _describe(found: Mapping[str, Any]) -> str | None:
    """Say what the app waits for; None when it waits for nothing."""
    counts = found.get("counts", {})
    state = counts.get("state")
    if state == "counting" and counts["total"]:
        return f"counting the values of all genes: {counts['done'] * 100 // counts['total']} %"
    if state == "counting":
        return "counting the values of all genes"
    if state == "waiting" and "rows" in found:
        rows = f"{found['rows_done']:,} of {found['rows']:,} cells"
        return f"reading the matrix for the gene index: {rows}; the app waits for it"
    return None
