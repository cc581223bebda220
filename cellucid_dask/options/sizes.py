"""Sizes in bytes, as a user writes them."""

from __future__ import annotations


def parse_size(size: float | str) -> int | None:
    """Return the bytes of a size such as ``"8GB"``; None when it is not a size."""
    from dask.utils import parse_bytes

    try:
        number = parse_bytes(size)
    except (ValueError, OverflowError, AttributeError, TypeError):
        return None
    return int(number) if number > 0 else None
