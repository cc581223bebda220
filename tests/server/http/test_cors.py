"""Cross-origin requests: which pages may read responses."""

from __future__ import annotations

import pytest
from serving import POINTS, Reply, ask, request, send_bytes

from cellucid_dask import CellucidServer

CORS = {
    "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
    "access-control-allow-headers": "Content-Type, Range",
    "access-control-expose-headers": (
        "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag"
    ),
}


ALLOWED_ORIGINS = [
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


REFUSED_ORIGINS = [
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


def cors_headers(reply: Reply) -> dict[str, str]:
    return {k: v for k, v in reply.headers if k.startswith("access-control")}


@pytest.mark.parametrize("origin", ALLOWED_ORIGINS)
def test_allowed_origins_get_cors_headers(server: CellucidServer, origin: str) -> None:
    expected = CORS | {"access-control-allow-origin": origin}
    for path in PATHS:
        for method in ("GET", "HEAD"):
            reply = ask(server, path, {"Origin": origin}, method=method)
            assert cors_headers(reply) == expected, path
            assert "Origin" in (reply.get("Vary") or "")
    tag = str(ask(server, POINTS).get("ETag"))
    for more in ({"Range": "bytes=0-1"}, {"Range": "bytes=99999-"}, {"If-None-Match": tag}):
        assert cors_headers(ask(server, POINTS, {"Origin": origin, **more})) == expected
    for path in PATHS:
        reply = ask(
            server,
            path,
            {"Origin": origin, "Access-Control-Request-Method": "GET"},
            method="OPTIONS",
        )
        if path != "/%ff":
            assert reply.status == 204
        assert cors_headers(reply) == expected


@pytest.mark.parametrize("origin", REFUSED_ORIGINS)
def test_other_origins_get_no_cors_headers(server: CellucidServer, origin: str) -> None:
    """The response has no CORS headers, so the browser does not show it to the page."""
    for path in PATHS:
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            reply = ask(server, path, asked, method=method)
            assert cors_headers(reply) == {}, path
            assert "Origin" in (reply.get("Vary") or "")
            assert origin.encode("latin-1") not in reply.body or len(origin) < 5


def test_two_origins_get_no_cors_headers(server: CellucidServer) -> None:
    data = request(server.port, POINTS).replace(
        b"\r\n\r\n", b"\r\nOrigin: https://evil.com\r\nOrigin: https://cellucid.com\r\n\r\n"
    )
    reply = send_bytes(server, data)
    assert reply is None or cors_headers(reply) == {}


def test_request_without_origin_gets_no_cors_headers(server: CellucidServer) -> None:
    for path in PATHS:
        reply = ask(server, path)
        assert cors_headers(reply) == {}
        assert "Origin" in (reply.get("Vary") or ""), "a cache must not give this to an origin"


def test_preflight_gets_cors_headers(server: CellucidServer) -> None:
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
