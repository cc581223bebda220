"""Text of a store that claims to be UTF-8: strings of columns, and names of elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import TextError

NOT_UTF8 = "holds text that is not UTF-8"
NAME_NOT_UTF8 = "has a name that is not UTF-8"
_AROUND = 20  # bytes on either side of the wrong one that a message shows


def decode_text(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Strings of any storage as Python strings in an object array.

    Raises
    ------
    TextError
        When one is not UTF-8; `where` is what holds them.
    """
    try:
        texts = [v.decode() if isinstance(v, bytes) else v for v in values.astype(object)]
    except UnicodeError as error:
        raise not_utf8_error(error, where) from error
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out


def not_utf8_error(error: UnicodeError, where: str) -> TextError:
    """Make the error that shows the text which could not be decoded."""
    text = getattr(error, "object", b"")
    start = max(0, getattr(error, "start", 0) - _AROUND)
    piece = text[start : start + 2 * _AROUND] if isinstance(text, bytes) else b""
    return TextError(f"{NOT_UTF8}, such as {piece!r}" if piece else NOT_UTF8, where=where)


def readable_name(name: Any) -> str:
    r"""Name of an element as text, with ``\xf6`` in place of bytes that are not UTF-8."""
    if isinstance(name, str):
        try:
            name = name.encode("utf-8", "surrogateescape")  # how h5py returns such bytes
        except UnicodeEncodeError:
            return str(name).encode("utf-8", "backslashreplace").decode()
    return bytes(name).decode("utf-8", "backslashreplace")


def as_text(value: Any) -> str:
    """Text of bytes or of anything else; bytes that are not UTF-8 stay as h5py returns them."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
