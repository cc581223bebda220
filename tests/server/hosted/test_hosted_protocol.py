"""Which protocol a build of the hosted page speaks, and where the built-in page is beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from inventory_site import FOLDER_READER, INVENTORY, READY, build_files, inventory_of, publish
from oracle import make_atlas
from serving import ask, serving
from upstream import Site, index_of

from cellucid_dask.server.hosted.build import Build
from cellucid_dask.server.hosted.inventory import parse_inventory
from cellucid_dask.server.hosted.protocol import mismatch, spoken_protocol, with_notice


def build(*readers: str, index: bytes = index_of("one")) -> Build:
    """A build with an inventory that has these files among others."""
    files = {path: body for path, body in build_files("one").items() if path != FOLDER_READER}
    inventory = json.dumps(inventory_of("one", files | dict.fromkeys(readers, b""))).encode()
    return Build("one", index, inventory=parse_inventory(inventory))


def test_what_is_seen_of_a_build() -> None:
    assert spoken_protocol(Build("one", index_of("one"))) == "folder"
    assert spoken_protocol(build(READY)) == "ready"
    assert spoken_protocol(build()) == "ready", "its files may be bundled"
    assert spoken_protocol(build(FOLDER_READER)) == "folder"
    assert spoken_protocol(build(FOLDER_READER, READY)) == "ready"


@pytest.mark.parametrize(
    ("tag", "known"),
    [
        ('<meta name="cellucid-protocol" content="3">', False),
        ("<meta content='x' name=cellucid-protocol>", False),
        ('<META NAME="cellucid-web-protocol" content="">', False),
        ('<meta name="cellucid-theme" content="dark">', True),
        ('<meta name="description" content="cellucid-protocol">', True),
        ("<p>cellucid-protocol</p>", True),
    ],
)
def test_a_build_that_says_its_protocol(tag: str, known: bool) -> None:
    index = index_of("one", tag)
    assert (spoken_protocol(build(index=index)) is not None) == known
    for served in ("ready", None):
        assert (mismatch(build(index=index), served) is None) == known
    if not known:
        assert "a protocol that this server does not know" in (
            mismatch(build(index=index), None) or ""
        )


def test_a_build_and_a_server_that_do_not_fit() -> None:
    old, new = Build("one", index_of("one")), build()
    assert mismatch(old, "folder") is mismatch(new, "ready") is None
    assert mismatch(old, None) is mismatch(new, None) is None
    assert "--protocol folder" in (mismatch(old, "ready") or "")
    assert "this server offers the folder format" in (mismatch(new, "folder") or "")


def test_a_notice_is_one_element_of_the_page() -> None:
    for index, at in ((b"<body class='x'><p>", b"<body class='x'>"), (b"<p>text", b"<p>text")):
        page = with_notice(index, "<b>&1</b>")
        head, _, rest = page.partition(b'<div role="status"')
        assert head == at
        assert b"&lt;b&gt;&amp;1&lt;/b&gt;" in rest
        assert rest.count(b"</div>") == 1


def test_the_page_says_that_its_protocol_is_not_known(hosted: Any, web: Site) -> None:
    index = index_of("one", '<meta name="cellucid-protocol" content="9">')
    publish(web, build_files("one") | {"index.html": index})
    page = ask(hosted(), "/")
    assert b"speaks a protocol that this server does not know" in page.body
    assert b'<a href="_cellucid/page/"' in page.body
    assert (page.get("Content-Security-Policy") or "").startswith("default-src 'self' data:")


def test_what_is_served_decides_whether_a_build_fits(hosted: Any, web: Site, saved: Any) -> None:
    path = saved(make_atlas(60, 6))
    ready = build_files("one") | {READY: b""}
    for files, data, told in (
        (ready, None, b"reads AnnData and ready files; this server offers the folder format"),
        (ready, path, None),
        ({"index.html": index_of("two")}, path, b"start the server with --protocol folder"),
    ):
        publish(web, files)
        if READY not in files:
            del web.files[INVENTORY]
        page = ask(hosted() if data is None else hosted(data), "/").body
        assert (page == files["index.html"]) == (told is None)
        assert told is None or told in page


def test_the_built_in_page_has_a_path_of_its_own(hosted: Any, exported: Path) -> None:
    server = hosted()
    page = ask(server, "/_cellucid/page/")
    assert page.status == 200
    assert page.get("Content-Type") == "text/html; charset=utf-8"
    assert (page.get("Content-Security-Policy") or "").startswith("default-src 'self';")
    assert ask(server, "/_cellucid/page/index.html").body == page.body
    links = re.findall(rb'(?:href|src)="([^"#:]+)"', page.body)
    assert b"viewer.js" in links
    for link in links:
        assert ask(server, f"/_cellucid/page/{link.decode()}").status == 200, link
    with serving(exported) as server:
        assert ask(server, "/_cellucid/page/").body == page.body
    with serving(exported, viewer="none") as server:
        assert ask(server, "/_cellucid/page/").status == 404
