"""Bytes that are not a request, and paths that lead out of the export."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import POINTS, ask, is_refused, request, send_bytes

from cellucid_dask import CellucidServer

MALFORMED = [
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


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: repr(line[:40]))
def test_malformed_request_is_refused(impatient_server: CellucidServer, line: bytes) -> None:
    """The response is a 4xx or a closed connection, and the server continues."""
    reply = send_bytes(impatient_server, line)
    assert reply is None or reply.status in (501, 505) or is_refused(reply)
    assert ask(impatient_server, POINTS).status == 200


def test_absolute_targets(server: CellucidServer) -> None:
    """Proxies send the absolute form; the server reads its path and checks its host."""
    body = ask(server, "/obs_manifest.json").body
    for name in (f"127.0.0.1:{server.port}", "localhost"):
        reply = ask(server, f"http://{name}/obs_manifest.json")
        assert (reply.status, reply.body) == (200, body)
    assert ask(server, "http://localhost/../stray.txt").status in (400, 404)
    assert ask(server, "http://localhost/http://localhost/obs_manifest.json").status == 404
    assert ask(server, "http://localhost/", {"Host": "evil.com"}).status in (400, 421)


OUTSIDE_PATHS = [
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


@pytest.mark.parametrize("path", OUTSIDE_PATHS)
def test_paths_out_of_the_export_get_404(server: CellucidServer, path: str) -> None:
    for head in ("", "/atlas"):
        reply = send_bytes(server, request(server.port, head + path))
        assert is_refused(reply)
        assert reply is None or reply.status in (400, 404), path
        assert reply is None or reply.all("X-Evil") == []


def test_absolute_path_of_the_export_gets_404(server: CellucidServer, atlas_export: Path) -> None:
    for name in ("obs_manifest.json", "stray.txt"):
        for head in ("", "/", "/..", "/%2f"):
            reply = send_bytes(server, request(server.port, f"{head}{atlas_export}/{name}"))
            assert is_refused(reply)
