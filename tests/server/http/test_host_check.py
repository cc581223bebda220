"""The Host header: names of this server, and names that are refused."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
from serving import POINTS, Wire, ask, is_refused, request, send_bytes, serving

from cellucid_dask import CellucidServer, create_app


@pytest.mark.parametrize(
    "name", ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.1.", "[::1]"]
)
def test_names_of_this_machine_are_accepted(server: CellucidServer, name: str) -> None:
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
def test_other_host_names_are_refused(server: CellucidServer, name: str) -> None:
    """Protects against DNS rebinding: a page of another host name must not read the data."""
    for path in (POINTS, "/", "/_cellucid/health", "/nothing"):
        for method in ("GET", "POST", "OPTIONS"):
            reply = send_bytes(server, request(server.port, path, {"Host": name}, method=method))
            assert is_refused(reply)
            assert reply is None or reply.status in (400, 421)
            assert reply is None or b"obs" not in reply.body


def test_wrong_host_gets_421_with_a_hint(server: CellucidServer) -> None:
    reply = ask(server, POINTS, {"Host": "evil.com"})
    assert reply.status == 421
    assert reply.body.count(b"\n") == 1
    assert b"evil" not in reply.body


def test_missing_host_and_two_hosts_are_refused(server: CellucidServer) -> None:
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
        reply = send_bytes(server, line)
        assert is_refused(reply), line
        assert reply is None or reply.status in (400, 421), line


def test_allowed_host_names_are_accepted(atlas_export: Path) -> None:
    allowed = ("viewer.lab.org", "Other.Lab", "[2001:db8::1]")
    with serving(atlas_export, allowed_hosts=allowed) as server:
        for name in (*allowed, "VIEWER.lab.org", "viewer.lab.org.", "other.lab", "localhost"):
            for port in ("", ":443"):
                assert ask(server, POINTS, {"Host": name + port}).status == 200, name
        for name in ("lab.org", "x.viewer.lab.org", "viewer.lab.org.evil.com", "2001:db8::1"):
            assert ask(server, POINTS, {"Host": name}).status == 421, name


def test_allowed_host_with_final_dot_is_accepted(atlas_export: Path) -> None:
    """A fully qualified name may end with a dot."""
    with serving(atlas_export, allowed_hosts=("viewer.lab.org.",)) as server:
        for name in ("viewer.lab.org", "viewer.lab.org."):
            assert ask(server, POINTS, {"Host": name}).status == 200, name


def test_allowed_hosts_may_be_one_string(atlas_export: Path) -> None:
    with serving(atlas_export, allowed_hosts="viewer.lab.org") as server:
        assert ask(server, POINTS, {"Host": "viewer.lab.org"}).status == 200
        assert ask(server, POINTS, {"Host": "v"}).status == 421


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "::1", "[::1]"])
def test_other_loopback_addresses_are_accepted(atlas_export: Path, host: str) -> None:
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


def test_server_on_all_interfaces_accepts_its_addresses(atlas_export: Path) -> None:
    """A server on 0.0.0.0 accepts the names of the machine, not every name."""
    with serving(atlas_export, host="0.0.0.0", token="none") as server:
        assert ask(server, POINTS, {"Host": f"{socket.gethostname()}:80"}).status == 200
        for entries in psutil.net_if_addrs().values():
            for entry in entries:
                if entry.family == socket.AF_INET:
                    assert ask(server, POINTS, {"Host": entry.address}).status == 200
        for name in ("evil.com", "1.2.3.4", "[2001:db8::1]"):
            assert ask(server, POINTS, {"Host": name}).status == 421


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_host_of_an_absolute_target_is_checked(atlas_export: Path, key: str) -> None:
    """If the WSGI server passes the target to the application."""
    app = create_app(atlas_export)
    try:
        for target, status in (
            ("http://evil.example/_cellucid/health", "421"),
            ("HTTPS://localhost@evil.example/_cellucid/health", "421"),
            ("http://localhost:8765/_cellucid/health", "200"),
            ("/_cellucid/health?next=http://evil.example/", "200"),
        ):
            told: list[str] = []
            environ = {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": "/_cellucid/health",
                "HTTP_HOST": "localhost",
                key: target,
            }
            app(environ, lambda line, _, told=told: told.append(line))
            assert told[0][:3] == status, target
    finally:
        app.close()
