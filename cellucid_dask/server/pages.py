"""The files of the built-in page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from cellucid_dask.server.content import Content, made

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def _pages() -> dict[str, Content]:
    found = {}
    for entry in files("cellucid_dask.server").joinpath("page").iterdir():
        ending = "." + entry.name.rpartition(".")[2]
        if ending in MEDIA:
            found[entry.name] = made(entry.read_bytes(), MEDIA[ending])
    return found


def page_file(name: str) -> Content | None:
    """Content of a file of the page; None for any other name."""
    return _pages().get(name)
