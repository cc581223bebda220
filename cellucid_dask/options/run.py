"""Options of a run: workers, memory, files beside the export, worker jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellucid_dask.errors import Problem
from cellucid_dask.options.base import Options
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.output_files import check_output_file, is_writable
from cellucid_dask.options.preview_path import check_preview_path
from cellucid_dask.options.sizes import parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Options):
    """How the work is done: these options change no byte of the output.

    Parameters
    ----------
    workers
        Number of worker processes; with `jobs`, in all of them together. 1 runs threads in this
        process. None runs threads as well; without the native library, it starts one process for
        each core if the export is large.
    memory
        Limit of the summed resident memory of all processes of the run, in bytes or as text
        such as ``"8GB"``; None is half of the memory that is available to this process.
    scratch
        Folder for the spill; None is the staging folder beside the output.
    scheduler
        A running dask scheduler: ``tcp://host:port``, a scheduler file, or a
        ``distributed.Client``.
    jobs
        Worker jobs to submit to a batch queue; None submits none.
    force
        Replace an existing export once the new one is complete.
    report
        Write the run report as JSON to this file.
    performance_report
        Write dask's own report of its tasks as HTML to this file.
    preview
        Draw a sheet of thumbnails of the export to this .png, .pdf or .svg.
    restart
        Discard the unfinished work of an earlier run to the same output, and start again;
        otherwise a run resumes where the last one stopped.
    verify
        Verify the export before it is published, and do not publish it if it has problems.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    workers: int | None = None
    memory: float | str | None = None
    scratch: str | os.PathLike[str] | None = None
    scheduler: Any = None
    jobs: JobOptions | None = None
    force: bool = False
    report: str | os.PathLike[str] | None = None
    performance_report: str | os.PathLike[str] | None = None
    preview: str | os.PathLike[str] | None = None
    restart: bool = False
    verify: bool = False

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values."""
        if self.workers is not None and self.workers < 1:
            yield Problem(
                f"{self.workers} is not a number of workers", "--workers", "use 1 or more"
            )
        if self.memory is not None and parse_size(self.memory) is None:
            yield Problem(f"{self.memory!r} is not a size", "--memory", "write it as 8GB or 8GiB")
        if self.scratch is not None and not Path(self.scratch).is_dir():
            yield Problem(f"{os.fspath(self.scratch)!r} is not a folder", "--scratch")
        elif any("\udc80" <= letter <= "\udcff" for letter in str(self.scratch or "")):
            yield Problem("has a name that is not UTF-8", "--scratch", "name it otherwise")
        elif self.scratch is not None and not is_writable(Path(self.scratch)):
            what, fix = f"the folder {str(self.scratch)!r} cannot be written", "name another folder"
            yield Problem(what, "--scratch", fix)
        if not _reaches_scheduler(self.scheduler):
            kind = type(self.scheduler).__name__
            what = f"is of type {kind}, not an address, a scheduler file or a Client"
            yield Problem(what, "--scheduler", "write an address as tcp://host:8786")
        yield from self._check_output_files()
        if self.jobs is not None:
            yield from self._check_jobs(self.jobs)

    def _check_output_files(self) -> Iterator[Problem]:
        files = {"--report": self.report, "--performance-report": self.performance_report}
        given = {option: Path(path) for option, path in files.items() if path is not None}
        for option, path in given.items():
            yield from check_output_file(path, option)
        if self.preview is not None:
            yield from check_preview_path(Path(self.preview), "--preview")
            given["--preview"] = Path(self.preview)
        first: dict[Path, str] = {}
        for option, path in given.items():
            other = first.setdefault(path.absolute(), option)
            if other != option:
                yield Problem(f"is the file of {other} as well", option, "name two files")

    def _check_jobs(self, jobs: JobOptions) -> Iterator[Problem]:
        yield from jobs.find_problems()
        if self.scheduler is not None:
            fix = "leave one of them out"
            yield Problem(f"{jobs.option} and --scheduler cannot both be given", fix=fix)
        if self.workers is None:
            fix = "add --workers N: how many of them may work at the same time"
            yield Problem("does not say how many workers are wanted", jobs.option, fix)

    def memory_bytes(self) -> int | None:
        """Return `memory` in bytes; None when it was not given."""
        return None if self.memory is None else parse_size(self.memory)


def _reaches_scheduler(given: Any) -> bool:
    """Whether a value can name a scheduler; to test for a Client would import dask."""
    return given is None or isinstance(given, str | os.PathLike) or hasattr(given, "scheduler_info")
