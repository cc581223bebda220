"""The hosted page when its site responds as it should."""

from __future__ import annotations

import socket
from typing import Any

from hosted_site import MAIN
from serving import ask
from upstream import Site, index_of, moved, whole


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
    # the page, its inventory, the file, and whether the build is still the same
    assert len(web.heads) == 4
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
