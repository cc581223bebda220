"""The page of a web site through the server, from sites that are well, slow, false or gone."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import make_atlas
from serving import ask, internal, serving, wait_until
from upstream import Site, certificate, index_of, moved, site, whole

from cellucid_dask import CellucidServer, create_app, export
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.hosted.build import build_id
from cellucid_dask.server.hosted.cache import WebCache, named
from cellucid_dask.server.hosted.paths import MEDIA, media_of

MAIN = "/assets/js/main.js"
BUILT_IN = b"_cellucid/page/viewer.js"
PORTAL = b"<!doctype html><html><body>Log in to the guest network</body></html>"
BANNER = b'<p class="banner" role="status">'


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export; nothing changes it."""
    folder = tmp_path_factory.mktemp("hosted") / "export"
    export(make_atlas(60, 6), folder, quiet=True, workers=1, dataset_id="atlas")
    return folder


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time that a test can wait for."""
    monkeypatch.setattr(internal("hosted.upstream"), "CONNECT", 0.5)
    monkeypatch.setattr(internal("hosted.deadline"), "SILENT", 0.5)
    monkeypatch.setattr(internal("hosted.page"), "INDEX_SECONDS", 1.5)
    monkeypatch.setattr(internal("hosted.page"), "FILE_SECONDS", 1.5)


@pytest.fixture
def hosted(exported: Path, web: Site, tmp_path: Path) -> Iterator[Callable[..., CellucidServer]]:
    """Start a server of the export with the page of the site; all share one cache folder."""
    with contextlib.ExitStack() as stack:

        def start(data: Path = exported, url: str = "", **options: Any) -> CellucidServer:
            given = {"viewer_cache": tmp_path / "web", **options}
            return stack.enter_context(
                serving(data, viewer="hosted", viewer_url=url or web.url, **given)
            )

        yield start


def forget(server: CellucidServer) -> None:
    """Ask a site that was down at once, not after some seconds."""
    assert server.app.hosted is not None
    server.app.hosted._down = (0.0, "")


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# ------------------------------------------------------------------------------ as it should be


def test_the_page_and_its_files_come_from_the_site(hosted: Any, web: Site) -> None:
    web.files["favicon.ico"] = b"\0\0\1\0"
    web.files["assets/fonts/inter.woff2"] = b"wOF2"
    server = hosted()
    page = ask(server, "/?anndata=true")
    assert (page.status, page.body) == (200, index_of("one"))
    assert page.get("Content-Type") == "text/html; charset=utf-8"
    assert ask(server, "/index.html").body == index_of("one")
    script = ask(server, MAIN + "?v=3")
    assert (script.status, script.body) == (200, web.files[MAIN[1:]])
    assert script.get("Content-Type") == "text/javascript; charset=utf-8"
    for reply in (page, script):
        assert reply.get("X-Content-Type-Options") == "nosniff"
        policy = reply.get("Content-Security-Policy") or ""
        assert policy.startswith("default-src 'self' data: blob:;")
        reached = [part for part in policy.split("; ") if not part.startswith("frame-ancestors ")]
        assert "http" not in "".join(reached), "nothing but this server can be reached"
        assert reply.get("Referrer-Policy") == "same-origin"
    assert ask(server, "/assets/fonts/inter.woff2").get("Content-Type") == "font/woff2"
    assert ask(server, "/favicon.ico").body == b"\0\0\1\0"
    assert ask(server, "/obs_manifest.json").status == 200
    assert ask(server, "/_cellucid/health").status == 200


def test_nothing_of_the_client_goes_to_the_site(hosted: Any, web: Site) -> None:
    server = hosted(token="of-this-server")
    assert ask(server, MAIN).status == 401
    assert not web.heads
    headers = {"Cookie": "secret=1", "Referer": "http://private.lab/", "User-Agent": "Mosaic"}
    page = ask(server, "/?token=of-this-server&x=secret", headers)
    assert page.body == index_of("one")
    cookie = (page.get("Set-Cookie") or "").partition(";")[0]
    assert ask(server, MAIN, {"Cookie": cookie}).status == 200
    assert len(web.heads) == 3  # the page, the file, and whether the build is still the same
    sent = b"".join(web.heads)
    for word in (b"secret", b"token", b"of-this-server", b"private", b"Mosaic", b"Cookie"):
        assert word not in sent


def test_files_are_kept_and_answered_as_any_other(hosted: Any, web: Site) -> None:
    server = hosted()
    ask(server, "/")
    first = ask(server, MAIN)
    asked = web.asked[MAIN[1:]]
    assert ask(server, MAIN).body == first.body
    assert ask(server, MAIN, method="HEAD").get("Content-Length") == str(len(first.body))
    part = ask(server, MAIN, {"Range": "bytes=7-11"})
    assert (part.status, part.body) == (206, first.body[7:12])
    tag = first.get("ETag")
    assert ask(server, MAIN, {"If-None-Match": tag}).status == 304
    page = ask(server, "/")
    assert ask(server, "/", {"If-None-Match": page.get("ETag")}).status == 304
    assert web.asked[MAIN[1:]] == asked == 1
    another = hosted()  # with the same folder
    assert ask(another, MAIN).body == first.body
    assert web.asked[MAIN[1:]] == 1


def test_a_site_below_a_path_and_redirects_within(hosted: Any, web: Site) -> None:
    web.files["app/index.html"] = index_of("below")
    web.raw("app/assets/js/main.js", moved("/app/assets/js/moved.js"))
    web.raw("app/assets/js/moved.js", moved("again.js"))
    web.files["app/assets/js/again.js"] = b"again"
    server = hosted(url=f"{web.url}/app/")
    assert ask(server, "/").body == index_of("below")
    assert ask(server, MAIN).body == b"again"


def test_behind_a_base_path(hosted: Any, web: Site) -> None:
    server = hosted(base_path="/cellucid")
    assert ask(server, "/cellucid/").body == index_of("one")
    assert ask(server, "/cellucid" + MAIN).status == 200
    assert ask(server, MAIN).status == 404


def test_an_index_is_asked_for_by_its_tag(hosted: Any, web: Site) -> None:
    tagged = whole(index_of("one"), "text/html", 'ETag: "of-one"')
    same = whole(b"", status="304 Not Modified")

    def behave(sock: socket.socket) -> None:
        sock.sendall(same if b'If-None-Match: "of-one"' in web.heads[-1] else tagged)

    web.files["index.html"] = behave
    server = hosted()
    for _ in range(2):
        assert ask(server, "/").body == index_of("one")
        assert ask(server, MAIN).status == 200
    assert sum(b"If-None-Match" in head for head in web.heads) == 2
    web.publish("two")
    assert ask(server, "/").body == index_of("two")


# ------------------------------------------------------------------------------ builds


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
        go.wait(10)
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


# ------------------------------------------------------------------------------ offline


def test_a_page_that_was_kept_is_shown_without_the_site(exported: Path, tmp_path: Path) -> None:
    options = {"viewer": "hosted", "viewer_cache": tmp_path / "web"}
    with site() as web, serving(exported, viewer_url=web.url, **options) as server:
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


# ------------------------------------------------------------------------------ false and slow


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


JS = "text/javascript"
FALSE = {
    "less than announced": whole(b"x" * 100, JS)[:-1],
    "more than announced": whole(b"x" * 100, JS) + b"x",
    "much more than announced": whole(b"x" * 100, JS) + b"x" * 3_000_000,
    "chunks without an end": chunks(b"x" * 100, end=b""),
    "chunks and more": chunks(b"x" * 100) + b"x",
    "chunks that are none": chunks(b"x" * 100, end=b"zz\r\n"),
    "no length": b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n\r\nxxx",
    "no length and nothing": b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxxx",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nxxxx",
    "too large": b"HTTP/1.1 200 OK\r\nContent-Length: 32000001\r\n\r\n" + b"x" * 100_000,
    "a coding": whole(b"\x1f\x8b\x08" + b"x" * 100, JS, "Content-Encoding: gzip"),
    "a part": whole(b"xxx", JS, "Content-Range: bytes 0-2/9", status="206 Partial Content"),
    "an error": whole(b"broken", "text/plain", status="500 Internal Server Error"),
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a page by its type": whole(b"export {};", "text/html; charset=utf-8"),
    "a page by its bytes": whole(b"\xef\xbb\xbf \n<!DOCTYPE html><p>no such file", JS),
    "a redirect away": moved("http://127.0.0.1:1/x.js"),
    "a redirect to another scheme": moved("file:///etc/passwd"),
    "a redirect to itself": moved("main.js"),
    "a redirect to nowhere": moved("http://[/x"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "nothing": b"",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("lie", FALSE)
def test_a_false_file_is_neither_answered_nor_kept(
    hosted: Any, web: Site, tmp_path: Path, lie: str
) -> None:
    server = hosted()
    ask(server, "/")
    good = web.files[MAIN[1:]]
    web.raw(MAIN[1:], FALSE[lie])
    reply = ask(server, MAIN)
    assert reply.status in (502, 503)
    assert reply.body.startswith(b"the site of the hosted page ")
    assert len(kept(tmp_path)) == 1
    web.files[MAIN[1:]] = good
    forget(server)
    assert ask(server, MAIN).body == good, "it is asked for again"
    assert ask(server, "/obs_manifest.json").status == 200


def test_a_redirect_whose_host_is_read_in_two_ways(hosted: Any, web: Site) -> None:
    """Before the backslash for what connects, behind it for other parsers."""
    server = hosted()
    ask(server, "/")
    with site() as other:
        other.files["x.js"] = b"of another"
        web.raw(MAIN[1:], moved(f"http://127.0.0.1:{other.port}\\@127.0.0.1:{web.port}/x.js"))
        assert ask(server, MAIN).status == 502
        assert not other.heads


def test_chunks_are_as_good_as_a_length(hosted: Any, web: Site) -> None:
    server = hosted()
    ask(server, "/")
    web.raw(MAIN[1:], chunks(b"one ", b"two"))
    assert ask(server, MAIN).body == b"one two"


@pytest.mark.parametrize("path", ["index.html", MAIN[1:]])
@pytest.mark.parametrize("after", ["nothing", "half a head", "half a body"])
def test_a_site_that_hangs(hosted: Any, web: Site, hasty: None, path: str, after: str) -> None:
    answer = whole(index_of("two"), "text/html" if path == "index.html" else JS)
    server = hosted()
    if path != "index.html":
        ask(server, "/")
    web.hang(path, {"nothing": b"", "half a head": answer[:30]}.get(after, answer[:-9]))
    reply = ask(server, "/" + path, seconds=8)
    if path == "index.html":
        assert (reply.status, reply.body.count(BANNER)) == (200, 1)
    else:
        assert reply.status in (502, 503)
    assert ask(server, "/obs_manifest.json").status == 200


@pytest.mark.parametrize("path", ["index.html", MAIN[1:]])
def test_a_site_that_drips(hosted: Any, web: Site, hasty: None, path: str) -> None:
    """Every pause is short; the whole would take minutes, the head alone as well."""
    server = hosted()
    if path != "index.html":
        ask(server, "/")
    web.drip(path, whole(b"x" * 3000, JS), 0.05)
    reply = ask(server, "/" + path, seconds=8)
    assert reply.status in (200, 502, 503)
    assert (BANNER in reply.body) == (path == "index.html")
    assert server.app.hosted is not None
    slots = server.app.hosted._files._slots
    wait_until(lambda: slots._value == internal("hosted.page").FETCHES, "the site is read on")


def test_a_site_that_takes_no_connection(hosted: Any, hasty: None) -> None:
    """As behind a firewall: a full backlog answers no one."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname())
        server = hosted(url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert BANNER in ask(server, "/").body
        assert ask(server, "/obs_manifest.json").status == 200


def test_a_large_index_is_refused(hosted: Any, web: Site) -> None:
    web.files["index.html"] = index_of("one", "x" * 2_000_000)
    assert b"sent more than 2,000,000 bytes" in ask(hosted(), "/").body


def test_a_missing_file_is_missing(hosted: Any, web: Site, tmp_path: Path) -> None:
    server = hosted()
    ask(server, "/")
    reply = ask(server, "/assets/js/none.js")
    assert (reply.status, reply.body) == (404, b"there is no such path\n")
    assert len(kept(tmp_path)) == 1


def test_a_certificate_is_verified(
    hosted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that nobody vouches for, and the same once somebody does."""
    paths = certificate(tmp_path)
    with site(tls=paths) as web:
        server = hosted(url=web.url)
        assert b"cannot be reached (SSLError)" in ask(server, "/").body
        assert not web.heads
        monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
        forget(server)
        assert ask(server, "/").body == index_of("one")
        assert ask(server, MAIN).status == 200
        forget(other := hosted(url=web.url.replace("127.0.0.1", "localhost")))
        assert BANNER in ask(other, "/").body, "the certificate is of another name"


def test_a_proxy_of_the_environment_is_used(
    hosted: Any, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the nodes of many clusters; but not for this machine."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", web.url)
    server = hosted(url="http://cellucid.invalid")
    assert ask(server, "/").body == index_of("one")
    assert ask(server, MAIN).status == 200
    assert web.heads[0].startswith(b"GET http://cellucid.invalid/index.html HTTP/1.1\r\n")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert ask(hosted(), "/").body == index_of("one")


# ------------------------------------------------------------------------------ many at once


def test_requests_at_once_are_one_for_the_site(hosted: Any, web: Site) -> None:
    server = hosted()
    ask(server, "/")
    go = threading.Event()

    def behave(sock: socket.socket) -> None:
        go.wait(10)
        sock.sendall(whole(b"once", JS))

    web.files[MAIN[1:]] = behave
    with ThreadPoolExecutor(10) as pool:
        replies = [pool.submit(ask, server, MAIN) for _ in range(10)]
        wait_until(lambda: web.asked[MAIN[1:]], "nobody asks the site")
        assert ask(server, "/obs_manifest.json").status == 200
        go.set()
        assert {reply.result().body for reply in replies} == {b"once"}
    assert web.asked[MAIN[1:]] == 1


def test_a_site_that_hangs_does_not_stop_the_server(hosted: Any, web: Site) -> None:
    """More requests than may wait: the rest are told so at once, and data is answered."""
    waiting = internal("hosted.page").WAITING
    assert waiting < internal("http.listener").THREADS / 2
    server = hosted()
    ask(server, "/")
    for number in range(waiting + 6):
        web.hang(f"assets/{number}.js", b"HTTP/1.1 200 OK\r\n")
    with ThreadPoolExecutor(waiting + 6) as pool:
        replies = [pool.submit(ask, server, f"/assets/{n}.js") for n in range(waiting + 6)]
        busy = wait_until(lambda: [r for r in replies if r.done()], "all of them wait")
        assert (busy[0].result().status, busy[0].result().get("Retry-After")) == (503, "2")
        assert ask(server, "/obs_manifest.json", seconds=2).status == 200
        asked = [name for name in web.asked if name.startswith("assets/")]
        assert len(asked) <= internal("hosted.page").FETCHES
        web.over.set()
        assert {reply.result().status for reply in replies} <= {502, 503}


# ------------------------------------------------------------------------------ the folder


def test_a_folder_that_cannot_be_written(
    hosted: Any, web: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = hosted()
    assert server.app.hosted is not None
    folder = server.app.hosted.cache.folder
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    for _ in range(2):
        assert ask(server, "/").body == index_of("one")
        assert ask(server, MAIN).status == 200
    assert web.asked[MAIN[1:]] == 2
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 1
    assert re.fullmatch(
        r"the hosted page is not kept in .*: (Not a directory|File exists)", told[0]
    )
    assert folder.read_text() == "in the way"


def test_a_folder_that_is_full(hosted: Any, web: Site, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(internal("hosted.cache"), "TOTAL", 1000)
    server = hosted()
    ask(server, "/")
    web.files["assets/big.bin"] = b"x" * 900
    assert ask(server, "/assets/big.bin").status == 200
    assert ask(server, MAIN).status == 200
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1500
    assert not [name for name in kept(tmp_path) if "big" in name]


@pytest.mark.parametrize("spoil", ["cut", "flipped", "emptied", "another's", "a pipe"])
def test_damaged_files_are_fetched_again(
    hosted: Any, web: Site, tmp_path: Path, spoil: str
) -> None:
    server = hosted()
    ask(server, "/")
    good = ask(server, MAIN).body
    (path,) = (tmp_path / "web").rglob("*main.js*")
    data = path.read_bytes()
    spoilt = {"cut": data[:-3], "flipped": data[:-1] + b"!", "emptied": b""}
    (other,) = (tmp_path / "web").rglob("index.html*")
    if spoil == "a pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(spoilt.get(spoil, other.read_bytes()))
    assert ask(server, MAIN).body == good
    assert web.asked[MAIN[1:]] == 2
    assert path.read_bytes() == data


def test_what_killed_writers_left_is_removed(hosted: Any, tmp_path: Path) -> None:
    ask(hosted(), "/")
    (folder,) = (tmp_path / "web").glob("*/*")
    old, new = folder / ".unfinished-old", folder / ".unfinished-new"
    for path in (old, new):
        path.write_bytes(b"half")
    past = time.time() - 2 * 86_400
    os.utime(old, (past, past))
    (folder / folder.joinpath(named("index.html")).name).unlink()
    ask(hosted(), "/")
    assert not old.exists()
    assert new.exists()


def test_an_index_that_was_removed_is_kept_again(hosted: Any, tmp_path: Path) -> None:
    """Without it, what is kept besides would be of no use when the site is gone."""
    server = hosted()
    ask(server, "/")
    before = kept(tmp_path)
    shutil.rmtree(tmp_path / "web")
    ask(server, "/")
    assert kept(tmp_path) == before


def test_a_folder_that_others_purge_is_no_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = (WebCache(tmp_path, "https://x.org") for _ in range(2))
    over = threading.Event()

    def purge() -> None:
        while not over.is_set():
            others.purge("two")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(purge)
        for number in range(100):
            ours.put("one", f"assets/{number}.js", b"x")
        over.set()
    assert not caplog.records
    assert ours.get("one", "assets/99.js") in (None, b"x")


def test_only_the_folder_of_the_site_is_purged(hosted: Any, web: Site, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "thesis.txt").write_text("years of work")
    other = WebCache(tmp_path / "web", "https://other.org")
    other.put("one", "index.html", b"other")
    server = hosted()
    ask(server, "/")
    web.publish("two")
    ask(server, "/")
    assert (tmp_path / "web" / "thesis.txt").read_text() == "years of work"
    assert other.latest() == ("one", b"other")


# ------------------------------------------------------------------------------ paths


NOT_OF_THE_PAGE = [
    "/assets",
    "/assets/",
    "/assets/js",
    "/assets/js/main.exe",
    "/assets/js/main.php",
    "/assets/.git/config.js",
    "/assets/../index.js",
    "/assets/%2e%2e/main.js",
    "/assets/js%2fmain.js.",
    "/assets//main.js",
    "/assets/js/main.js/",
    "/assets/js%5cmain.js",
    "/assets/js/%2e%2e%2fmain.js",
    "/assets/js/%252e%252e/main.js",
    "/assets/js/main.js%00",
    "/assets/js/main.js%0a",
    "/assets/js/ma%20in.js",
    "/assets/js/m%C3%A4in.js",
    "/assets/js/main.js%3fx=.js",
    "/assets/" + "x/" * 200 + "main.js",
    "/ASSETS/js/main.js",
    "/main.js",
    "/robots.txt",
    "/cellucid-web-assets.json",
    "/http://127.0.0.1:1/assets/main.js",
    "/assets/http://127.0.0.1:1/main.js",
]


def test_other_paths_are_not_asked_of_the_site(hosted: Any, web: Site) -> None:
    server = hosted()
    for path in NOT_OF_THE_PAGE:
        assert ask(server, path).status in (400, 404), path
    assert not web.heads


texts = st.text(st.characters(codec="utf-8"), max_size=30) | st.lists(
    st.sampled_from(["..", ".", "a", "/", "%2e", "\\", "a.js", ":", "?", "#", "~", "@", "\n"])
).map("".join)


@given(texts | texts.map("assets/{}.js".format))
def test_a_path_of_the_page_is_written_in_one_way(path: str) -> None:
    if media_of(path) is None:
        return
    assert media_of(path) in MEDIA.values()
    assert urlsplit(f"http://host/{path}") == ("http", "host", f"/{path}", "", "")
    parts = PurePosixPath(path).parts
    assert "/".join(parts) == path
    assert not any(part.startswith(".") for part in parts)
    assert re.fullmatch(r"[!-~]+", path)


@given(texts)
def test_names_of_files_stay_in_their_folder(text: str) -> None:
    name = named(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}", name)
    assert text == "" or named(text + "x") != name


@given(st.text("abcXYZ0189.:_-+/\\ '&<>é", min_size=1, max_size=60).map(str.strip).filter(bool))
def test_builds_are_read_as_they_are_written(build: str) -> None:
    written = build.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    meta = f'name="cellucid-web-build-id" content="{written}"'
    swapped = f'content="{written}"\n name=cellucid-web-build-id '
    for tag in (f"<meta {meta}>", f"<META {meta} />", f"<meta {swapped}/>"):
        assert build_id(f"<html>{tag}</html>".encode()) == build
        assert build_id(f"{tag}{tag}".encode()) == build
        another = tag.replace(f'"{written}"', '"another"')
        assert build_id(f"{tag}{another}".encode()) is None


@pytest.mark.parametrize(
    "tag",
    [
        "",
        '<meta name="cellucid-web-build-id">',
        '<meta name="cellucid-web-build-id" content="">',
        '<meta name="cellucid-web-build-id" content="  ">',
        '<meta name="cellucid-web-build-identity" content="x">',
        '<meta name="x-cellucid-web-build-id" content="x">',
        f'<meta name="cellucid-web-build-id" content="{"x" * 201}">',
        '<p>meta name="cellucid-web-build-id" content="x"</p>',
    ],
)
def test_pages_without_a_build(tag: str) -> None:
    assert build_id(f"<html><head>{tag}</head></html>".encode()) is None


def test_data_comes_before_the_page(hosted: Any, web: Site, exported: Path, tmp_path: Path) -> None:
    """A dataset may be called assets; what it does not have is the page's."""
    shutil.copytree(exported, tmp_path / "root" / "assets")
    web.files["assets/obs_manifest.json"] = b"of the site"
    web.files["assets/other.json"] = b"{}"
    server = hosted(tmp_path / "root")
    ask(server, "/")
    manifest = (exported / "obs_manifest.json").read_bytes()
    assert ask(server, "/assets/obs_manifest.json").body == manifest
    assert ask(server, MAIN).body == web.files[MAIN[1:]]
    assert ask(server, "/assets/other.json").body == b"{}"
    assert not web.asked["assets/obs_manifest.json"]


def test_the_page_comes_when_the_data_is_gone(hosted: Any, saved: Any) -> None:
    """It tells what is wrong."""
    path = saved(make_atlas(60, 6))
    server = hosted(path)
    assert ask(server, "/obs_manifest.json").status == 200
    path.unlink()
    wait_until(lambda: ask(server, "/obs_manifest.json").status == 503, "it is served still")
    assert ask(server, "/").status == 200
    assert ask(server, MAIN).status == 200


# ------------------------------------------------------------------------------ options


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"viewer": "other"}, "viewer", "'other' is not a viewer"),
    ({"viewer_url": "https://x.org"}, "viewer_url", "is for the hosted page only"),
    ({"viewer_cache": "x", "viewer": "none"}, "viewer_cache", "is for the hosted page only"),
    ({"viewer": "hosted", "viewer_cache": __file__}, "viewer_cache", "is not a folder"),
]
URLS = [
    "",
    "x.org",
    "//x.org",
    "ftp://x.org",
    "file:///etc",
    "https://",
    "https:///assets",
    "https://me@x.org",
    "https://me:secret@x.org",
    "https://x.org?x",
    "https://x.org/?",
    "https://x.org/#x",
    "https://x.org:0",
    "https://x.org:65536",
    "https://x.org:port",
    "https://x.org:٣",
    "https://x.org/a b",
    "https://x.org/../y",
    "https://x.org/%2e",
    "https://x.org\\y",
    "https://x.org\r\nX: y",
    "https://[::1",
    "https://[x]",
    "https://é.org",
]
WRONG += [({"viewer": "hosted", "viewer_url": u}, "viewer_url", "not the URL of") for u in URLS]


@pytest.mark.parametrize(("options", "where", "what"), WRONG)
def test_wrong_options(exported: Path, options: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(CellucidDaskError) as caught:
        create_app(exported, **options)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert what in problem.what


def test_sites_that_can_be_named(exported: Path, tmp_path: Path) -> None:
    for url in ("https://x.org", "http://localhost:4173/", "https://[::1]:8/a/b-c.d", "HTTPS://x"):
        if url.startswith("http"):
            app = create_app(exported, viewer="hosted", viewer_url=url, viewer_cache=tmp_path)
            assert app.hosted is not None
            assert app.hosted.url == url.rstrip("/")
    usual = create_app(exported, viewer="hosted", viewer_cache=tmp_path)
    assert usual.hosted is not None
    assert usual.hosted.url == "https://www.cellucid.com"
    assert list(tmp_path.iterdir()) == []


def test_the_usual_folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLUCID_DASK_CACHE", str(tmp_path))
    app = create_app(exported, viewer="hosted")
    assert app.hosted is not None
    assert app.hosted.cache.folder.parent == tmp_path / "web"


def test_a_server_of_data_only(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(exported, viewer="none", quiet=False, open_browser=True) as server:
        for path in ("/", "/index.html"):
            reply = ask(server, path)
            assert reply.status == 404
            assert reply.body == b"this server serves data only, and no page (--viewer none)\n"
        assert ask(server, "/_cellucid/page/viewer.js").status == 404
        assert ask(server, MAIN).status == 404
        assert ask(server, "/obs_manifest.json").status == 200
        assert ask(server, "/_cellucid/health").status == 200
        assert f"no page, data only: {server.url}/" in capsys.readouterr().out.splitlines()


def test_what_is_printed_of_the_hosted_page(
    hosted: Any, web: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    server = hosted(quiet=False)
    out = capsys.readouterr().out
    assert f"the page of {web.url}, kept in " in out
    assert f"open {server.url}/" in out.splitlines()
    assert not web.heads, "it is fetched when it is asked for"
