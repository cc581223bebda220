"""A site with an inventory: every file of the hosted page is the one that it describes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hosted_site import BANNER, BUILT_IN, MAIN, forget, kept
from inventory_site import INVENTORY, JS, build_files, publish
from serving import ask, serving
from upstream import Site, index_of, site, whole

from cellucid_dask.server.hosted.cache import named


def test_files_are_those_of_the_inventory(hosted: Any, web: Site, tmp_path: Path) -> None:
    files = build_files("one")
    publish(web, files)
    web.files["assets/js/stray.js"] = b"not listed"
    server = hosted()
    assert ask(server, "/").body == files["index.html"]
    for path, body in files.items():
        reply = ask(server, f"/{path}")
        assert (reply.status, reply.body) == (200, body), path
        assert (reply.get("Content-Security-Policy") or "").startswith("default-src 'self'")
        assert reply.get("Referrer-Policy") == "same-origin"
    assert ask(server, MAIN).get("Content-Type") == JS, "as the inventory says, not as the site"
    assert (
        ask(server, "/assets/css/README.md").get("Content-Type") == "text/markdown; charset=utf-8"
    )
    for path in ("assets/js/stray.js", INVENTORY, "assets/js/other.js", "favicon.ico", "assets/js"):
        assert ask(server, f"/{path}").status == 404, path
        assert not web.asked[path] or path == INVENTORY
    assert web.asked["index.html"] == 2, "no file is followed by a question for the build"
    assert {web.asked[path] for path in files} - {2} == {1}, "each is fetched once"
    assert len(kept(tmp_path)) == len(files) + 1


@pytest.mark.parametrize("wrong", [b"export const build = 'tvo';", b"short", b"longer" * 20, None])
def test_a_file_with_another_sum_is_not_kept(
    hosted: Any, web: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bytes | None
) -> None:
    publish(web, build_files("one"))
    if wrong is None:
        del web.files[MAIN[1:]]
    else:
        web.files[MAIN[1:]] = wrong
    server = hosted()
    ask(server, "/")
    before = kept(tmp_path)
    reply = ask(server, MAIN)
    assert (reply.status, reply.body[:38]) == (502, b"the site of the hosted page sent what ")
    assert kept(tmp_path) == before
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 1
    assert told[0].startswith(f"{MAIN[1:]} of the hosted page cannot be had: {web.url} ")
    web.files |= build_files("one")
    assert ask(server, MAIN).body == web.files[MAIN[1:]]


def test_a_build_that_changes_is_not_mixed(hosted: Any, web: Site) -> None:
    publish(web, build_files("one"))
    server = hosted()
    ask(server, "/")
    first = ask(server, MAIN).body
    publish(web, build_files("two"), "two")
    assert ask(server, MAIN).body == first
    for path in ("/assets/js/1.js", "/assets/js/2.js"):
        reply = ask(server, path)
        assert (reply.status, reply.body) == (503, b"the hosted page has changed: reload it\n")
    assert ask(server, "/assets/css/README.md").body == b"# css", "the same in both builds"
    assert ask(server, "/").body == index_of("two")
    assert ask(server, MAIN).body == b"export const build = 'two';"


def test_one_build_with_other_files_is_not_mixed(hosted: Any, web: Site) -> None:
    """A site may publish again without another name; what was kept is then of no use."""
    publish(web, build_files("one"))
    server = hosted()
    ask(server, "/")
    ask(server, MAIN)
    files = build_files("one") | {"index.html": index_of("one", "again"), MAIN[1:]: b"again"}
    publish(web, files)
    assert ask(server, "/").body == files["index.html"]
    assert ask(server, MAIN).body == b"again"


def test_damaged_files_are_fetched_again_by_their_sum(
    hosted: Any, web: Site, tmp_path: Path
) -> None:
    publish(web, build_files("one"))
    server = hosted()
    ask(server, "/")
    good = ask(server, MAIN).body
    (path,) = tmp_path.rglob("*main.js*")
    path.write_bytes(path.read_bytes()[:-2])
    assert ask(server, MAIN).body == good
    web.files[MAIN[1:]] = b"no more"
    assert ask(server, MAIN).body == good


@pytest.mark.parametrize("answer", ["404", "403", "a page"])
def test_a_site_without_an_inventory(hosted: Any, web: Site, answer: str) -> None:
    """Some sites send a page for any file that they do not have; some say that it is forbidden."""
    if answer == "403":
        web.raw(INVENTORY, whole(b"<Error/>", "application/xml", status="403 Forbidden"))
    elif answer == "a page":
        web.files[INVENTORY] = index_of("one")
    server = hosted()
    assert ask(server, "/").body == index_of("one")
    assert ask(server, MAIN).get("Content-Type") == "text/javascript; charset=utf-8"
    web.files["assets/js/late.js"] = b"late"
    assert ask(server, "/assets/js/late.js").body == b"late"


def test_an_inventory_that_goes_does_not_unbind_what_was_verified(hosted: Any, web: Site) -> None:
    publish(web, build_files("one"))
    ask(hosted(), "/")
    del web.files[INVENTORY]
    web.files[MAIN[1:]] = b"another"
    server = hosted()
    assert ask(server, "/").body == index_of("one")
    assert ask(server, MAIN).status == 502


def test_an_inventory_that_cannot_be_used(
    hosted: Any, web: Site, caplog: pytest.LogCaptureFixture
) -> None:
    files = build_files("one")
    cases = [
        ({"version": 2}, "has an inventory that has version 2; this program reads version 1"),
        ({"build_id": "two"}, "is changing: its page and its inventory name two builds"),
        ({"assets": []}, "has an inventory that does not list index.html"),
    ]
    for changed, told in cases:
        publish(web, files, **changed)
        page = ask(hosted(), "/")
        assert (page.status, page.body.count(BANNER)) == (200, 1)
        assert BUILT_IN in page.body
        assert f"could not be loaded: it {told}. This is the built-in page.".encode() in page.body
        assert f"{web.url} {told}; shown is the built-in page" in caplog.messages
    publish(web, files | {"index.html": index_of("one", "other")})
    web.files["index.html"] = index_of("one")
    assert b"sent a page that is not the one of its inventory" in ask(hosted(), "/").body


def test_a_kept_build_is_shown_when_the_next_cannot_be_used(hosted: Any, web: Site) -> None:
    publish(web, build_files("one"))
    server = hosted()
    ask(server, "/")
    publish(web, build_files("two"), "two", version=2)
    page = ask(server, "/").body
    assert page.startswith(index_of("one").partition(b"<body>")[0] + b'<body><div role="status"')
    assert b"its site has an inventory that has version 2" in page
    assert b'<a href="_cellucid/page/"' in page
    assert page.count(b"</body>") == 1
    web.files.clear()
    assert ask(server, "/").status == 200


def test_a_build_with_all_files_outlives_a_new_one_that_has_not(
    exported: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"viewer": "hosted", "viewer_cache": tmp_path / "web"}
    with site() as web, serving(exported, viewer_url=web.url, **options) as server:
        url, files = web.url, build_files("one")
        publish(web, files)
        ask(server, "/")
        for path in files:
            ask(server, f"/{path}")
        publish(web, build_files("two"), "two")
        assert ask(server, "/").body == index_of("two")
        assert ask(server, MAIN).body == b"export const build = 'two';"
    with serving(exported, viewer_url=url, **options) as server:
        assert ask(server, "/").body == index_of("one"), "two is not there with all its files"
        for path, body in files.items():
            assert ask(server, f"/{path}").body == body
        with site(urlsplit(url).port or 0) as web:
            publish(web, files := build_files("two"), "two")
            forget(server)
            ask(server, "/")
            for path in files:
                assert ask(server, f"/{path}").status == 200
            publish(web, build_files("three"), "three")
            ask(server, "/")
    folders = {path.name for path in (tmp_path / "web").glob("*/*")}
    assert folders == {named("two"), named("three")}


def test_a_server_that_loses_its_site_goes_back_to_the_build_with_all_files(
    hosted: Any, web: Site
) -> None:
    publish(web, files := build_files("one"))
    server = hosted()
    ask(server, "/")
    for path in files:
        ask(server, f"/{path}")
    publish(web, build_files("two"), "two")
    assert ask(server, "/").body == index_of("two")
    web.raw("index.html", b"")
    assert ask(server, "/").body == index_of("one")
    for path, body in files.items():
        assert ask(server, f"/{path}").body == body
    publish(web, build_files("two"), "two")
    forget(server)
    assert ask(server, "/").body == index_of("two")
