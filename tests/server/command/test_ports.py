"""The port and the address of a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from atlas import run
from serving import POINTS, Served, ask, check_refusal, free_port, internal, occupied_port, serving

from cellucid_dask import CellucidDaskError, CellucidServer


def test_next_port_is_used_when_one_is_in_use(atlas_export: Path, tmp_path: Path) -> None:
    with (
        occupied_port() as port,
        Served(atlas_export, "--port", port, folder=tmp_path) as served,
    ):
        assert port < served.port < port + 100
        assert ask(served.port, POINTS).status == 200


def test_requested_port_is_used_when_free(atlas_export: Path, tmp_path: Path) -> None:
    port = free_port()
    with Served(atlas_export, "-p", port, folder=tmp_path) as served:
        assert served.port == port


def test_servers_never_share_a_port(atlas_export: Path, tmp_path: Path) -> None:
    """Servers that start at the same moment with the same port each get their own port."""
    port = free_port()
    servers = [Served(atlas_export, "--port", port, folder=tmp_path) for _ in range(3)]
    try:
        ports = [served.port for served in servers]
        assert len(set(ports)) == 3, ports
        assert all(port <= one < port + 100 for one in ports)
        for one in ports:
            assert ask(one, POINTS).status == 200
        with socket.socket() as another:
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "SO_REUSEPORT"):
                another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                another.bind(("127.0.0.1", ports[0])) or another.listen()
    finally:
        for served in servers:
            served.__exit__()


def test_servers_of_one_process_never_share_a_port(atlas_export: Path) -> None:
    with serving(atlas_export) as one:
        other = CellucidServer(atlas_export, port=one.port, quiet=True)
        with other:
            assert one.port < other.port < one.port + 100
            assert other.url.endswith(f":{other.port}")
            assert ask(other, POINTS).status == 200
        with occupied_port() as port:
            another = CellucidServer(atlas_export, port=port, quiet=True)
            with another:
                assert another.port != port


def test_no_free_port_is_an_error(atlas_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internal("http.listener"), "PORT_ATTEMPTS", 1)
    with occupied_port() as port:
        server = CellucidServer(atlas_export, port=port, quiet=True)
        with pytest.raises(CellucidDaskError, match=rf"port: .*{port}"):
            server.start_background()
        assert not server.is_running()
        server.stop()


def test_address_of_another_machine_is_refused(atlas_export: Path, tmp_path: Path) -> None:
    """The message names the address, not the ports."""
    options = ("--port", 0, "--host", "192.0.2.1", "--token", "none", "--no-browser")
    check_refusal(run("serve", atlas_export, *options, cwd=tmp_path), "--host", "192.0.2.1")


def test_unknown_host_is_refused(atlas_export: Path, tmp_path: Path) -> None:
    options = ("--port", 0, "--host", "nothing.invalid", "--token", "none", "--no-browser")
    check_refusal(run("serve", atlas_export, *options, cwd=tmp_path), "--host", "nothing.invalid")
