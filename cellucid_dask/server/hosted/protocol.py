"""Which protocol a build of the page speaks, and what a reader is told when it is not the server's.

A build does not say it, so the rule goes by what can be seen of the builds that are public:

- a build without an inventory reads the folder format;
- one whose inventory has files of the reader of folders, and not the file of the protocol of
  ``cellucid`` 0.9.5, reads the folder format as well (the builds of July 2026);
- any other build with an inventory speaks the protocol of ready files;
- a build whose index has a meta element for its protocol is of a time after this program: no public
  build has one, so what it speaks is not known.
"""

from __future__ import annotations

import html
import re
from typing import Final, Literal

from cellucid_dask.server.hosted.build import Build, printable

Protocol = Literal["folder", "ready"]

FOLDER_READERS: Final = (
    "assets/js/data/dataset-generation-contract.js",
    "assets/js/data/quantization-contract.js",
)
READY_READER: Final = "assets/js/data/viewer-protocol.js"

_META: Final = re.compile(
    rb"""<meta\s[^<>]{0,500}\bname\s*=\s*["']?cellucid-(?:[a-z]+-)?protocol\b""", re.IGNORECASE
)
_BODY: Final = re.compile(rb"<body(?:\s[^<>]*)?>", re.IGNORECASE)
# It lies above the page, whose layout it cannot know, until a click removes it.
_STYLE: Final = (
    "position:fixed;z-index:2147483647;top:0;left:0;right:0;padding:8px 14px;"
    "background:#fff4ce;color:#222;border-bottom:1px solid #b58900;font:14px/1.5 sans-serif"
)
_ELSE: Final = "If it shows no data, open the"


def spoken_protocol(build: Build) -> Protocol | None:
    """Protocol that a build speaks; None if it is one that this program does not know."""
    if _META.search(build.index):
        return None
    if build.inventory is None:
        return "folder"
    paths = build.inventory.assets
    reads_folders = READY_READER not in paths and any(path in paths for path in FOLDER_READERS)
    return "folder" if reads_folders else "ready"


def mismatch(build: Build, served: Protocol | None) -> str | None:
    """Sentence for a reader when a build does not speak the protocol that is served.

    Parameters
    ----------
    build
        A build of the page.
    served
        Protocol of the server; None leaves it unchecked.
    """
    spoken, name = spoken_protocol(build), f"This build of the page ({printable(build.id)})"
    if spoken is None:
        return f"{name} speaks a protocol that this server does not know. {_ELSE}"
    if served is None or served == spoken:
        return None
    if spoken == "folder":
        what = "reads the folder format, which this server does not offer to it: start the server"
        return f"{name} {what} with --protocol folder. {_ELSE}"
    what = "reads AnnData and ready files; this server offers the folder format"
    return f"{name} {what}. {_ELSE}"


def with_notice(index: bytes, sentence: str) -> bytes:
    """Index of a page with a notice that ends in a link to the built-in page."""
    notice = (
        f'<div role="status" style="{_STYLE}">{html.escape(sentence)} '
        '<a href="_cellucid/page/" style="color:#0645ad">built-in page</a>. '
        '<button type="button" onclick="this.parentNode.remove()">Close</button></div>'
    ).encode()
    body = _BODY.search(index)
    at = len(index) if body is None else body.end()
    return index[:at] + notice + index[at:]
