"""What the tests of bad input share."""

from __future__ import annotations

from collections.abc import Callable

Refuse = Callable[..., str]


def says(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in:\n{message}"
