"""Dask's own report of its tasks, which ``--performance-report`` saves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import Problem

OPTION = "--performance-report"


def find_report_problems(path: str | os.PathLike[str] | None) -> list[Problem]:
    """Return what prevents the report; no problem when no report is wanted."""
    if path is None or find_spec("bokeh") is not None:
        return []
    return [Problem("needs bokeh", OPTION, "pip install bokeh")]


@contextmanager
def save_performance_report(
    client: Any, path: str | os.PathLike[str], reporter: Reporter
) -> Iterator[None]:
    """Save dask's report of the tasks of the block, also when the block fails."""
    from distributed import performance_report

    report = performance_report(filename=os.fspath(path))
    with client.as_current():
        report.__enter__()
    try:
        yield
    finally:
        try:
            with client.as_current():
                report.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001  the export matters more than the report
            reporter.warn(f"dask's report {os.fspath(path)} was not saved ({error})")
