"""Attributes of elements as text, however a file stores them."""

from __future__ import annotations

from typing import Any

import numpy as np


def text_attributes(element: Any, name: str) -> list[str]:
    """Return the texts of an attribute, one or several; empty when there is none.

    A file gives text of variable length as str, and text of fixed length as bytes.
    """
    value = np.asarray(element.attrs.get(name, []), dtype=object).ravel().tolist()
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in value]


def text_attribute(element: Any, name: str) -> str:
    """Return the text of an attribute; empty when there is none, or several."""
    values = text_attributes(element, name)
    return values[0] if len(values) == 1 else ""
