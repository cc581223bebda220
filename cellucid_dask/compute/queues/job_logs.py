"""What the output of a job tells of why it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CAUSE = re.compile(r"rror\b|Exception|imed out|slurmstepd|No such file|not found|WARNING")


def cause_lines(files: Iterable[Path]) -> list[str]:
    """Lines of the output of a job that may tell why it ended; none where it cannot be read."""
    lines: list[str] = []
    for file in files:
        with suppress(OSError):
            text = file.read_text("utf-8", "replace")
            lines += [line.strip()[:300] for line in text.splitlines() if CAUSE.search(line)]
    return lines
