"""Versions of the hosted page, read from its index."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

from cellucid_dask.server.hosted.inventory import Asset, Inventory

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
    inventory
        All its files; None if the site has no inventory.
    from_site
        Whether the site was asked for it, and for its inventory; not read from the cache.
    fetched
        When its index was stored, in seconds since 1970; None if it was not read from the cache.
    """

    id: str
    index: bytes
    tag: str | None = None
    inventory: Inventory | None = None
    from_site: bool = False
    fetched: float | None = None

    def asset(self, path: str) -> Asset | None:
        """Return what the inventory says of a path; None if it, or an inventory, is not there."""
        return None if self.inventory is None else self.inventory.assets.get(path)


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


def printable(text: str) -> str:
    """Text of a site, such as the id of a build, for a terminal or a log."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
