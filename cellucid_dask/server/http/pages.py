"""The files of the built-in page."""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from cellucid_dask.server.http.content import Content, bytes_content

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Who may show the page in a frame: notebooks. Pages of this machine may read every response
# anyway (see `is_allowed_origin`), and the page changes nothing, so there is no click to steal.
# VS Code shows an output in a webview inside its own window, and browsers check every page around a
# frame. A Jupyter on another machine uses its proxy, which gives this page the same origin.
FRAMED_BY: Final = (
    "'self' http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:* "
    "vscode-webview: vscode-file:"
)
POLICY: Final = (
    "Content-Security-Policy",
    f"default-src 'self'; frame-ancestors {FRAMED_BY}; base-uri 'none'; form-action 'none'",
)


@cache
def _page_contents() -> dict[str, Content]:
    """Contents of the page's files by their path, such as ``plot/camera.js``."""
    bodies = dict(_read_files(files("cellucid_dask.server").joinpath("page"), ""))
    bodies["index.html"] = _with_preloads(bodies["index.html"], sorted(bodies))
    return {path: _page_content(body, MEDIA_TYPES[_ending(path)]) for path, body in bodies.items()}


def _read_files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read_files(entry, f"{prefix}{entry.name}/")
        elif _ending(entry.name) in MEDIA_TYPES:
            yield prefix + entry.name, entry.read_bytes()


def _ending(path: str) -> str:
    return "." + path.rpartition(".")[2]


def _with_preloads(page: bytes, paths: list[str]) -> bytes:
    """Add a link for each module, so that a browser asks for all of them at once."""
    link = '    <link rel="modulepreload" href="_cellucid/page/{}">\n'
    links = "".join(link.format(path) for path in paths if path.endswith(".js"))
    return page.replace(b"  </head>", links.encode() + b"  </head>", 1)


def _page_content(body: bytes, media: str) -> Content:
    content = bytes_content(body, media)
    if media.startswith("text/html"):
        content.headers.append(POLICY)
    return content


def page_file(name: str) -> Content | None:
    """Content of a file of the page; None for any other name."""
    return _page_contents().get(name)


def page_apart() -> Content:
    """Content of the page for the path of its own files, where its root is two folders up.

    There it can be opened when another page is at the root. Its scripts find the data from their
    own address.
    """
    plain = _page_contents()["index.html"]
    assert isinstance(plain.body, bytes)
    return _page_content(plain.body.replace(b'="_cellucid/page/', b'="'), plain.type)


def page_with_banner(line: str) -> Content:
    """Content of the page with a line of text at its top."""
    plain = _page_contents()["index.html"]
    assert isinstance(plain.body, bytes)
    banner = f'<body>\n    <p class="banner" role="status">{html.escape(line)}</p>'
    return _page_content(plain.body.replace(b"<body>", banner.encode(), 1), plain.type)
