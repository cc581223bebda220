"""Paths of the files of the hosted page, and their media types."""

from __future__ import annotations

import re
from typing import Final

HTML: Final = "text/html; charset=utf-8"
INDEX: Final = "index.html"
PAGES: Final = ("text/html", "application/xhtml+xml")
ROOT_FILES: Final = ("favicon.ico", "site.webmanifest", "browserconfig.xml")
LONGEST: Final = 300  # characters
MEDIA: Final = {
    "bin": "application/octet-stream",
    "css": "text/css; charset=utf-8",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gz": "application/octet-stream",
    "html": HTML,
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "otf": "font/otf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "application/xml",
}

# No dot at the start of a part, so no way up; nothing that a URL writes with a percent sign.
_PART: Final = r"[A-Za-z0-9_@~+=,-][A-Za-z0-9_@~+=,.-]*"
_ASSET: Final = re.compile(rf"assets(?:/{_PART})+", re.ASCII)


def media_of(path: str) -> str | None:
    """Media type of a file of the page; None for any other path.

    Parameters
    ----------
    path
        Path of a request, decoded, without its first slash and its query.
    """
    if path not in ROOT_FILES and (len(path) > LONGEST or not _ASSET.fullmatch(path)):
        return None
    return MEDIA.get(path.rpartition(".")[2].lower())


def is_page(body: bytes, media: str = "") -> bool:
    """Whether bytes, or their media type, are those of a web page.

    Many sites send one for any missing file.
    """
    if media in PAGES:
        return True
    start = body[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))
