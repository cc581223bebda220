"""Seconds of the stages of a run, and of all together."""

from __future__ import annotations

import time

import pytest

from cellucid_dask.compute.progress import Reporter
from cellucid_dask.exporter.result import ExportResult

DAY = 86_400.0


def test_the_time_of_stages_that_run_at_the_same_time_counts_once() -> None:
    reporter, now = Reporter(quiet=True), time.perf_counter()
    for stage, days in (("points", 8), ("obs columns", 3), ("transpose", 10), ("genes", 1)):
        with reporter.stage(stage, 1, "tasks", now - days * DAY):
            pass
    result = ExportResult("out")
    result.set_usage(reporter.seconds, reporter.busy_seconds, 12 * DAY, 0)
    assert sum(result.seconds.values()) > 20 * DAY
    assert result.seconds["start and stop"] == pytest.approx(2 * DAY, rel=0.1)


def test_only_stages_that_take_long_leave_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    reporter, now = Reporter(), time.perf_counter()
    with reporter.stage("points", 2, "files", now + DAY):
        pass
    with reporter.stage("genes", 3, "genes", now - DAY) as advance:
        advance(3)
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" in ")[0] for line in told] == ["genes: 3 of 3 genes"]


def test_the_time_between_stages_does_not_count() -> None:
    reporter = Reporter(quiet=True)
    reporter._spans = [(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.75)]
    assert reporter.busy_seconds == 4.0
