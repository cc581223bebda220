"""A site of the hosted page that is wrong, slow or silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hosted_site import BANNER, MAIN, forget, kept
from serving import ask, free_port, internal, wait_until
from upstream import Site, certificate, index_of, moved, site, whole


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
    reply = ask(server, "/" + path)
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
    reply = ask(server, "/" + path)
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


def test_requests_at_once_are_one_for_the_site(hosted: Any, web: Site) -> None:
    server = hosted()
    ask(server, "/")
    go = threading.Event()

    def behave(sock: socket.socket) -> None:
        go.wait(60)
        sock.sendall(whole(b"once", JS))

    web.files[MAIN[1:]] = behave
    with ThreadPoolExecutor(10) as pool:
        replies = [pool.submit(ask, server, MAIN) for _ in range(10)]
        wait_until(lambda: web.asked[MAIN[1:]], "nobody asks the site")
        assert ask(server, "/obs_manifest.json").status == 200
        go.set()
        assert {reply.result().body for reply in replies} == {b"once"}
    assert web.asked[MAIN[1:]] == 1


def test_a_site_that_hangs_does_not_stop_the_server(
    hosted: Any, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than may wait: the rest are told so at once, and data is answered."""
    monkeypatch.setattr(internal("hosted.deadline"), "SILENT", 3600)
    monkeypatch.setattr(internal("hosted.page"), "FILE_SECONDS", 3600)
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
        assert ask(server, "/obs_manifest.json").status == 200
        asked = [name for name in web.asked if name.startswith("assets/")]
        assert len(asked) <= internal("hosted.page").FETCHES
        web.over.set()
        assert {reply.result().status for reply in replies} <= {502, 503}
