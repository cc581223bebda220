"""Builds of the hosted page: a new one is fetched whole, an old one is kept."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hosted_site import BANNER, BUILT_IN, MAIN, PORTAL, forget, kept
from serving import ask, free_port, serving, wait_until
from upstream import Site, index_of, moved, site, whole

from cellucid_dask.server.hosted.cache import named


def test_another_build_takes_the_place_of_the_first(hosted: Any, web: Site, tmp_path: Path) -> None:
    server = hosted()
    ask(server, "/")
    ask(server, MAIN)
    before = kept(tmp_path)
    assert len(before) == 2
    web.publish("two")
    assert ask(server, MAIN).body == b"export const build = 'one';", "the page was not loaded again"
    assert ask(server, "/").body == index_of("two")
    assert ask(server, MAIN).body == b"export const build = 'two';"
    assert len(kept(tmp_path)) == 2
    folders = [path.name for path in (tmp_path / "web").glob("*/*")]
    assert folders == [named("two")]


def test_a_build_that_changes_while_a_page_loads_is_not_mixed(
    hosted: Any, web: Site, tmp_path: Path
) -> None:
    web.publish("one", late=b"late of one")
    server = hosted()
    ask(server, "/")
    first = ask(server, MAIN)
    web.publish("two", late=b"late of two")
    late = ask(server, "/assets/js/late.js")
    assert (late.status, late.body) == (503, b"the hosted page has changed: reload it\n")
    assert ask(server, MAIN).body == first.body
    assert ask(server, "/assets/js/late.js").status == 503, "it has not been loaded again"
    assert ask(server, "/").body == index_of("two")
    assert ask(server, "/assets/js/late.js").body == b"late of two"
    assert ask(server, MAIN).body == b"export const build = 'two';"


def test_a_build_that_changes_while_a_file_is_on_its_way(hosted: Any, web: Site) -> None:
    def behave(sock: socket.socket) -> None:
        answer = whole(b"of one, they say", "text/javascript")
        sock.sendall(answer[:-4])
        web.files["index.html"] = index_of("two")
        sock.sendall(answer[-4:])

    server = hosted()
    ask(server, "/")
    web.files[MAIN[1:]] = behave
    assert ask(server, MAIN).status == 503
    web.files[MAIN[1:]] = b"of two"
    ask(server, "/")
    assert ask(server, MAIN).body == b"of two"


def test_an_answer_under_way_does_not_speak_for_later(hosted: Any, web: Site) -> None:
    """The site was asked for its build before the file came: that says nothing of the file."""
    go = threading.Event()

    def behave(sock: socket.socket) -> None:
        web.files["index.html"] = index_of("two")
        go.wait(60)
        sock.sendall(whole(index_of("one")))

    server = hosted()
    ask(server, "/")
    web.files |= {"index.html": behave, MAIN[1:]: b"of two"}
    with ThreadPoolExecutor(2) as pool:
        page = pool.submit(ask, server, "/")
        wait_until(lambda: web.asked["index.html"] == 2, "the page is not asked for")
        script = pool.submit(ask, server, MAIN)
        wait_until(lambda: web.asked[MAIN[1:]], "the file is not asked for")
        time.sleep(0.2)  # for the file to be there first; without it the test shows less
        go.set()
        assert page.result().body == index_of("one")
        assert script.result().status == 503


def test_two_servers_that_share_a_folder_do_not_mix_builds(hosted: Any, web: Site) -> None:
    web.publish("one", late=b"late of one")
    old, new = hosted(), hosted()
    ask(old, "/")
    ask(old, MAIN)
    web.publish("two", late=b"late of two")
    ask(new, "/")  # removes what the other kept
    assert ask(new, MAIN).body == b"export const build = 'two';"
    for path in (MAIN, "/assets/js/late.js"):
        assert ask(old, path).status == 503
    ask(old, "/")
    assert ask(old, MAIN).body == b"export const build = 'two';"


def test_a_page_that_was_loaded_before_the_server_started(hosted: Any, web: Site) -> None:
    assert ask(hosted(), MAIN).body == web.files[MAIN[1:]]


ODD = [
    "../../up",
    "a/b",
    "..",
    ".",
    "C:\\x",
    "ä ö",
    "x" * 200,
    "&quot;&amp;",
    "\u202e",
    "index.html",
]


@pytest.mark.parametrize("build", ODD)
def test_builds_with_odd_names(hosted: Any, web: Site, tmp_path: Path, build: str) -> None:
    web.publish(build)
    server = hosted()
    assert ask(server, "/").body == index_of(build)
    assert ask(server, MAIN).status == 200
    (folder,) = (tmp_path / "web").glob("*/*")
    assert len(list(folder.iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_a_page_that_was_kept_is_shown_without_the_site(exported: Path, tmp_path: Path) -> None:
    options = {"viewer": "hosted", "viewer_cache": tmp_path / "web"}
    with site(free_port()) as web, serving(exported, viewer_url=web.url, **options) as server:
        url = web.url
        ask(server, "/")
        script = ask(server, MAIN).body
    with serving(exported, viewer_url=url, **options) as server:
        assert ask(server, "/").body == index_of("one")
        assert ask(server, MAIN).body == script
        reply = ask(server, "/assets/js/other.js")
        assert (reply.status, reply.get("Retry-After")) == (503, "5")
        with site(urlsplit(url).port or 0) as web:
            web.publish("two")
            assert ask(server, "/").body == index_of("one"), "it is not asked for some seconds"
            assert not web.asked
            forget(server)
            assert ask(server, "/").body == index_of("two")


def test_the_built_in_page_comes_with_a_banner(
    hosted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    server = hosted(url=f"http://127.0.0.1:{port}")
    for _ in range(3):
        page = ask(server, "/")
        assert (page.status, page.body.count(BANNER)) == (200, 1)
        assert BUILT_IN in page.body
        assert f"The page of 127.0.0.1:{port} could not be loaded".encode() in page.body
        assert (page.get("Content-Security-Policy") or "").startswith("default-src 'self';")
    assert ask(server, "/_cellucid/page/viewer.js").status == 200
    assert ask(server, MAIN).status == 503
    told = [r.getMessage() for r in caplog.records if "shown is the built-in page" in r.message]
    assert len(told) == 1
    assert not (tmp_path / "web").exists()


def test_only_a_page_with_a_build_is_the_page(hosted: Any, web: Site) -> None:
    server = hosted()
    web.files["index.html"] = PORTAL
    assert b"names no build" in ask(server, "/").body
    web.publish("one")
    assert ask(server, "/").body == index_of("one")
    web.files["index.html"] = PORTAL
    assert ask(server, "/").body == index_of("one"), "what was kept"


def test_text_of_the_site_is_no_markup_in_the_banner(
    hosted: Any, web: Site, caplog: pytest.LogCaptureFixture
) -> None:
    web.raw("index.html", moved("http://127.0.0.1:1/<script>alert(1)</script>"))
    server = hosted()
    body = ask(server, "/").body
    assert b"redirects to another site, http://127.0.0.1:1. " in body
    assert b"alert(1)" not in body
    others = {"http://<img>/": "another site", "http://<img onerror=1>\x1bx/": "what is no address"}
    for location, told in others.items():
        web.raw("index.html", moved(location))
        body = ask(server, "/").body
        assert f"redirects to {told}. ".encode() in body
        assert b"<img" not in body
    assert "\x1b" not in caplog.text
