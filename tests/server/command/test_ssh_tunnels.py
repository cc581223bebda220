"""The SSH command that ``serve`` prints, and the browser that it opens."""

from __future__ import annotations

import re
import shlex
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import TOKEN, Served, ask, wait_until

from cellucid_dask import CellucidServer

USER = "ada"


SSH = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 22", "LOGNAME": USER}


SLURM = {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_HOST": "login1", "LOGNAME": USER}


@pytest.fixture
def start_in(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[CellucidServer, str, str]]:
    """Start a server in an environment; returns it, the SSH command and the URL that it prints."""

    def start(told: dict[str, str], **options: Any) -> tuple[CellucidServer, str, str]:
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        with CellucidServer(atlas_export, port=0, **options) as server:
            return server, *command_and_url(capsys.readouterr().out)

    return start


def command_and_url(printed: str) -> tuple[str, str]:
    line = re.search(r"^ +(ssh -N -L .*)$", printed, re.MULTILINE)
    opened = re.search(r"then open (http://\S+)$", printed, re.MULTILINE)
    assert line, printed
    assert opened, printed
    return line[1], opened[1]


def test_tunnel_of_an_ssh_session(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path, **SSH) as served:
        port = served.port
        line, opened = command_and_url(served.printed)
        assert line == f"ssh -N -L {port}:127.0.0.1:{port} {USER}@198.51.100.9"
        assert opened == f"http://localhost:{port}/"


def test_tunnel_to_a_compute_node(atlas_export: Path, tmp_path: Path) -> None:
    """The tunnel goes through the login node, because only the node reaches its loopback."""
    with Served(atlas_export, "--port", 0, folder=tmp_path, **{**SSH, **SLURM}) as served:
        port = served.port
        line, opened = command_and_url(served.printed)
        node = socket.gethostname()
        assert line == f"ssh -N -L {port}:127.0.0.1:{port} -J {USER}@login1 {USER}@{node}"
        assert opened == f"http://localhost:{port}/"


def test_tunnel_through_the_login_node_to_a_public_address(start_in: Any) -> None:
    server, line, opened = start_in(SLURM, host="0.0.0.0", token="auto")
    node, port = socket.gethostname(), server.port
    assert line == f"ssh -N -L {port}:{node}:{port} {USER}@login1"
    assert opened.startswith(f"http://localhost:{port}/?token=")


def test_tunnel_with_another_ssh_port(start_in: Any) -> None:
    """The fourth field is the port of the SSH session."""
    told = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 2222", "LOGNAME": USER}
    words = shlex.split(start_in(told)[1])
    assert words[-1] == f"{USER}@198.51.100.9"
    assert "-p" in words, words
    assert words[words.index("-p") + 1] == "2222"


def test_url_at_the_other_end_of_the_tunnel(start_in: Any) -> None:
    """The URL has the base path and the token, and the server accepts its host name."""
    server, _, opened = start_in(SSH, base_path="/a/b", token=TOKEN)
    assert opened == f"http://localhost:{server.port}/a/b/?token={TOKEN}"
    with server:
        path = opened.partition(f":{server.port}")[2]
        assert ask(server, path, {"Host": f"localhost:{server.port}"}).status == 200


def test_tunnel_command_is_quoted_for_a_shell(start_in: Any) -> None:
    told = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 22", "LOGNAME": "Ada; rm -rf"}
    assert shlex.split(start_in(told)[1])[-1] == "Ada; rm -rf@198.51.100.9"


@pytest.mark.parametrize("broken", ["", "x", "a b c", "a b c d e"])
def test_malformed_ssh_connection_variable(start_in: Any, broken: str) -> None:
    line = start_in({"SSH_CONNECTION": broken, "LOGNAME": USER})[1]
    assert f"{USER}@{socket.gethostname()}" in line


@pytest.fixture
def browser(tmp_path: Path) -> tuple[str, Path]:
    """A browser that writes addresses to a file; its command, and that file."""
    seen = tmp_path / "seen.txt"
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> {shlex.quote(str(seen))}\n')
    script.chmod(0o755)
    return f"{script} %s", seen


def test_browser_opens_where_one_exists(
    atlas_export: Path, tmp_path: Path, browser: tuple[str, Path]
) -> None:
    program, seen = browser
    arguments = (atlas_export, "--port", 0, "--token", TOKEN)
    with Served(*arguments, folder=tmp_path, browser=program) as served:
        served.url()
        wait_until(lambda: seen.exists() and seen.read_text().endswith("\n"), "it did not open")
        assert seen.read_text().strip() == served.url()
    seen.unlink()
    for more, told in (([], SSH), (["--no-browser"], {})):
        with Served(*arguments, *more, folder=tmp_path, browser=program, **told) as served:
            assert ask(served.port, "/_cellucid/health").status == 200
    assert not seen.exists()


def test_the_demo_opens_its_page(tmp_path: Path, browser: tuple[str, Path]) -> None:
    program, seen = browser
    arguments = ("--cells", 300, "--genes", 40, "-o", "d", "--serve", "--port", 0)
    with Served(*arguments, folder=tmp_path, browser=program, by="demo") as served:
        wait_until(lambda: "open http" in served.printed, "the demo is not served", 120)
        assert ask(served.port, "/dataset_identity.json").status == 200
        assert "verified: " in served.printed
        wait_until(lambda: seen.exists() and seen.read_text().endswith("\n"), "it did not open")
        assert seen.read_text().strip() == served.url()
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait() == 0
