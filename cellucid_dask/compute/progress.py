"""Progress of a run: a bar on a terminal or in a notebook, a line now and then in a log file."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cellucid_dask.arguments.boundary import is_command, reword
from cellucid_dask.compute.notebook_bar import NotebookBar
from cellucid_dask.display.kernel import in_kernel

log = logging.getLogger("cellucid_dask")

LOG_SECONDS = 10.0
SHORT_SECONDS = 1.0  # of a stage that leaves no line behind


class _Console(Console):
    """A console that becomes quiet when nobody reads it any more; rich would exit."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def _is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; a program without a console has no stream."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it is closed
        return False


class Reporter:
    """Progress and seconds of the stages of a run.

    Parameters
    ----------
    quiet
        Print nothing; the seconds are measured all the same, and a function of Python still logs.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # Ask the stream itself: FORCE_COLOR and the like would put bars into a log file.
        self.live = not quiet and _is_terminal(sys.stderr)
        self.console = _Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, force_terminal=self.live
        )
        shows_bar = not quiet and in_kernel()
        self._notebook = NotebookBar(_columns(), SHORT_SECONDS) if shows_bar else None
        self.seconds: dict[str, float] = {}
        self._spans: list[tuple[float, float]] = []  # when each stage began and ended

    def say(self, note: str) -> None:
        """Print a note of the command line; the note of a function of Python is logged."""
        if is_command():
            self._print(note)
        else:
            log.info("%s", reword(note))

    def warn(self, text: str) -> None:
        """Print a warning of the command line; that of a function of Python is logged."""
        if is_command():
            self._print(f"warning: {text}")
        else:
            log.warning("%s", reword(text))

    def _print(self, line: str) -> None:
        """Print one line; a log that cannot be written does not end the run."""
        with suppress(OSError, ValueError):  # the stream is full or closed
            self.console.print(reword(line), markup=False)

    @contextmanager
    def stage(self, name: str, total: int, unit: str, began: float | None = None) -> Iterator[Any]:
        """Time a stage of `total` steps; yields a function that counts finished steps.

        Parameters
        ----------
        began
            When its tasks were started, by `time.perf_counter`; now if None.
        """
        began = time.perf_counter() if began is None else began
        try:
            if self._notebook is not None:
                yield from self._notebook.stage(name, total, unit, began)
            elif self.live:
                yield from self._bar(name, total, unit, began)
            else:
                yield from self._lines(name, total, unit, began)
        finally:
            ended = time.perf_counter()
            self.seconds[name] = self.seconds.get(name, 0.0) + ended - began
            self._spans.append((began, ended))

    @property
    def busy_seconds(self) -> float:
        """Seconds in which a stage ran; the time of two at the same time counts once."""
        busy, until = 0.0, -math.inf
        for began, ended in sorted(self._spans):
            busy += max(ended - max(began, until), 0.0)
            until = max(until, ended)
        return busy

    def _bar(self, name: str, total: int, unit: str, began: float) -> Iterator[Any]:
        progress = Progress(*_columns(), console=self.console, transient=True)
        task = progress.add_task(name, total=total, unit=unit)
        try:
            with progress:
                yield lambda steps=1: progress.advance(task, steps)
        finally:
            if time.perf_counter() - began >= SHORT_SECONDS:
                self.console.print(progress)

    def _lines(self, name: str, total: int, unit: str, began: float) -> Iterator[Any]:
        printed = time.perf_counter()
        done = 0

        def advance(steps: int = 1) -> None:
            nonlocal done, printed
            done += steps
            now = time.perf_counter()
            if now - printed >= LOG_SECONDS and done < total:
                printed = now
                rate = done / (now - began)
                left = (total - done) / rate if rate else 0.0
                self._print(f"{name}: {done} of {total} {unit}, {rate:.1f}/s, {left:.0f} s left")

        yield advance
        seconds = time.perf_counter() - began
        if seconds >= SHORT_SECONDS:
            self._print(f"{name}: {done} of {total} {unit} in {seconds:.1f} s")


def _columns() -> tuple[ProgressColumn, ...]:
    """Columns of the bar of a stage."""
    return (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        unit, speed = task.fields["unit"], task.finished_speed or task.speed
        if not speed and task.elapsed:  # all steps came at once
            speed = task.completed / task.elapsed
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s")
