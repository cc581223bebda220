"""Files that are sent piece by piece, and what may happen meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from exported import BIG, check_every_file, check_ranges, stable_headers, swap_folders
from serving import POINTS, Client, Wire, ask, internal, request, serving, wait_until


def test_long_file_is_served_in_full_and_in_ranges(long_export: Path) -> None:
    body = (long_export / "points_3d.bin.gz").read_bytes()
    with serving(long_export) as server, Client(server) as client:
        whole = client("/points_3d.bin.gz")
        assert whole.body == body
        assert whole.get("Content-Length") == str(BIG)
        assert whole.get("Content-Encoding") is None
        head = client("/points_3d.bin.gz", method="HEAD")
        assert stable_headers(head) == stable_headers(whole)
        tag = str(whole.get("ETag"))
        assert client("/points_3d.bin.gz", {"If-None-Match": tag}).status == 304
        check_ranges(client, "/points_3d.bin.gz")
        for span in ((1_000_000, 9_999_999), (1_048_575, 1_048_577), (5, BIG - 5)):
            reply = client("/points_3d.bin.gz", {"Range": f"bytes={span[0]}-{span[1]}"})
            assert reply.status == 206
            assert reply.body == body[span[0] : span[1] + 1]
        assert client("/points_3d.bin.gz", {"Range": "bytes=0-0"}).body == body[:1]


def test_every_file_sent_piece_by_piece(
    exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal("http.content"), "IN_MEMORY", 10)
    monkeypatch.setattr(internal("http.body"), "PIECE", 7)
    with serving(exports["plain"]) as server, Client(server) as client:
        check_every_file(client, exports["plain"])
        check_ranges(client, "/points_2d.bin")
        check_ranges(client, "/obs_manifest.json")


def test_client_that_disconnects_leaves_no_open_file(long_export: Path) -> None:
    """The server closes the file and continues."""
    with serving(long_export) as server:
        for _ in range(20):
            with Wire(server.port, buffer=4096) as wire:
                wire.send(request(server.port, "/points_3d.bin.gz"))
                wire.socket.recv(10)
        for _ in range(20):
            with Wire(server.port) as wire:
                wire.send(request(server.port, "/points_3d.bin.gz"))
        assert ask(server, POINTS).status == 200

        def open_files() -> list[str]:
            links = Path("/proc/self/fd").iterdir()
            return [str(link) for link in links if points_into(link, long_export)]

        wait_until(lambda: not open_files(), "files stay open")


def points_into(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


def test_long_file_replaced_while_it_is_sent(long_export: Path) -> None:
    """A response that starts with the old file ends with the old file."""
    old = (long_export / "points_3d.bin.gz").read_bytes()
    with serving(long_export) as server, Wire(server.port, buffer=4096) as wire:
        wire.send(request(server.port, "/points_3d.bin.gz"))
        first = wire.socket.recv(10)
        (long_export / "new").write_bytes(os.urandom(BIG))
        (long_export / "new").replace(long_export / "points_3d.bin.gz")
        wire._left = first
        reply = wire.reply()
        assert reply is not None
        assert reply.body == old


def test_long_file_truncated_while_it_is_sent(long_export: Path) -> None:
    """The server cuts the connection, so that the client notices the missing part."""
    with serving(long_export) as server:
        with Wire(server.port, buffer=4096) as wire:
            wire.send(request(server.port, "/points_3d.bin.gz"))
            got = len(wire.socket.recv(10))
            os.truncate(long_export / "points_3d.bin.gz", 12_000_000)
            got += len(wire.rest())
            assert got < BIG
        assert ask(server, POINTS).status == 200


def test_removed_long_file_gets_404(long_export: Path) -> None:
    with serving(long_export) as server:
        assert ask(server, "/points_3d.bin.gz", method="HEAD").status == 200
        (long_export / "points_3d.bin.gz").unlink()
        for path in ("/points_3d.bin.gz", "/atlas/points_3d.bin.gz"):
            assert ask(server, path).status == 404
            assert ask(server, path, {"Range": "bytes=0-9"}).status == 404


def test_replaced_long_file_is_served_at_once(long_export: Path) -> None:
    """The file alone is replaced, with unchanged manifests; the server sends the new file."""
    with serving(long_export) as server:
        assert ask(server, "/points_3d.bin.gz").status == 200
        body = os.urandom(BIG)
        (long_export / "new").write_bytes(body)
        (long_export / "new").replace(long_export / "points_3d.bin.gz")
        reply = ask(server, "/points_3d.bin.gz")
        assert reply.status == 200
        assert reply.body == body


def test_re_export_with_a_long_file(long_export: Path, tmp_path: Path) -> None:
    """A viewer that already has the manifests requests the file right after."""
    new = Path(shutil.copytree(long_export, tmp_path / "new"))
    (new / "points_3d.bin.gz").write_bytes(os.urandom(BIG))
    with serving(long_export) as server:
        assert ask(server, "/obs_manifest.json").status == 200
        assert ask(server, "/points_3d.bin.gz").status == 200
        swap_folders(long_export, new)
        reply = ask(server, "/points_3d.bin.gz")
        assert reply.status == 200
        assert reply.body == (long_export / "points_3d.bin.gz").read_bytes()
