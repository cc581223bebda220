"""Progress of a run in a notebook: bars in one output of the cell, which is replaced in place.

Nothing is started as a live display of rich, which needs ipywidgets in a notebook.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from rich.progress import Progress, ProgressColumn

UPDATE_SECONDS: Final = 0.2  # between two updates of the output


class NotebookBar:
    """The bar of the current stage, below those of stages that took long.

    Parameters
    ----------
    columns
        Columns of each bar.
    short_seconds
        The bar of a stage that took less is replaced by that of the next one.
    """

    def __init__(self, columns: tuple[ProgressColumn, ...], short_seconds: float) -> None:
        self._progress, self._short_seconds = Progress(*columns, auto_refresh=False), short_seconds
        self._output: Any = None  # the handle of the output, once there is one
        self._updated = 0.0

    def stage(self, name: str, total: int, unit: str, began: float) -> Iterator[Any]:
        """Show a stage; yields a function that counts finished steps."""
        for task in self._progress.tasks:
            if task.fields["short"]:
                self._progress.remove_task(task.id)
        number = self._progress.add_task(name, total=total, unit=unit, short=False)
        self._show()

        def advance(steps: int = 1) -> None:
            self._progress.advance(number, steps)
            if time.perf_counter() - self._updated >= UPDATE_SECONDS:
                self._show()

        try:
            yield advance
        finally:
            short = time.perf_counter() - began < self._short_seconds
            self._progress.stop_task(number)
            self._progress.update(number, short=short)
            self._show()

    def _show(self) -> None:
        self._updated = time.perf_counter()
        if self._output is None:
            display: Any = import_module("IPython.display").display  # a kernel has it
            self._output = display(self._progress, display_id=True)
        else:
            self._output.update(self._progress)
