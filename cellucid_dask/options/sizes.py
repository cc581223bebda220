"""Sizes in bytes, as a user writes them."""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(r"(?P<number>|.*[\d.])(?P<thousands>[kmgtp]?)(?P<binary>i?)b?")


def parse_size(size: float | str) -> int | None:
    """Return the bytes of a size such as ``"8GB"``; None when it is not a size."""
    found = _SIZE.fullmatch(str(size).replace(" ", "").lower())
    if found is None or (found["binary"] and not found["thousands"]):
        return None
    step = 1024 if found["binary"] else 1000
    try:
        number = int(
            float(found["number"] or 1) * step ** " kmgtp".index(found["thousands"] or " ")
        )
    except (ValueError, OverflowError):  # no number, or an infinite one
        return None
    return number if number > 0 else None
