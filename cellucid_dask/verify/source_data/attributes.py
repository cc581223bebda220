"""Attributes of elements as text, however a file stores them."""

from __future__ import annotations

from typing import Any

import numpy as np


def texts(element: Any, name: str) -> list[str]:
    """Texts of an attribute, one or several; empty when there is none.

    Texts of variable length are str, those of a fixed length come as bytes.
    """
    value = np.asarray(element.attrs.get(name, []), dtype=object).ravel().tolist()
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in value]


def text(element: Any, name: str) -> str:
    """Text of an attribute; empty when there is none, or several."""
    found = texts(element, name)
    return found[0] if len(found) == 1 else ""
