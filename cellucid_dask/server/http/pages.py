"""The files of the built-in page."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files
from typing import Final

from cellucid_dask.server.http.content import Content, made

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Who may show the page in a frame: notebooks. Pages of this machine may read all answers anyway
# (see `may_read`), and the page changes nothing, so there is no click to steal. VS Code shows an
# output in a webview inside its own window, and every page around a frame is asked. Of a Jupyter
# on another machine the proxy makes this page one of the same origin.
FRAMED_BY: Final = (
    "'self' http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:* "
    "vscode-webview: vscode-file:"
)
POLICY: Final = (
    "Content-Security-Policy",
    f"default-src 'self'; frame-ancestors {FRAMED_BY}; base-uri 'none'; form-action 'none'",
)


@cache
def _pages() -> dict[str, Content]:
    found = {}
    for entry in files("cellucid_dask.server").joinpath("page").iterdir():
        ending = "." + entry.name.rpartition(".")[2]
        if ending in MEDIA:
            found[entry.name] = _made(entry.read_bytes(), MEDIA[ending])
    return found


def _made(body: bytes, media: str) -> Content:
    content = made(body, media)
    if media.startswith("text/html"):
        content.headers.append(POLICY)
    return content


def page_file(name: str) -> Content | None:
    """Content of a file of the page; None for any other name."""
    return _pages().get(name)


def with_banner(line: str) -> Content:
    """Content of the page with a line of text on top."""
    plain = _pages()["index.html"]
    assert isinstance(plain.body, bytes)
    banner = f'<body>\n    <p class="banner" role="status">{html.escape(line)}</p>'
    return _made(plain.body.replace(b"<body>", banner.encode(), 1), plain.type)
