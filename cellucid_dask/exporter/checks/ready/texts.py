"""Rules of the texts that describe a dataset: the viewer shows them as they are stored."""

from __future__ import annotations

import unicodedata
from typing import Any, Final
from urllib.parse import urlsplit

from cellucid_dask.format import safe
from cellucid_dask.ready.facts import DEVICES, ID, INVISIBLE, LONGEST_ID, SPACES

PLAIN: Final = "give the text as it shall be shown"


def text_fault(text: Any) -> str:
    """What is wrong with a text; empty if nothing is."""
    if not isinstance(text, str):
        return f"{text!r:.60} is a {type(text).__name__}, not text"
    if not text:
        return "is empty"
    if found := INVISIBLE.search(text):
        return f"{text!r:.60} has a character that is not shown, {_name(found[0])}"
    if text.strip(SPACES) != text:
        return f"{text!r:.60} begins or ends with white space"
    return ""


def url_fault(url: Any) -> str:
    """What is wrong with a URL; empty if nothing is."""
    if fault := text_fault(url):
        return fault
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url!r} is not a URL"
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"{url!r} is not a URL of http or https"
    return ""


def id_fault(text: Any) -> str:
    """What is wrong with an id; empty if nothing is."""
    if not isinstance(text, str):
        return f"{text!r:.60} is a {type(text).__name__}, not text"
    if text.partition(".")[0].upper() in DEVICES:
        return f"{text!r} is the name of a device on Windows"
    if len(text) > LONGEST_ID:
        return f"{text[:60]!r}... has {len(text)} characters, {LONGEST_ID} are allowed"
    return "" if ID.fullmatch(text) else f"{text!r} is not a usable id"


def make_id(name: str) -> str:
    """Make an id of a name."""
    text = safe(name).lstrip("-")[:LONGEST_ID].rstrip(".") or "dataset"
    return text if not id_fault(text) else f"dataset-{text}"[:LONGEST_ID].rstrip(".")


def make_name(name: str) -> str:
    """Make a name that can be shown of the name of a file."""
    return INVISIBLE.sub("", name).strip(SPACES) or "dataset"


def _name(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()
