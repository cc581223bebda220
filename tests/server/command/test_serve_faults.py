"""What a server says of a disk that is full, an index it cannot have and a port that is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas, save
from forks import can_mount, forks
from serving import SECONDS, Served, ask, serving, wait_until

from cellucid_dask import CellucidServer, export

COST = "the first request for each gene reads the complete matrix"
needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose matrix is stored cell by cell."""
    return save(atlas(), tmp_path_factory.mktemp("data") / "atlas.h5ad")


@needs_mount
def test_full_temporary_folder_gets_503_until_there_is_room(data: Path, tmp_path: Path) -> None:
    """The log names the full folder. The cache folder is read-only at the same time."""
    disk, cache = tmp_path / "disk", tmp_path / "cache"
    disk.mkdir()
    cache.mkdir()
    forks().shell(f"mount -t tmpfs -o size=1m tmpfs {disk}")
    forks().shell(f"mount -t tmpfs -o size=1m,ro tmpfs {cache}")
    options = ("--port", 0, "--cache-dir", cache)
    try:
        with Served(data, *options, folder=tmp_path, TMPDIR=str(disk)) as server:
            port = server.port
            assert ask(port, "/points_2d.bin").status == 200
            forks().shell(f"head -c 2000000 /dev/zero > {disk}/fill 2> /dev/null; true")
            for path in ("/points_3d.bin", "/obs_manifest.json", "/connectivity/edges.src.bin"):
                reply = ask(port, path)
                assert reply.status == 503, path
                assert reply.body == b"the server has no room for temporary files; see its log\n"
            lines = server.errors.splitlines()
            full = [line for line in lines if "the disk of the temporary folder is full" in line]
            assert len(full) >= 3
            assert all(line.startswith(f"{disk}/cellucid-dask-serve-") for line in full)
            assert "internal error" not in server.errors
            told = [line for line in lines if "gene index" in line]
            assert told == [
                f"there is no gene index, so {COST} ({cache}/genes/{told[0].split('/genes/')[1]}"
            ]
            assert "Read-only file system" in told[0]
            assert told[0].endswith("make room, or name another folder with --cache-dir")
            assert ask(port, "/var/Gene1.values.f32").status == 200
            forks().shell(f"rm {disk}/fill")
            for path in ("/points_3d.bin", "/obs_manifest.json", "/connectivity/edges.src.bin"):
                assert ask(port, path).status == 200, path
    finally:
        forks().shell(f"umount -l {disk}; umount -l {cache}")


@needs_mount
def test_temporary_folder_is_full_from_the_start(data: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    forks().shell(f"mount -t tmpfs -o size=1m,nr_inodes=3 tmpfs {disk}")
    try:
        with Served(data, "--port", 0, folder=tmp_path, TMPDIR=str(disk)) as server:
            assert server.process.wait(SECONDS) == 2
            assert "the disk of the temporary folder is full" in server.errors
            assert "TMPDIR" in server.errors
    finally:
        forks().shell(f"umount -l {disk}")


def _settled(server: CellucidServer) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        index: dict[str, Any] = json.loads(ask(server, "/_cellucid/info").body)["index"]
        return index if index["state"] in ("ready", "failed") else None

    found: dict[str, Any] = wait_until(state, "the index is never there and never given up")
    return found


def test_server_runs_without_an_index_that_cannot_be_built(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with serving(data, cache_dir=tmp_path / "file" / "cache") as server:
        index = _settled(server)
        assert index["state"] == "failed"
        assert index["cost"] == COST
        assert str(tmp_path) not in json.dumps(index)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"there is no gene index, so {COST} ({tmp_path}/file/")
    assert "\n" not in caplog.messages[0]
    caplog.clear()
    with serving(data, cache_dir=tmp_path / "cache") as server:
        assert _settled(server)["state"] == "ready"
    assert caplog.messages == []


def test_page_shows_the_cost_of_a_missing_index(
    request: pytest.FixtureRequest, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")
    from paging import needs_browser

    if any(mark.args[0] for mark in needs_browser):
        pytest.skip("there is no browser")
    page, serve = request.getfixturevalue("page"), request.getfixturevalue("serve")
    (tmp_path / "file").touch()
    without = serve(data, cache_dir=tmp_path / "file" / "cache")
    _settled(without)
    page.open(without)
    page.wait_until("!document.getElementById('index-note').hidden")
    (line,) = page.texts("#index-note")
    assert line == f"No gene index (the cache folder cannot be written (Not a directory)): {COST}."
    page.open(without, "color=gene:Gene1")
    page.wait_until("!document.getElementById('index-note').hidden")
    built = serve(data, cache_dir=tmp_path / "cache")
    _settled(built)
    page.open(built, "color=gene:Gene1")
    assert not page.is_shown("#index-note")


def test_port_in_use_is_printed_in_its_own_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    export(data, folder, quiet=True)
    with serving(folder) as first:
        capsys.readouterr()
        with CellucidServer(folder, port=first.port) as second:
            lines = capsys.readouterr().out.splitlines()
        assert f"port {first.port} is in use: using {second.port}" in lines
        with CellucidServer(folder, port=0):
            assert " is in use: " not in capsys.readouterr().out
