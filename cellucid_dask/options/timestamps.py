"""Times in the identity of an export."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


def time_of_epoch(epoch: str) -> datetime | None:
    """Return the time of a number of seconds since 1970; None when `epoch` is not one."""
    try:
        digits = epoch.isascii() and epoch.isdigit()
        return datetime.fromtimestamp(int(epoch), UTC) if digits else None
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
