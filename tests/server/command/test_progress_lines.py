"""What a server tells about the data that the public app waits for at its opening."""

from __future__ import annotations

from typing import Any

from cellucid_dask.server.progress_lines import READY, progress_lines

ROWS = {"rows_done": 1000, "rows": 4000}


def said(*states: dict[str, Any]) -> tuple[list[str], list[float]]:
    """Lines, and the pauses before them, of a server with these states one after the other."""
    left, pauses = list(states), []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return not left

    lines = progress_lines(lambda: left.pop(0) if len(left) > 1 else states[-1], pause)
    return list(lines), pauses


def counts(state: str, done: int = 0, total: int = 0) -> dict[str, Any]:
    return {**ROWS, "counts": {"state": state, "done": done, "total": total}}


def test_what_is_ready_soon_is_not_mentioned() -> None:
    assert said(counts("ready"))[0] == []
    assert said({})[0] == [], "a ready file needs no counts"


def test_each_wait_is_told_until_the_app_can_open_the_data() -> None:
    states = [counts("waiting"), counts("counting"), counts("counting", 3, 4), counts("ready")]
    lines, pauses = said(*states)
    assert lines == [
        "reading the matrix for the gene index: 1,000 of 4,000 cells; the app waits for it",
        "counting the values of all genes",
        "counting the values of all genes: 75 %",
        READY,
    ]
    assert pauses == [5, 10, 20, 40]


def test_a_failure_is_not_called_ready() -> None:
    assert READY not in said(counts("waiting"), counts("failed"))[0]
