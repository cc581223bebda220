"""Times in the identity of an export."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


def time_of_epoch(epoch: str) -> datetime | None:
    """Return the time of a number of seconds since 1970; None when `epoch` is not one."""
    return time_of_seconds(int(epoch)) if epoch.isascii() and epoch.isdigit() else None


def time_of_seconds(seconds: int) -> datetime | None:
    """Return the time so many seconds after 1970 in UTC; None before 1970 and after 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds >= 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def is_stamp(text: str) -> bool:
    """Whether `text` is a UTC time in the form of `STAMP`."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
