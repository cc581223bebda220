"""The token: in the query, in a cookie, as a bearer token."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from oracle import file_bytes
from serving import POINTS, TOKEN, Client, ask, is_refused, request, send_bytes, serving

from cellucid_dask import CellucidDaskError, CellucidServer, create_app


def test_every_path_but_health_requires_the_token(
    token_server: CellucidServer, atlas_export: Path
) -> None:
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
            reply = ask(token_server, "/" + name, method=method)
            assert reply.status == 401, (method, name)
            assert reply.get("WWW-Authenticate") == "Bearer"
            assert reply.get("Set-Cookie") is None
            assert TOKEN.encode() not in reply.body
    for method in ("GET", "HEAD"):
        reply = ask(token_server, "/_cellucid/health", method=method)
        assert reply.status == 200
        assert reply.get("Set-Cookie") is None


def test_token_in_query_sets_a_cookie(token_server: CellucidServer) -> None:
    first = ask(token_server, f"/?token={TOKEN}")
    assert first.status == 200
    name_and_value, *attributes = (first.get("Set-Cookie") or "").split("; ")
    assert {a.lower() for a in attributes} >= {"httponly", "path=/"}
    assert any(a.lower() in ("samesite=lax", "samesite=strict") for a in attributes)
    assert not any(a.lower().startswith("domain") for a in attributes)
    with Client(token_server) as client:
        for path in (POINTS, "/", "/_cellucid/info", "/_cellucid/page/styles/base.css"):
            for cookie in (name_and_value, f"a=b; {name_and_value}", f"{name_and_value};c=d"):
                reply = client(path, {"Cookie": cookie})
                assert reply.status == 200
                assert reply.get("Set-Cookie") is None
        assert client("/nothing", {"Cookie": name_and_value}).status == 404
        assert client(POINTS, {"Cookie": name_and_value, "Range": "bytes=0-1"}).status == 206


def test_token_among_other_query_parameters(token_server: CellucidServer) -> None:
    for query in (f"a=b&token={TOKEN}", f"token={TOKEN}&anndata=true", f"token=x&token={TOKEN}"):
        assert ask(token_server, f"/?{query}").status == 200
    escaped = "".join(f"%{ord(c):02x}" for c in TOKEN)
    assert ask(token_server, f"{POINTS}?token={escaped}").status == 200


def test_token_as_bearer(token_server: CellucidServer) -> None:
    for kind in ("Bearer", "bearer", "BEARER"):
        for path in (POINTS, "/", "/_cellucid/datasets"):
            reply = ask(token_server, path, {"Authorization": f"{kind} {TOKEN}"})
            assert reply.status == 200
            assert reply.get("Set-Cookie") is None


WRONG_TOKENS = [
    TOKEN[:-1],
    TOKEN + "x",
    TOKEN.upper(),
    "",
    "none",
    "auto",
    "None",
    "\xff",
    TOKEN + "\xff",
]


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_wrong_tokens_get_401(token_server: CellucidServer, wrong: str) -> None:
    first = ask(token_server, f"/?token={TOKEN}")
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
        reply = ask(token_server, path, headers)
        assert reply.status == 401, (path, headers)
        assert reply.get("Set-Cookie") is None
    for query in (f"token={wrong}", "token=%ff%fe", "token=%00", f"token={TOKEN}%00", "token=%"):
        data = request(token_server.port, b"/?" + query.encode("latin-1"))
        reply_or_none = send_bytes(token_server, data)
        assert reply_or_none is None or reply_or_none.status in (400, 401), query


def test_odd_bytes_instead_of_a_token_are_refused(token_server: CellucidServer) -> None:
    for name in ("Authorization", "Cookie"):
        for value in ("Bearer \xe9", "\xff=\xff; \xfe", 'a="\\377"', "=;=;;,", "a" * 20_000):
            assert is_refused(
                send_bytes(token_server, request(token_server.port, "/", {name: value}))
            )
    for query in (
        b"token=\xff",
        b"token=\xc3\xa9",
        b"token=" + b"%" * 500,
        b"&" * 1000 + b"token=",
    ):
        assert is_refused(send_bytes(token_server, request(token_server.port, b"/?" + query)))


def test_preflights_need_no_token(token_server: CellucidServer) -> None:
    """Browsers send no token with a preflight request."""
    asked = {"Origin": "https://cellucid.com", "Access-Control-Request-Method": "GET"}
    reply = ask(token_server, POINTS, asked, method="OPTIONS")
    assert reply.status == 204
    assert reply.get("Access-Control-Allow-Origin") == "https://cellucid.com"
    told = ask(token_server, POINTS, {"Origin": "https://cellucid.com"})
    assert told.status == 401
    assert told.get("Access-Control-Allow-Origin") == "https://cellucid.com"


def test_host_is_checked_before_the_token(token_server: CellucidServer) -> None:
    headers = {"Host": "evil.com", "Authorization": f"Bearer {TOKEN}"}
    assert ask(token_server, "/", headers).status == 421
    assert ask(token_server, f"/?token={TOKEN}", {"Host": "evil.com"}).get("Set-Cookie") is None


def test_servers_of_one_machine_have_separate_cookies(
    token_server: CellucidServer, atlas_export: Path
) -> None:
    """Cookies ignore ports; one browser must be able to use both servers."""
    with serving(atlas_export, token="another-token") as server:
        cookies = [
            (ask(s, f"/?token={t}").get("Set-Cookie") or "").partition(";")[0]
            for s, t in ((token_server, TOKEN), (server, "another-token"))
        ]
        assert cookies[0].partition("=")[0] != cookies[1].partition("=")[0]
        both = {"Cookie": "; ".join(cookies)}
        assert ask(token_server, POINTS, both).status == 200
        assert ask(server, POINTS, both).status == 200
        assert ask(server, POINTS, {"Cookie": cookies[0]}).status == 401


def test_token_auto_makes_a_secret(atlas_export: Path) -> None:
    with serving(atlas_export, token="auto") as one, serving(atlas_export, token="auto") as two:
        made = [server.viewer_url.partition("token=")[2] for server in (one, two)]
        assert made[0] != made[1]
        assert all(len(token) >= 20 for token in made)
        assert ask(one, f"/?token={made[0]}").status == 200
        assert ask(one, f"/?token={made[1]}").status == 401
        assert ask(one, "/").status == 401


def test_address_reachable_by_others_requires_a_token(atlas_export: Path) -> None:
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
def test_invalid_tokens_are_refused(atlas_export: Path, token: str) -> None:
    with pytest.raises(CellucidDaskError, match="token: cannot be used"):
        CellucidServer(atlas_export, port=0, quiet=True, token=token)


def test_cookie_that_is_not_utf8_is_a_wrong_token(atlas_export: Path) -> None:
    """Cookies ignore ports: another server of this machine may set any bytes."""
    app = create_app(atlas_export, token=TOKEN)
    assert app.token is not None
    own = f"{app.token.cookie}={TOKEN}"
    try:
        for cookie, expected in (
            (f"{app.token.cookie}=\xff", "401"),
            ("\xff=\xff; \xfe", "401"),
            (f"other=\xe9; {own}", "200"),
            (own, "200"),
        ):
            statuses: list[str] = []
            environ = {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": "/_cellucid/info",
                "HTTP_HOST": "localhost",
                "HTTP_COOKIE": cookie,
            }
            app(environ, lambda line, _, statuses=statuses: statuses.append(line[:3]))
            assert statuses == [expected], cookie
    finally:
        app.close()
