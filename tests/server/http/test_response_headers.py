"""What every response has: nosniff, errors in one line, nothing about the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from serving import POINTS, Client, ask, serving

from cellucid_dask import CellucidServer

PATHS = [POINTS, "/obs_manifest.json", "/", "/_cellucid/health", "/nothing", "/%ff"]


def test_every_response_has_nosniff(server: CellucidServer, token_server: CellucidServer) -> None:
    tag = str(ask(server, POINTS).get("ETag"))
    seen = {
        200: ask(server, POINTS),
        204: ask(server, "/", method="OPTIONS"),
        206: ask(server, POINTS, {"Range": "bytes=0-1"}),
        304: ask(server, POINTS, {"If-None-Match": tag}),
        400: ask(server, "/%ff"),
        401: ask(token_server, POINTS),
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


def test_errors_are_one_line_of_text(server: CellucidServer, token_server: CellucidServer) -> None:
    for reply in (
        ask(server, "/nothing"),
        ask(server, "/%ff"),
        ask(server, POINTS, method="DELETE"),
        ask(server, POINTS, {"Host": "evil.com"}),
        ask(server, "/" + "a" * 4000),
        ask(token_server, POINTS),
    ):
        assert (reply.get("Content-Type") or "").startswith("text/plain")
        assert reply.body.count(b"\n") == 1
        assert reply.body.endswith(b"\n")
        assert len(reply.body) < 200


def test_no_response_reveals_the_machine(
    atlas_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for data that become invalid; `serving` checks every response."""
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


def test_internal_error_reveals_nothing(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is one line of text; only the log of the server has the details."""

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
