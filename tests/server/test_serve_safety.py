"""Who may ask and what: hosts, origins, tokens, limits, and whatever bytes a client may send."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import CREATED, file_bytes, make_atlas
from serving import (
    MANIFESTS,
    Client,
    Reply,
    Wire,
    ask,
    internal,
    request,
    said,
    serving,
    wait_until,
    with_long_payload,
)

from cellucid_dask import CellucidDaskError, CellucidServer, export

TOKEN = "a-token_of.tests~1"
POINTS = "/points_2d.bin.gz"
BIG = 24_000_000  # bytes; much more than the kernel holds for a client that reads nothing
CORS = {
    "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Range",
    "access-control-expose-headers": "Content-Length, Content-Range, ETag",
}
FUZZ = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="session")
def atlas_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export with everything; nothing changes it."""
    folder = tmp_path_factory.mktemp("safety") / "export"
    names = {"dataset_id": "atlas", "dataset_name": "An atlas", "created_at": CREATED}
    export(make_atlas(60, 6), folder, quiet=True, workers=1, **names)
    (folder / "stray.txt").write_text("a byte from outside")
    return folder


@pytest.fixture(scope="module")
def server(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server on a loopback address without a token."""
    with serving(atlas_export) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server that waits for the rest of a request for a second only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(internal("http.listener"), "IDLE_MS", 1000)
        with serving(atlas_export) as running:
            yield running


@pytest.fixture(scope="module")
def locked(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server with a token."""
    with serving(atlas_export, token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def big(atlas_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a payload that cannot be sent to who does not read."""
    return with_long_payload(atlas_export, tmp_path_factory.mktemp("big"), BIG)


def refused(reply: Reply | None) -> bool:
    """Whether an answer is a clean refusal: closed, or a 4xx with one line at most."""
    if reply is None:
        return True
    assert 400 <= reply.status < 500, reply
    assert reply.body.count(b"\n") <= 1, reply
    assert reply.body == b"" or reply.get("X-Content-Type-Options") == "nosniff", reply
    return True


# ---------------------------------------------------------------------------------- Host


@pytest.mark.parametrize(
    "name", ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.1.", "[::1]"]
)
def test_names_of_this_machine(server: CellucidServer, name: str) -> None:
    for port in ("", f":{server.port}", ":1", ":65535"):  # a tunnel may have another port
        assert ask(server, POINTS, {"Host": name + port}).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.com",
        "evil.com:8765",
        "localhost.evil.com",
        "evil.localhost",
        "127.0.0.1.evil.com",
        "evil.com.",
        "viewer.lab.org",
        "localhost@evil.com",
        "evil.com@localhost",
        "user:pass@localhost",
        "evil.com:80@localhost",
        "localhost:80@evil.com",
        "localhost#evil.com",
        "localhost/evil.com",
        "evil.com/localhost",
        "evil.com?localhost",
        "localhost, evil.com",
        "evil.com,localhost",
        "localhost evil.com",
        "localhost:80:80",
        "localhost:x",
        "localhost:123456",
        "localhost..",
        ".localhost",
        "local%68ost",
        "::1",
        "[::1",
        "::1]",
        "[::1]evil.com",
        "[::1].evil.com",
        "[::2]",
        "[]",
        "127.1",
        "127.0.0.2",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "*",
        ".",
        ":",
        ":80",
        "",
        "xn--localhost",
        "localhost\xa0",
        "localho\xdft",
        "\xff\xfe",
    ],
)
def test_other_names_are_refused(server: CellucidServer, name: str) -> None:
    """Against DNS rebinding: a page of another name may not read what is served here."""
    for path in (POINTS, "/", "/_cellucid/health", "/nothing"):
        for method in ("GET", "POST", "OPTIONS"):
            reply = said(server, request(server.port, path, {"Host": name}, method=method))
            assert refused(reply)
            assert reply is None or reply.status in (400, 421)
            assert reply is None or b"obs" not in reply.body


def test_another_name_is_421(server: CellucidServer) -> None:
    reply = ask(server, POINTS, {"Host": "evil.com"})
    assert reply.status == 421
    assert reply.body.count(b"\n") == 1
    assert b"evil" not in reply.body


def test_no_host_and_two_hosts(server: CellucidServer) -> None:
    lines = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.com\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Forwarded-Host: localhost\r\nHost: evil.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nForwarded: host=localhost\r\nHost: evil.com\r\n\r\n",
        b"GET http://localhost/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.com\r\n Host: localhost\r\n\r\n",
    ]
    for line in lines:
        reply = said(server, line)
        assert refused(reply), line
        assert reply is None or reply.status in (400, 421), line


def test_names_that_are_allowed(atlas_export: Path) -> None:
    allowed = ("viewer.lab.org", "Other.Lab", "[2001:db8::1]")
    with serving(atlas_export, allowed_hosts=allowed) as server:
        for name in (*allowed, "VIEWER.lab.org", "viewer.lab.org.", "other.lab", "localhost"):
            for port in ("", ":443"):
                assert ask(server, POINTS, {"Host": name + port}).status == 200, name
        for name in ("lab.org", "x.viewer.lab.org", "viewer.lab.org.evil.com", "2001:db8::1"):
            assert ask(server, POINTS, {"Host": name}).status == 421, name


def test_a_name_that_is_allowed_with_its_dot(atlas_export: Path) -> None:
    """A fully qualified name ends in a dot; an option that is taken has an effect."""
    with serving(atlas_export, allowed_hosts=("viewer.lab.org.",)) as server:
        for name in ("viewer.lab.org", "viewer.lab.org."):
            assert ask(server, POINTS, {"Host": name}).status == 200, name


def test_one_name_may_be_given_as_a_text(atlas_export: Path) -> None:
    with serving(atlas_export, allowed_hosts="viewer.lab.org") as server:
        assert ask(server, POINTS, {"Host": "viewer.lab.org"}).status == 200
        assert ask(server, POINTS, {"Host": "v"}).status == 421


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "::1", "[::1]"])
def test_other_addresses_of_the_loopback(atlas_export: Path, host: str) -> None:
    plain = host.strip("[]")
    try:
        with socket.create_server(
            (plain, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ):
            pass
    except OSError as error:
        pytest.skip(f"this machine has no {host} ({error.strerror})")
    with serving(atlas_export, host=host) as server:
        written = f"[{plain}]" if ":" in plain else plain
        assert server.url == f"http://{written}:{server.port}"
        with Wire(server.port, host="127.0.0.1" if plain == "localhost" else plain) as wire:
            wire.send(request(server.port, POINTS, {"Host": f"{written}:{server.port}"}))
            reply = wire.reply()
            assert reply is not None
            assert reply.status == 200


def test_all_addresses(atlas_export: Path) -> None:
    """Bound to everything, the names are those of the machine, not every name."""
    with serving(atlas_export, host="0.0.0.0", token="none") as server:
        assert ask(server, POINTS, {"Host": f"{socket.gethostname()}:80"}).status == 200
        for entries in psutil.net_if_addrs().values():
            for entry in entries:
                if entry.family == socket.AF_INET:
                    assert ask(server, POINTS, {"Host": entry.address}).status == 200
        for name in ("evil.com", "1.2.3.4", "[2001:db8::1]"):
            assert ask(server, POINTS, {"Host": name}).status == 421


# ---------------------------------------------------------------------------------- CORS

MAY = [
    "http://localhost",
    "https://localhost",
    "http://localhost:3000",
    "https://localhost:8443",
    "http://127.0.0.1",
    "http://127.0.0.1:5173",
    "https://127.0.0.1:1",
    "http://[::1]",
    "http://[::1]:8080",
    "https://[::1]:8080",
    "https://cellucid.com",
    "https://www.cellucid.com",
    "https://a.b-c.cellucid.com",
]
MAY_NOT = [
    "http://cellucid.com",
    "http://www.cellucid.com",
    "https://cellucid.com:444",
    "https://cellucid.com:80",
    "https://www.cellucid.com:8443",
    "https://evilcellucid.com",
    "https://evil-cellucid.com",
    "https://cellucid.com.evil.com",
    "https://cellucid.comevil",
    "https://cellucid.com.",
    "https://.cellucid.com",
    "https://cellucidxcom",
    "https://cellucid.org",
    "https://cellucid.com/",
    "https://cellucid.com@evil.com",
    "https://evil.com@cellucid.com",
    "https://evil.com#cellucid.com",
    "https://evil.com?cellucid.com",
    "https://evil.com/cellucid.com",
    "https://evil.com\\cellucid.com",
    "https://evil.com%00.cellucid.com",
    "https://evil_.cellucid.com",
    "https://\xe9.cellucid.com",
    "https://cellucid.com https://evil.com",
    "https://evil.com, https://cellucid.com",
    "wss://cellucid.com",
    "ftp://localhost",
    "file://",
    "file://localhost",
    "chrome-extension://localhost",
    "null",
    "*",
    "",
    "localhost",
    "//localhost",
    "http:localhost",
    "http:///localhost",
    "http://localhost/",
    "http://localhost/x",
    "http://localhost:x",
    "http://localhost:8765x",
    "http://localhost:-1",
    "http://localhost.",
    "http://localhost.evil.com",
    "http://evil.localhost",
    "http://localhost@evil.com",
    "http://evil.com@localhost",
    "http://127.0.0.1.nip.io",
    "http://127.0.0.2",
    "http://127.1",
    "http://0.0.0.0",
    "http://[::1].evil.com",
    "http://[::1",
    "http://[::2]",
    "http://[::ffff:127.0.0.1]",
    "http://::1",
    "http://evil.com",
    "https://evil.com",
    "\xff",
]
PATHS = [POINTS, "/obs_manifest.json", "/", "/_cellucid/health", "/nothing", "/%ff"]


def _cors(reply: Reply) -> dict[str, str]:
    return {k: v for k, v in reply.headers if k.startswith("access-control")}


@pytest.mark.parametrize("origin", MAY)
def test_origins_that_may_read(server: CellucidServer, origin: str) -> None:
    expected = CORS | {"access-control-allow-origin": origin}
    for path in PATHS:
        for method in ("GET", "HEAD"):
            reply = ask(server, path, {"Origin": origin}, method=method)
            assert _cors(reply) == expected, path
            assert "Origin" in (reply.get("Vary") or "")
    tag = str(ask(server, POINTS).get("ETag"))
    for more in ({"Range": "bytes=0-1"}, {"Range": "bytes=99999-"}, {"If-None-Match": tag}):
        assert _cors(ask(server, POINTS, {"Origin": origin, **more})) == expected
    for path in PATHS:
        reply = ask(
            server,
            path,
            {"Origin": origin, "Access-Control-Request-Method": "GET"},
            method="OPTIONS",
        )
        if path != "/%ff":
            assert reply.status == 204
        assert _cors(reply) == expected


@pytest.mark.parametrize("origin", MAY_NOT)
def test_origins_that_may_not(server: CellucidServer, origin: str) -> None:
    """They get the answer, which their browser does not show them, and no header of CORS."""
    for path in PATHS:
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            reply = ask(server, path, asked, method=method)
            assert _cors(reply) == {}, path
            assert "Origin" in (reply.get("Vary") or "")
            assert origin.encode("latin-1") not in reply.body or len(origin) < 5


def test_two_origins(server: CellucidServer) -> None:
    data = request(server.port, POINTS).replace(
        b"\r\n\r\n", b"\r\nOrigin: https://evil.com\r\nOrigin: https://cellucid.com\r\n\r\n"
    )
    reply = said(server, data)
    assert reply is None or _cors(reply) == {}


def test_without_an_origin(server: CellucidServer) -> None:
    for path in PATHS:
        reply = ask(server, path)
        assert _cors(reply) == {}
        assert "Origin" in (reply.get("Vary") or ""), "a cache must not give this to an origin"


def test_preflight(server: CellucidServer) -> None:
    for path in (POINTS, "/_cellucid/events", "/nothing", "/a/b"):
        asked = {
            "Origin": "https://cellucid.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, range, x-evil",
        }
        reply = ask(server, path, asked, method="OPTIONS")
        assert reply.status == 204
        assert reply.body == b""
        assert reply.get("Access-Control-Allow-Headers") == "Content-Type, Range"
        assert reply.get("X-Content-Type-Options") == "nosniff"
        assert reply.get("Access-Control-Allow-Credentials") is None


# ------------------------------------------------------------------------- every answer


def test_nosniff_is_everywhere(server: CellucidServer, locked: CellucidServer) -> None:
    tag = str(ask(server, POINTS).get("ETag"))
    seen = {
        200: ask(server, POINTS),
        204: ask(server, "/", method="OPTIONS"),
        206: ask(server, POINTS, {"Range": "bytes=0-1"}),
        304: ask(server, POINTS, {"If-None-Match": tag}),
        400: ask(server, "/%ff"),
        401: ask(locked, POINTS),
        404: ask(server, "/nothing"),
        405: ask(server, POINTS, method="PUT"),
        412: ask(server, POINTS, {"If-Match": '"x"'}),
        413: ask(server, "/_cellucid/events", {"Content-Length": "9999999999"}, method="POST"),
        414: ask(server, "/" + "a" * 4000),
        416: ask(server, POINTS, {"Range": "bytes=99999-"}),
        421: ask(server, POINTS, {"Host": "evil.com"}),
    }
    for status, reply in seen.items():
        assert reply.status == status
        assert reply.get("X-Content-Type-Options") == "nosniff", status
        assert "Origin" in (reply.get("Vary") or ""), status
    for name in (
        "",
        "index.html",
        "_cellucid/info",
        "_cellucid/datasets",
        "_cellucid/page/viewer.js",
    ):
        assert ask(server, "/" + name).get("X-Content-Type-Options") == "nosniff"


def test_errors_are_one_line_of_text(server: CellucidServer, locked: CellucidServer) -> None:
    for reply in (
        ask(server, "/nothing"),
        ask(server, "/%ff"),
        ask(server, POINTS, method="DELETE"),
        ask(server, POINTS, {"Host": "evil.com"}),
        ask(server, "/" + "a" * 4000),
        ask(locked, POINTS),
    ):
        assert (reply.get("Content-Type") or "").startswith("text/plain")
        assert reply.body.count(b"\n") == 1
        assert reply.body.endswith(b"\n")
        assert len(reply.body) < 200


def test_no_answer_tells_of_the_machine(
    atlas_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of data that breaks while it is served; `serving` searches every answer."""
    monkeypatch.setenv("CELLUCID_TEST_OTHER", "another-secret")
    folder = Path(shutil.copytree(atlas_export, tmp_path / "export"))
    private = [str(tmp_path), os.fspath(folder), "another-secret", "Traceback", "Error", "errno"]

    def check(server: CellucidServer) -> None:
        for path in (*PATHS, "/_cellucid/info", "/_cellucid/datasets", "/datasets.json"):
            reply = ask(server, path)
            for text in private:
                assert text.encode() not in reply.body, path
                assert all(text not in value for _, value in reply.headers)

    with serving(folder) as server:
        check(server)
        for bad in (b"{", b"{}", b"\xff", b"[1]"):
            (folder / "obs_manifest.json").write_bytes(bad)
            check(server)
        (folder / "obs_manifest.json").unlink()
        check(server)
        (folder / "obs_manifest.json").mkdir()
        check(server)
        shutil.rmtree(folder)
        check(server)


def test_an_error_of_our_own_tells_nothing(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is one line of text too; what happened is in the log of the server alone."""

    def bug(*_: object, **__: object) -> None:
        raise RuntimeError(f"a bug in {atlas_export}")

    with serving(atlas_export) as server, Client(server) as client:
        with monkeypatch.context() as patch:
            patch.setattr(server.opened.datasets, "find", bug)
            reply = client(POINTS, {"Origin": "https://cellucid.com"})
            assert reply.status == 500
            assert reply.body.count(b"\n") == 1
            assert b"bug" not in reply.body
            assert str(atlas_export).encode() not in reply.body
            assert reply.get("X-Content-Type-Options") == "nosniff"
            assert reply.get("Access-Control-Allow-Origin") == "https://cellucid.com"
            assert client("/").status == 200
        assert client(POINTS).status == 200
    assert "a bug in" in caplog.text


# ---------------------------------------------------------------------------------- token


def test_everything_but_health_wants_the_token(locked: CellucidServer, atlas_export: Path) -> None:
    names = [*file_bytes(atlas_export), "", "index.html", "nothing", "atlas/obs_manifest.json"]
    names += [
        f"_cellucid/{n}" for n in ("", "info", "datasets", "health/", "page/viewer.js", "zarr/")
    ]
    names += [
        "/_cellucid/health",
        "x/../_cellucid/health",
        "_cellucid/healthy",
        "atlas/_cellucid/health",
    ]
    for name in names:
        for method in ("GET", "HEAD", "POST", "PUT", "FOO"):
            reply = ask(locked, "/" + name, method=method)
            assert reply.status == 401, (method, name)
            assert reply.get("WWW-Authenticate") == "Bearer"
            assert reply.get("Set-Cookie") is None
            assert TOKEN.encode() not in reply.body
    for method in ("GET", "HEAD"):
        reply = ask(locked, "/_cellucid/health", method=method)
        assert reply.status == 200
        assert reply.get("Set-Cookie") is None


def test_the_token_in_a_query_and_then_in_a_cookie(locked: CellucidServer) -> None:
    first = ask(locked, f"/?token={TOKEN}")
    assert first.status == 200
    name_and_value, *attributes = (first.get("Set-Cookie") or "").split("; ")
    assert {a.lower() for a in attributes} >= {"httponly", "path=/"}
    assert any(a.lower() in ("samesite=lax", "samesite=strict") for a in attributes)
    assert not any(a.lower().startswith("domain") for a in attributes)
    with Client(locked) as client:
        for path in (POINTS, "/", "/_cellucid/info", "/_cellucid/page/style.css"):
            for cookie in (name_and_value, f"a=b; {name_and_value}", f"{name_and_value};c=d"):
                reply = client(path, {"Cookie": cookie})
                assert reply.status == 200
                assert reply.get("Set-Cookie") is None
        assert client("/nothing", {"Cookie": name_and_value}).status == 404
        assert client(POINTS, {"Cookie": name_and_value, "Range": "bytes=0-1"}).status == 206


def test_a_query_among_others(locked: CellucidServer) -> None:
    for query in (f"a=b&token={TOKEN}", f"token={TOKEN}&anndata=true", f"token=x&token={TOKEN}"):
        assert ask(locked, f"/?{query}").status == 200
    escaped = "".join(f"%{ord(c):02x}" for c in TOKEN)
    assert ask(locked, f"{POINTS}?token={escaped}").status == 200


def test_the_token_as_a_bearer(locked: CellucidServer) -> None:
    for kind in ("Bearer", "bearer", "BEARER"):
        for path in (POINTS, "/", "/_cellucid/datasets"):
            reply = ask(locked, path, {"Authorization": f"{kind} {TOKEN}"})
            assert reply.status == 200
            assert reply.get("Set-Cookie") is None


WRONG = [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", "none", "auto", "None", "\xff", TOKEN + "\xff"]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_tokens(locked: CellucidServer, wrong: str) -> None:
    first = ask(locked, f"/?token={TOKEN}")
    cookie = (first.get("Set-Cookie") or "").partition("=")[0]
    tries: list[tuple[str, dict[str, str]]] = [
        ("/", {"Authorization": f"Bearer {wrong}"}),
        ("/", {"Authorization": f"Basic {TOKEN}"}),
        ("/", {"Authorization": f"Bearer{TOKEN}"}),
        ("/", {"Authorization": TOKEN}),
        ("/", {"Authorization": f"Token {TOKEN}"}),
        ("/", {"Authorization": wrong}),
        ("/", {"Cookie": f"{cookie}={wrong}"}),
        ("/", {"Cookie": f"token={TOKEN}"}),
        ("/", {"Cookie": f"x{cookie}={TOKEN}"}),
        ("/", {"Cookie": TOKEN}),
        ("/", {"Cookie": f"{cookie}"}),
        ("/", {"X-Token": TOKEN, "Token": TOKEN}),
        (f"/?Token={TOKEN}", {}),
        (f"/?token[]={TOKEN}", {}),
        (f"/?{TOKEN}", {}),
        (f"/token={TOKEN}", {}),
        (f"/;token={TOKEN}", {}),
        ("/?token", {}),
    ]
    for path, headers in tries:
        reply = ask(locked, path, headers)
        assert reply.status == 401, (path, headers)
        assert reply.get("Set-Cookie") is None
    for query in (f"token={wrong}", "token=%ff%fe", "token=%00", f"token={TOKEN}%00", "token=%"):
        data = request(locked.port, b"/?" + query.encode("latin-1"))
        reply_or_none = said(locked, data)
        assert reply_or_none is None or reply_or_none.status in (400, 401), query


def test_odd_bytes_in_the_places_of_a_token(locked: CellucidServer) -> None:
    for name in ("Authorization", "Cookie"):
        for value in ("Bearer \xe9", "\xff=\xff; \xfe", 'a="\\377"', "=;=;;,", "a" * 20_000):
            assert refused(said(locked, request(locked.port, "/", {name: value})))
    for query in (
        b"token=\xff",
        b"token=\xc3\xa9",
        b"token=" + b"%" * 500,
        b"&" * 1000 + b"token=",
    ):
        assert refused(said(locked, request(locked.port, b"/?" + query)))


def test_preflights_need_no_token(locked: CellucidServer) -> None:
    """Browsers send none with them; nor can a page read a refusal that is not for its origin."""
    asked = {"Origin": "https://cellucid.com", "Access-Control-Request-Method": "GET"}
    reply = ask(locked, POINTS, asked, method="OPTIONS")
    assert reply.status == 204
    assert reply.get("Access-Control-Allow-Origin") == "https://cellucid.com"
    told = ask(locked, POINTS, {"Origin": "https://cellucid.com"})
    assert told.status == 401
    assert told.get("Access-Control-Allow-Origin") == "https://cellucid.com"


def test_the_host_is_asked_before_the_token(locked: CellucidServer) -> None:
    headers = {"Host": "evil.com", "Authorization": f"Bearer {TOKEN}"}
    assert ask(locked, "/", headers).status == 421
    assert ask(locked, f"/?token={TOKEN}", {"Host": "evil.com"}).get("Set-Cookie") is None


def test_two_servers_of_one_machine_share_no_cookie(
    locked: CellucidServer, atlas_export: Path
) -> None:
    """Cookies know no ports: both must be able to be open in one browser."""
    with serving(atlas_export, token="another-token") as server:
        cookies = [
            (ask(s, f"/?token={t}").get("Set-Cookie") or "").partition(";")[0]
            for s, t in ((locked, TOKEN), (server, "another-token"))
        ]
        assert cookies[0].partition("=")[0] != cookies[1].partition("=")[0]
        both = {"Cookie": "; ".join(cookies)}
        assert ask(locked, POINTS, both).status == 200
        assert ask(server, POINTS, both).status == 200
        assert ask(server, POINTS, {"Cookie": cookies[0]}).status == 401


def test_a_token_that_is_made(atlas_export: Path) -> None:
    with serving(atlas_export, token="auto") as one, serving(atlas_export, token="auto") as two:
        made = [server.viewer_url.partition("token=")[2] for server in (one, two)]
        assert made[0] != made[1]
        assert all(len(token) >= 20 for token in made)
        assert ask(one, f"/?token={made[0]}").status == 200
        assert ask(one, f"/?token={made[1]}").status == 401
        assert ask(one, "/").status == 401


def test_the_token_of_an_address_that_others_reach(atlas_export: Path) -> None:
    for host in ("0.0.0.0", "::", socket.gethostname()):
        with pytest.raises(CellucidDaskError, match="token"):
            CellucidServer(atlas_export, port=0, host=host, quiet=True)
    with serving(atlas_export, host="0.0.0.0", token="auto") as server:
        assert ask(server, POINTS).status == 401
        token = server.viewer_url.partition("token=")[2]
        assert ask(server, POINTS, {"Authorization": f"Bearer {token}"}).status == 200
    with serving(atlas_export, host="0.0.0.0", token="none") as server:
        assert ask(server, POINTS).status == 200


@pytest.mark.parametrize("token", ["", "short", "with space", "a;b;c;d;e", "x" * 300, "täken-öäü"])
def test_tokens_that_cannot_be_used(atlas_export: Path, token: str) -> None:
    with pytest.raises(CellucidDaskError, match="token: cannot be used"):
        CellucidServer(atlas_export, port=0, quiet=True, token=token)


# ---------------------------------------------------------------------------------- base path


@pytest.mark.parametrize("base", ["/proxy/8765", "proxy/8765/", "/user/a.b~c@d"])
def test_everything_is_below_the_base_path(atlas_export: Path, base: str) -> None:
    prefix = "/" + base.strip("/")
    with serving(atlas_export, base_path=base) as server:
        assert server.url.endswith(prefix)
        assert server.viewer_url.endswith(prefix + "/")
        for name, body in file_bytes(atlas_export).items():
            if name != "stray.txt":
                assert ask(server, f"{prefix}/{name}").body == body
                assert ask(server, f"{prefix}/atlas/{name}").body == body
            assert ask(server, f"/{name}").status == 404
            assert ask(server, f"{prefix}{name}").status == 404
        page = ask(server, prefix + "/")
        assert page.status == 200
        assert ask(server, f"{prefix}/_cellucid/health").status == 200
        assert ask(server, f"{prefix}/_cellucid/page/viewer.js").status == 200
        assert b'="/' not in page.body, "the page must name its parts relative to itself"
        for path in ("/", "/_cellucid/health", "/index.html", prefix + "x/", prefix[:-1] + "/"):
            assert ask(server, path).status == 404, path


def test_the_base_path_without_its_slash(atlas_export: Path) -> None:
    """The parts of the page are relative to it: they would be looked for in the wrong place."""
    with serving(atlas_export, base_path="/a/b") as server:
        reply = ask(server, "/a/b")
        assert reply.status in (301, 302, 307, 308, 404)
        if reply.status != 404:
            assert (reply.get("Location") or "").endswith("/a/b/")
            query = ask(server, "/a/b?anndata=true").get("Location") or ""
            assert query.endswith(("/a/b/?anndata=true", "/a/b/"))
            for odd in (
                b"?\xff",
                b"?\xc3\xa9",
                b"?%0d%0aX-Evil:%20yes",
                b"?a=%00",
                b"?" + b"x" * 1900,
            ):
                answer = said(server, request(server.port, b"/a/b" + odd))
                assert answer is None or answer.status in (301, 302, 307, 308, 400)
                assert answer is None or answer.all("X-Evil") == []
            assert (reply.get("Location") or "").startswith(("/a/b/", server.url))


def test_the_cookie_of_a_base_path(atlas_export: Path) -> None:
    with serving(atlas_export, base_path="/a/b", token=TOKEN) as server:
        assert server.viewer_url == f"{server.url}/?token={TOKEN}"
        reply = ask(server, f"/a/b/?token={TOKEN}")
        assert "path=/a/b/" in (reply.get("Set-Cookie") or "").lower()
        assert ask(server, "/a/b/_cellucid/health").status == 200
        assert ask(server, "/_cellucid/health").status in (401, 404)
        assert ask(server, "/a/b/").status == 401


# ---------------------------------------------------------------------------------- limits


def test_long_paths_and_queries(server: CellucidServer) -> None:
    assert ask(server, "/" + "a" * 1500).status == 404
    assert ask(server, "/" + "a/" * 700).status == 404
    for length in (2500, 10_000):
        assert ask(server, "/" + "a" * length).status == 414
        assert ask(server, "/?" + "a" * length).status == 414
        assert ask(server, "/" + "%41" * length).status in (414, 431)
    for length in (100_000, 5_000_000):
        reply = said(server, request(server.port, "/" + "a" * length))
        assert refused(reply)
        assert reply is None or reply.status in (400, 414, 431)


def test_large_headers(server: CellucidServer) -> None:
    for headers in (
        {"X": "a" * 100_000},
        {"X" * 70_000: "a"},
        {f"X-{i}": "b" for i in range(1000)},
        {f"X-{i}": "b" * 100 for i in range(5000)},
        {"Cookie": "a=b; " * 30_000},
        {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(10_000))},
        {"If-None-Match": ", ".join(f'"{i}"' for i in range(20_000))},
        {"Accept-Encoding": ",".join(["gzip;q=0.5"] * 20_000)},
    ):
        reply = said(server, request(server.port, POINTS, headers))
        assert refused(reply)
        assert reply is None or reply.status in (400, 431)
        assert ask(server, POINTS).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(2500))},
        {"Range": "bytes=" + "," * 20_000},
        {"If-None-Match": ", ".join(f'"{i}"' for i in range(2500))},
        {"If-None-Match": '"' * 20_000},
        {"If-None-Match": "W/" * 10_000},
        {"Accept-Encoding": ",".join(["gzip;q=0.5"] * 1800)},
        {"Accept-Encoding": ";" * 20_000},
        {"Cookie": "=" * 20_000},
        {"Cookie": 'a="' + "\\" * 20_000},
        {"Cookie": "; ".join(f"a{i}=b" for i in range(2000))},
        {"Origin": "https://" + "a." * 9_000 + "cellucid.com"},
        {"Origin": "https://" + "a" * 20_000},
        {"If-Modified-Since": "9" * 20_000},
        {"If-Modified-Since": "(" * 20_000},
        {"If-Range": '"' + "a" * 20_000},
        {"Authorization": "Bearer " + "a" * 20_000},
    ],
)
def test_headers_as_large_as_they_may_be_cost_little(
    server: CellucidServer, headers: dict[str, str]
) -> None:
    """No header takes time that grows with the square of its length."""
    began = time.process_time()
    for _ in range(10):
        reply = said(server, request(server.port, POINTS, headers))
        assert reply is not None
        assert reply.status in (200, 206, 400, 431)
    assert time.process_time() - began < 3


def test_bodies(server: CellucidServer) -> None:
    """Of a viewer's events, up to a limit; nowhere else, and no body is waited for."""
    events = "/_cellucid/events"
    for body in (b"", b"{}", b"x" * 100_000):
        reply = ask(server, events, method="POST", body=body)
        assert reply.status == 200
        assert isinstance(json.loads(reply.body), dict)
    for size in ("1048577", "99999999999", "9" * 18):
        assert ask(server, events, {"Content-Length": size}, method="POST").status == 413
    for size in ("-1", "+5", "0x5", "5, 5", "a", "", "9" * 40, "1e3", "\xb2"):
        data = request(server.port, events, {"Content-Length": size}, method="POST")
        reply_or_none = said(server, data)
        assert reply_or_none is None or reply_or_none.status in (200, 400, 413), size
    for path in (POINTS, "/", "/_cellucid/health", "/_cellucid/info", "/nothing"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            reply = ask(server, path, method=method, body=b"abc")
            assert reply.status == 405, (method, path)
            assert "GET" in (reply.get("Allow") or "")
            huge = ask(server, path, {"Content-Length": "99999999999"}, method=method)
            assert huge.status in (405, 413)
    for method in ("PUT", "DELETE", "PATCH"):
        assert ask(server, events, method=method).status == 405
    assert ask(server, events).status == 404


def test_a_body_is_no_request(server: CellucidServer) -> None:
    """What a client sends as a body is never taken for its next request."""
    inner = request(server.port, "/obs_manifest.json")
    for path, status in (("/_cellucid/events", 200), ("/nothing", 405)):
        with Wire(server.port) as wire:
            wire.send(request(server.port, path, method="POST", body=inner))
            wire.send(request(server.port, "/_cellucid/health"))
            first = wire.reply()
            assert first is not None
            assert first.status == status
            second = wire.reply()  # or the connection is closed
            assert second is None or b'"ok"' in second.body
    both = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    with Wire(server.port) as wire:
        wire.send(request(server.port, "/_cellucid/events", both, method="POST") + b"0\r\n\r\n")
        wire.send(request(server.port, "/obs_manifest.json"))
        first = wire.reply()
        assert first is None or first.status in (200, 400)
        assert wire.reply() is None, "a connection with two lengths is closed"


def test_a_body_without_end(server: CellucidServer) -> None:
    """The connection is closed; nobody reads on."""
    with Wire(server.port) as wire:
        wire.send(
            request(
                server.port, "/_cellucid/events", {"Transfer-Encoding": "chunked"}, method="POST"
            )
        )
        sent, end = 0, time.monotonic() + 5
        try:
            while time.monotonic() < end and sent < 200_000_000:
                sent += wire.socket.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        except OSError:
            pass
        assert sent < 50_000_000
    assert ask(server, POINTS).status == 200


# ------------------------------------------------------------------------- lines and paths

LINES = [
    b"\r\n\r\n",
    b"\0\0\0\0\r\n\r\n",
    b"FOO\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP\r\n\r\n",
    b"GET / HTTP/1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.2\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET / http/1.1\r\nHost: localhost\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    b" GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET\t/\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\x7f HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET obs_manifest.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ../obs_manifest.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET ftp://localhost/obs_manifest.json HTTP/1.1\r\nHost: evil.com\r\n\r\n",
    b"GET file:///etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http:///etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost:99999/ HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"G\xc3\x89T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GE(T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PROPFIND / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"X" * 1000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    bytes.fromhex("16030100a5010000a10303") + bytes(150),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:40]))
def test_what_is_no_request(hasty: CellucidServer, line: bytes) -> None:
    """A clean 4xx or a closed connection, and the server goes on."""
    reply = said(hasty, line)
    assert reply is None or reply.status in (501, 505) or refused(reply)
    assert ask(hasty, POINTS).status == 200


def test_targets_with_a_host(server: CellucidServer) -> None:
    """The absolute form, as proxies send it: the path is looked up, the host is checked."""
    body = ask(server, "/obs_manifest.json").body
    for name in (f"127.0.0.1:{server.port}", "localhost"):
        reply = ask(server, f"http://{name}/obs_manifest.json")
        assert (reply.status, reply.body) == (200, body)
    assert ask(server, "http://localhost/../stray.txt").status in (400, 404)
    assert ask(server, "http://localhost/http://localhost/obs_manifest.json").status == 404
    assert ask(server, "http://localhost/", {"Host": "evil.com"}).status in (400, 421)


ELSEWHERE = [
    "/..",
    "/../",
    "/../export/obs_manifest.json",
    "/./obs_manifest.json",
    "/obs/../obs_manifest.json",
    "/obs/../stray.txt",
    "/obs/./group.codes.u8.gz",
    "/atlas/../obs_manifest.json",
    "/atlas/../stray.txt",
    "/../../../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/..%2f..%2fetc/passwd",
    "/..%5c..%5cetc%5cpasswd",
    "/..\\..\\etc\\passwd",
    "/%252e%252e/%252e%252e/etc/passwd",
    "/....//....//etc/passwd",
    "/..;/stray.txt",
    "/.%2e/stray.txt",
    "/%c0%ae%c0%ae/stray.txt",
    "/%c0%af..%c0%afetc/passwd",
    "/%e0%80%ae%e0%80%ae/stray.txt",
    "/%uff0e%uff0e/stray.txt",
    "/%EF%BC%8E%EF%BC%8E/stray.txt",
    "/\uff0e\uff0e/stray.txt",
    "//",
    "///",
    "//etc/passwd",
    "//obs_manifest.json",
    "//localhost/obs_manifest.json",
    "/obs//group.codes.u8.gz",
    "//atlas/obs_manifest.json",
    "/%2fetc/passwd",
    "/%2Fobs_manifest.json",
    "/etc/passwd",
    "/proc/self/environ",
    "/file:///etc/passwd",
    "/C:/Windows/win.ini",
    "/\\\\server\\share",
    "/stray.txt",
    "/stray.txt%00",
    "/obs_manifest.json%00",
    "/obs_manifest.json%00.txt",
    "/%00",
    "/\u00a0",
    "/obs_manifest.json%20",
    "/obs_manifest.json.",
    "/obs_manifest.json/",
    "/obs_manifest.json/..",
    "/obs_manifest.json;x",
    "/obs_manifest.json%3Fx",
    "/obs_manifest.json%23x",
    "/obs_manifest.json%0a",
    "/%0d%0aX-Evil:%20yes",
    "/obs%5cgroup.codes.u8.gz",
    "/obs\\group.codes.u8.gz",
    "/%",
    "/%0",
    "/%zz",
    "/%%",
    "/obs_manifest.json%",
    "/obs_manifest.json%2",
    "/%ff",
    "/%80",
    "/%ed%a0%80",
    "/%f4%90%80%80",
    "/~root",
    "/$HOME",
    "/${HOME}",
    "/`id`",
    "/_cellucid/../stray.txt",
    "/_cellucid/page/../app.py",
    "/_cellucid/page/..%2fapp.py",
    "/_cellucid/page/%2e%2e/__init__.py",
    "/_cellucid/page//etc/passwd",
    "/_cellucid/page/index.html/",
    "/_cellucid/zarr/../stray.txt",
    "/_cellucid/zarr/zarr.json",
    "/_CELLUCID/health",
    "/_cellucid//health",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_paths_that_lead_elsewhere(server: CellucidServer, path: str) -> None:
    for head in ("", "/atlas"):
        reply = said(server, request(server.port, head + path))
        assert refused(reply)
        assert reply is None or reply.status in (400, 404), path
        assert reply is None or reply.all("X-Evil") == []


def test_the_path_of_the_export_itself(server: CellucidServer, atlas_export: Path) -> None:
    for name in ("obs_manifest.json", "stray.txt"):
        for head in ("", "/", "/..", "/%2f"):
            reply = said(server, request(server.port, f"{head}{atlas_export}/{name}"))
            assert refused(reply)


# ---------------------------------------------------------------------------------- slowness


def _waited(began: float) -> float:
    return time.monotonic() - began


def test_clients_that_send_slowly_are_cut(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert internal("http.listener").IDLE_MS <= 60_000
    monkeypatch.setattr(internal("http.listener"), "IDLE_MS", 1000)
    with serving(atlas_export) as server:
        with Wire(server.port) as silent, Wire(server.port) as half, Wire(server.port) as kept:
            half.send(b"GET / HTTP/1.1\r\nHo")
            reply = kept.send(request(server.port, POINTS)).reply()
            assert reply is not None
            assert reply.status == 200
            kept.send(b"GET /")
            for wire in (silent, half, kept):
                said_last = wire.rest()
                assert said_last == b"" or said_last.startswith(b"HTTP/1.1 4")
        with Wire(server.port) as idle:
            idle.send(request(server.port, POINTS)).reply()
            assert idle.closed(), "an idle connection stays open"
        with Wire(server.port) as dripping:
            dripping.send(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            try:
                while _waited(began) < 8:
                    dripping.socket.sendall(b"X: y\r\n")
                    time.sleep(0.05)  # the pace of this client
            except OSError:
                pass
            assert _waited(began) < 8, "a line now and then keeps it open"
        assert ask(server, POINTS).status == 200


def test_a_body_that_does_not_come_holds_nobody(server: CellucidServer) -> None:
    wires = [Wire(server.port) for _ in range(100)]
    try:
        for wire in wires:
            wire.send(
                request(server.port, "/_cellucid/events", {"Content-Length": "100"}, method="POST")
            )
        assert ask(server, POINTS).status == 200
        for wire in wires:
            reply = wire.reply()
            assert reply is not None
            assert reply.status == 200
    finally:
        for wire in wires:
            wire.socket.close()


def _open_connections(port: int) -> int:
    connections = psutil.Process().net_connections("tcp")
    return sum(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in connections)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux cuts them")
def test_clients_that_do_not_read_are_cut(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are threads; others are answered again as soon as they are cut."""
    listener = internal("http.listener")
    assert listener.STALLED_MS <= 60_000
    monkeypatch.setattr(listener, "STALLED_MS", 1000)
    with serving(big) as server:
        wires = [Wire(server.port, buffer=4096) for _ in range(listener.THREADS + 8)]
        try:
            for wire in wires:
                wire.send(request(server.port, "/points_3d.bin.gz"))
            for wire in wires:
                wire.socket.recv(1)
            assert ask(server, POINTS, seconds=15).status == 200
            wait_until(lambda: _open_connections(server.port) == 0, "they hold the server", 20)
            got = len(wires[0].rest())
            assert got < BIG
        finally:
            for wire in wires:
                wire.socket.close()
        assert ask(server, POINTS).status == 200


def test_clients_that_do_not_read_do_not_stop_others(big: Path) -> None:
    """Until they are cut, which takes a while, the rest of the world is answered."""
    with serving(big) as server:
        wires = [
            Wire(server.port, buffer=4096) for _ in range(internal("http.listener").THREADS + 8)
        ]
        try:
            for wire in wires:
                wire.send(request(server.port, "/points_3d.bin.gz"))
            wires[0].socket.recv(1)
            for path in ("/_cellucid/health", POINTS):
                assert ask(server, path, seconds=5).status == 200
        finally:
            for wire in wires:
                wire.socket.close()


def test_clients_that_read_too_slowly_are_cut(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no reason to hold a thread for a day."""
    monkeypatch.setattr(internal("http.body"), "RATE_GRACE", 0.5)
    monkeypatch.setattr(internal("http.body"), "MIN_RATE", 20_000_000)
    with serving(big) as server, Wire(server.port, buffer=4096) as wire:
        wire.send(request(server.port, "/points_3d.bin.gz"))
        got, began = 0, time.monotonic()
        while _waited(began) < 2:
            got += len(wire.socket.recv(4000))
            time.sleep(0.01)  # the pace of this client
        assert got + len(wire.rest()) < BIG


def test_idle_connections_do_not_stop_others(server: CellucidServer) -> None:
    silent = [Wire(server.port) for _ in range(100)]
    kept = [Wire(server.port) for _ in range(100)]
    try:
        for wire in kept:
            reply = wire.send(request(server.port, POINTS)).reply()
            assert reply is not None
            assert reply.status == 200
        for _ in range(20):
            assert ask(server, POINTS).status == 200
        for wire in kept:
            reply = wire.send(request(server.port, POINTS)).reply()
            assert reply is not None
            assert reply.status == 200
    finally:
        for wire in (*silent, *kept):
            wire.socket.close()


# ---------------------------------------------------------------------------------- fuzz

PIECES = [
    "..",
    ".",
    "",
    "...",
    "%2e",
    "%2e%2e",
    "%2E.",
    "%2f",
    "%5c",
    "\\",
    "%00",
    "\0",
    "%",
    "%z",
    "%u002e",
    "%c0%ae",
    "%ff",
    "\xff",
    "é",
    "%C3%A9",
    "日",
    " ",
    "%20",
    "%0d%0a",
    "\r\n",
    ";",
    "?",
    "#",
    "&",
    "=",
    "*",
    ":",
    "@",
    "~",
    "_cellucid",
    "health",
    "info",
    "datasets",
    "page",
    "viewer.js",
    "zarr",
    "zarr.json",
    "events",
    "index.html",
    "atlas",
    "one",
    "two",
    "export",
    "stray.txt",
    "obs",
    "var",
    "vectors",
    "connectivity",
    "etc",
    "passwd",
    "http://localhost",
    "datasets.json",
    *MANIFESTS,
    "points_2d.bin.gz",
    "obs/group.codes.u8.gz",
    "group.codes.u8.gz",
    "gene0.values.u8.gz",
    "var/gene0.values.u8.gz",
]
STATUSES = {200, 204, 206, 304, 400, 401, 404, 405, 412, 413, 414, 416, 421, 431, 501, 505}
targets = st.lists(
    st.tuples(
        st.sampled_from(["/", "/", "/", "", "//", "%2f", "/./", "/../"]),
        st.one_of(st.sampled_from(PIECES), st.text(max_size=6)),
    ),
    max_size=7,
).map(lambda parts: "".join(sep + piece for sep, piece in parts))


class Fuzzed:
    """A server of an export, one of a folder of two, and every body they may send."""

    def __init__(self, servers: tuple[CellucidServer, CellucidServer], bodies: set[bytes]) -> None:
        self.servers, self.bodies = servers, bodies


@pytest.fixture(scope="module")
def fuzzed(
    atlas_export: Path, hasty: CellucidServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fuzzed]:
    """What the fuzz asks."""
    root = tmp_path_factory.mktemp("fuzz") / "root"
    for name in ("one", "two"):
        shutil.copytree(atlas_export, root / name)
    (root / "stray.txt").write_text("a byte from outside")
    page = Path(internal("app").__file__ or "").parent / "page"
    bodies = {path.read_bytes() for path in page.iterdir()}
    bodies |= {body for name, body in file_bytes(atlas_export).items() if name != "stray.txt"}
    with serving(root) as several:
        yield Fuzzed((hasty, several), bodies)


def _is_of_the_service(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False
    known = {"status", "type", "version", "cache", "datasets", "default", "delivered"}
    return isinstance(told, dict) and set(told) <= known


def _check(reply: Reply | None, bodies: set[bytes]) -> None:
    if reply is None:
        return
    told = f"{reply.status} {reply.headers} {reply.body[:200]!r}"
    assert reply.status in STATUSES, told
    assert b"outside" not in reply.body
    if reply.status == 200 and reply.body:
        assert reply.body in bodies or _is_of_the_service(reply.body), told
    if reply.status >= 400:
        assert reply.body.count(b"\n") <= 1
        assert len(reply.body) < 200


@FUZZ
@given(target=targets, which=st.integers(0, 1), slash=st.booleans())
def test_any_path(fuzzed: Fuzzed, target: str, which: int, slash: bool) -> None:
    raw = (
        (("/" if slash else "") + target)
        .encode("utf-8", "surrogatepass")
        .replace(b"\xc3\xbf", b"\xff")
    )
    port = fuzzed.servers[which].port
    with Wire(port) as wire:
        wire.send(request(port, raw, {"Connection": "close"}))
        _check(wire.reply(), fuzzed.bodies)


junk = st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n\0"), max_size=30)
numbers = st.one_of(
    st.integers(0, 3000).map(str), st.sampled_from(["", "-1", "9" * 30, "a", " 1 "])
)
tags = st.sampled_from(['"a"', 'W/"a"', "*", '"', "", "a", '"a', "TAG", "W/TAG", '"a", TAG', ",,"])
dates = st.sampled_from(
    [
        "Sat, 21 Nov 2026 10:29:34 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sat, 21 Nov 9999 10:29:34 GMT",
        "Sat, 21 Nov 2026 10:29:34 +9999",
        "Sat, 99 Xyz 0000 99:99:99 GMT",
        "1 Jan 1 0:0:0 +2359",
        "0",
    ]
)
origins = st.sampled_from(
    ["http://localhost:1", "https://cellucid.com", "https://evil.com", "null"]
)
HEADERS: dict[str, Any] = {
    "Range": st.one_of(
        st.tuples(numbers, numbers).map(lambda ends: f"bytes={ends[0]}-{ends[1]}"),
        st.lists(st.tuples(numbers, numbers), max_size=4).map(
            lambda spans: "bytes=" + ",".join(f"{a}-{b}" for a, b in spans)
        ),
        junk,
    ),
    "If-None-Match": st.one_of(tags, junk),
    "If-Match": st.one_of(tags, junk),
    "If-Range": st.one_of(tags, dates, junk),
    "If-Modified-Since": st.one_of(dates, junk),
    "If-Unmodified-Since": st.one_of(dates, junk),
    "Accept-Encoding": st.one_of(
        st.sampled_from(
            ["gzip", "gzip;q=0", "*", "identity;q=0", "gzip;q=x", "br, gzip;q=1e9", ";"]
        ),
        junk,
    ),
    "Host": st.one_of(st.sampled_from(["localhost", "127.0.0.1:1", "[::1]", "evil.com", ""]), junk),
    "Origin": st.one_of(origins, junk),
    "Cookie": junk,
    "Authorization": st.one_of(st.just("Bearer x"), junk),
    "Content-Length": st.one_of(numbers, junk),
    "Transfer-Encoding": st.sampled_from(["chunked", "identity", "x, chunked", "gzip"]),
    "Connection": st.sampled_from(["close", "keep-alive", "Upgrade", "x"]),
    "Upgrade": st.sampled_from(["websocket", "h2c", "x"]),
    "Expect": st.sampled_from(["100-continue", "x"]),
    "X-Forwarded-For": junk,
    "X-HTTP-Method-Override": st.just("DELETE"),
}
methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "X"])
header_sets = st.lists(st.sampled_from(sorted(HEADERS)), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: HEADERS[name] for name in names})
)


def _exchange(port: int, path: str, method: str, headers: dict[str, str], tag: str) -> Reply | None:
    given = {name: value.replace("TAG", tag) for name, value in headers.items()}
    with Wire(port) as wire:
        wire.send(request(port, path, given, method=method))
        reply = wire.reply(method)
        while reply is not None and reply.status == 100:
            reply = wire.reply(method)
        return reply


@FUZZ
@given(
    path=st.sampled_from(
        [POINTS, "/obs_manifest.json", "/", "/_cellucid/page/viewer.js", "/nothing"]
    ),
    method=methods,
    headers=header_sets,
)
def test_any_headers(fuzzed: Fuzzed, path: str, method: str, headers: dict[str, str]) -> None:
    server = fuzzed.servers[0]
    whole = ask(server, path)
    reply = _exchange(server.port, path, method, headers, whole.get("ETag") or '"x"')
    _check(reply, fuzzed.bodies)
    if reply is None:
        return
    if reply.status == 200 and method == "GET":
        assert reply.body == whole.body
    if reply.status == 206:
        first, last, size = (
            int(n)
            for n in (reply.get("Content-Range") or "")
            .removeprefix("bytes ")
            .replace("/", "-")
            .split("-")
        )
        assert size == len(whole.body)
        assert reply.body == whole.body[first : last + 1]
    if "Origin" in headers and headers["Origin"] not in MAY:
        echoed = reply.get("Access-Control-Allow-Origin")
        assert echoed in (None, "http://localhost:1")
        assert echoed is None or echoed == headers["Origin"].strip()


@FUZZ
@given(
    path=st.sampled_from([POINTS, "/obs_manifest.json", "/", "/nothing", "/_cellucid/info"]),
    query=st.one_of(st.sampled_from(["", "token=", "token=x", "token=%ff"]), junk),
    method=methods,
    headers=header_sets,
)
def test_no_headers_open_a_locked_server(
    locked: CellucidServer, path: str, query: str, method: str, headers: dict[str, str]
) -> None:
    target = path + ("?" + query.replace(" ", "+") if query else "")
    reply = _exchange(locked.port, target, method, headers, '"x"')
    if reply is not None and method != "OPTIONS":
        assert reply.status in (400, 401, 404, 413, 414, 421, 431), reply
        assert reply.get("Set-Cookie") is None
        assert reply.status != 404 or "#" in target or "?" in target
