"""Rules for keys and for text that a viewer shows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlparse

_UNSAFE: Final = re.compile(r'[/\\<>:"|?*\x00-\x1f]')
_TAKEN: Final = frozenset({"", ".", "..", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}) | {
    "zarr.json"
}
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])", re.IGNORECASE)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,179}", re.ASCII)
_INVISIBLE: Final = frozenset("\u200b\u2060\ufeff")


def find_bad_keys(path: str, keys: Iterable[str]) -> Iterator[str]:
    """Find keys of a group that not every file system can store."""
    seen: dict[str, str] = {}
    for key in keys:
        folded = key.casefold()
        if _UNSAFE.search(key) or key in _TAKEN or key[-1:] in (" ", ".") or _is_device(key):
            yield f"{path}: the name {key!r} cannot be a file name everywhere"
        elif seen.setdefault(folded, key) != key:
            yield f"{path}: the names {seen[folded]!r} and {key!r} differ by case only"


def _is_device(key: str) -> bool:
    return _DEVICES.fullmatch(key.partition(".")[0]) is not None


def is_id(text: str) -> bool:
    """Whether a text can be the id of a dataset."""
    return bool(_ID.fullmatch(text)) and not text.endswith(".") and not _is_device(text)


def is_shown_as_stored(text: str) -> bool:
    """Whether a text has no characters that a viewer does not show, and no blanks at its ends."""
    if text and (_is_blank(text[0]) or _is_blank(text[-1])):
        return False
    return not any(
        char in _INVISIBLE or unicodedata.category(char) in ("Cc", "Cs") for char in text
    )


def _is_blank(char: str) -> bool:
    return char.isspace()


def is_address(text: str) -> bool:
    """Whether a text is an address of the web."""
    try:
        parts = urlparse(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
