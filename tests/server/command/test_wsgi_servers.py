"""The application under other WSGI servers."""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import pytest
from oracle import file_bytes
from serving import MANIFESTS, POINTS, SECONDS, TOKEN, Client, ask, wait_until

from cellucid_dask import create_app

BIG = 10_000_000  # bytes; streamed, and more than the kernel holds for a client


def check_served(port: int, folder: Path) -> None:
    """Check the responses of the application under a WSGI server."""
    whole = ask(port, POINTS)
    for name, body in file_bytes(folder).items():
        for head in ("/", "/pbmc/"):
            reply = ask(port, head + name, {"Accept-Encoding": "gzip"})
            assert reply.status == 200
            assert reply.body == body
            assert reply.get("Content-Encoding") is None
    assert ask(port, POINTS, {"Range": "bytes=1-3"}).body == whole.body[1:4]
    assert ask(port, POINTS, {"Range": "bytes=1-3"}).status == 206
    assert ask(port, POINTS, {"If-None-Match": str(whole.get("ETag"))}).status == 304
    head = ask(port, POINTS, method="HEAD")
    assert head.get("Content-Length") == str(len(whole.body))
    assert ask(port, "/", method="OPTIONS").status == 204
    assert ask(port, "/nothing").status == 404
    assert ask(port, POINTS, {"Host": "evil.com"}).status == 421
    assert ask(port, POINTS, method="PUT").status == 405
    assert ask(port, "/%ff").status == 400
    assert ask(port, "/" + "a" * 2500).status == 414
    for path in ("/../x", "/%2e%2e/x", "/a//b", "/obs%00", "/obs/..%2f", "/%zz"):
        assert ask(port, path).status in (400, 404)
    origin = {"Origin": "http://localhost:1"}
    assert ask(port, POINTS, origin).get("Access-Control-Allow-Origin") == "http://localhost:1"


class SilentHandler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def run_wsgiref(app: Any) -> Iterator[int]:
    server: WSGIServer = make_server("127.0.0.1", 0, app, handler_class=SilentHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_application_under_wsgiref(atlas_export: Path) -> None:
    with run_wsgiref(create_app(atlas_export)) as port:
        check_served(port, atlas_export)
        for size in ("abc", "-5", "9" * 20):
            reply = ask(port, "/_cellucid/events", {"Content-Length": size}, method="POST")
            assert reply.status in (200, 400, 413), size


def test_application_follows_the_wsgi_standard(long_export: Path) -> None:
    """`wsgiref.validate` checks every call."""
    with run_wsgiref(validator(create_app(long_export))) as port:
        tag = str(ask(port, POINTS).get("ETag"))
        for path in (POINTS, "/obs_manifest.json", "/", "/_cellucid/info", "/nothing", "/%ff"):
            for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
                assert ask(port, path, method=method).status < 500
        assert ask(port, POINTS, {"If-None-Match": tag}).status == 304
        assert ask(port, POINTS, {"Range": "bytes=0-1"}).status == 206
        assert len(ask(port, "/points_3d.bin.gz").body) == BIG
        assert ask(port, "/_cellucid/events", method="POST", body=b"{}").status == 200


def test_application_with_token_and_base_path(atlas_export: Path) -> None:
    app = create_app(atlas_export, token=TOKEN, base_path="/a", allowed_hosts=("x.lab.org",))
    with run_wsgiref(app) as port:
        assert ask(port, "/a" + POINTS).status == 401
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "x.lab.org"}
        assert ask(port, "/a" + POINTS, headers).status == 200
        assert ask(port, POINTS, headers).status == 404


@pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not here")
@pytest.mark.parametrize("options", [("--threads", "4"), ("--workers", "2", "--preload")])
def test_application_under_gunicorn(
    atlas_export: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "wsgi.py").write_text(
        f"from cellucid_dask import create_app\napp = create_app({str(atlas_export)!r})\n"
    )
    log = tmp_path / "log.txt"
    words = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", *options, "wsgi:app"]
    with (
        log.open("wb") as file,
        subprocess.Popen(words, cwd=tmp_path, stdout=file, stderr=file) as process,
    ):
        try:
            found = wait_until(
                lambda: re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text()),
                "it never listened",
            )
            port = int(found[1])
            wait_until(lambda: has_response(port), "it never answered")
            check_served(port, atlas_export)
            with Client(port) as client:
                for name in MANIFESTS:
                    assert client("/" + name).status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def has_response(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=240)) as connection:
        try:
            connection.request("GET", "/_cellucid/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
