"""Time and memory of a run, and its report."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from cellucid_dask.arguments.boundary import reword_all
from cellucid_dask.compute.memory_watch import MemoryWatch
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.errors import OutputError, VerifyError
from cellucid_dask.exporter.result import ExportResult
from cellucid_dask.files import write_atomically
from cellucid_dask.options.run import RunOptions


@contextlib.contextmanager
def record_usage(result: ExportResult, run: RunOptions, reporter: Reporter) -> Iterator[None]:
    """Record the time and memory of the block in `result`, then write the report of the run.

    The report is also written when verification fails.

    Raises
    ------
    VerifyError
        Raised by the block; raised again after the report is written.
    """
    started, verify_error = time.perf_counter(), None
    with MemoryWatch() as memory:
        try:
            yield
        except VerifyError as error:
            verify_error = error
    result.warnings, result.discovered = reword_all(result.warnings), reword_all(result.discovered)
    total = time.perf_counter() - started
    result.set_usage(reporter.seconds, reporter.busy_seconds, total, memory.peak)
    if run.report is not None:
        write_report(result, Path(run.report).resolve())  # write through a link, keep the link
    if verify_error is not None:
        raise verify_error


def write_report(result: ExportResult, path: Path) -> None:
    """Write the run report as JSON.

    Raises
    ------
    OutputError
        When it cannot be written; the message says whether the export exists.
    """
    try:
        write_atomically(path, [json.dumps(result.as_dict(), indent=2).encode()])
    except OSError as error:
        export = "the export itself is complete" if result.written else "there is no export"
        problem = f"the report cannot be written ({error.strerror}); {export}"
        raise OutputError(problem, where=str(path)) from error
