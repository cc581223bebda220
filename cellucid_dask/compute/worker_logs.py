"""Logs of dask and of its workers: silence what is expected, find the line that tells a cause."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG_NAME = "workers.log"  # of local workers; those of SLURM jobs have the job number in it
ALL_LOGS = "workers*.log"
CAUSE = re.compile("^Exception: | - (?:WARNING|ERROR|CRITICAL) - ")  # lines that may tell a cause


@contextmanager
def silence_logger(name: str) -> Iterator[None]:
    """Hide messages about connections that end, which is normal when a run is over."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def find_last_cause(folder: Path) -> str:
    """Last line in the worker logs of `folder` that may tell why they died; one on memory first.

    Returns
    -------
    At most 300 characters; empty when there is no such line.
    """
    files = sorted(folder.glob(ALL_LOGS))
    lines = [line for file in files for line in file.read_text("utf-8", "replace").split("\n")]
    causes = [line for line in lines if CAUSE.search(line)]
    about_memory = [line for line in causes if "memory" in line.lower()]
    return (about_memory or causes or [""])[-1].strip()[:300]
