"""Versions of the hosted page, read from its index."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 200  # characters of an id

_META: Final = re.compile(rb"<meta\s[^<>]{1,1000}>", re.IGNORECASE)
_NAMED: Final = re.compile(rb"""\sname\s*=\s*["']?cellucid-web-build-id["'\s/>]""", re.IGNORECASE)
_CONTENT: Final = re.compile(rb"""\scontent\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Build:
    """A version of the page.

    Parameters
    ----------
    id
        Id of the build in its index.
    index
        Content of the index.
    tag
        Entity tag of the index at the site.
    """

    id: str
    index: bytes
    tag: str | None = None


def build_id(index: bytes) -> str | None:
    """Id of the build in an index of the page; None if it has none or several."""
    found = set()
    for tag in _META.findall(index):
        if _NAMED.search(tag):
            content = _CONTENT.search(tag)
            value = b"" if content is None else content[1] or content[2] or b""
            found.add(html.unescape(value.decode("utf-8", "replace")).strip())
    only = found.pop() if len(found) == 1 else ""
    return only if 0 < len(only) <= LONGEST else None
