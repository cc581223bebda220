"""Warnings of the data for callers from Python; the command line prints them as its output."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable

from cellucid_dask.arguments.boundary import is_command, reword_all
from cellucid_dask.errors import DataWarning


def warn_caller(texts: Iterable[str]) -> None:
    """Warn of each text once, at the line that called this package."""
    if is_command():
        return
    level = _caller_level()
    for text in dict.fromkeys(reword_all(texts)):
        warnings.warn(text, DataWarning, stacklevel=level)


def _caller_level() -> int:
    """Return the level of the first frame outside this package, as `warn_caller` counts them."""
    package, level, frame = __name__.partition(".")[0], 0, inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level
