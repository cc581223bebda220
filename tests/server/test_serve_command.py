"""The command ``serve``, the classes behind it, and the application under other servers."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import psutil
import pytest
from atlas import Outcome, command, here, run
from atlas import _catches as catches
from oracle import CREATED, file_bytes, make_atlas
from serving import (
    MANIFESTS,
    TOLD_BY,
    Client,
    Served,
    Wire,
    ask,
    internal,
    request,
    said,
    serving,
    wait_until,
    with_long_payload,
)

from cellucid_dask import (
    AnnDataServer,
    CellucidDaskError,
    CellucidServer,
    create_app,
    export,
    serve,
    serve_anndata,
)

POINTS = "/points_2d.bin.gz"
BIG = 10_000_000  # bytes; streamed, and more than the kernel holds for a client
SOON = 5  # seconds within which what should take one must be done
TOKEN = "a-token_of.tests~1"
USER = "ada"


@pytest.fixture(scope="session")
def atlas_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export; nothing changes it."""
    folder = tmp_path_factory.mktemp("command") / "pbmc"
    names = {"dataset_id": "pbmc", "dataset_name": "PBMC of Ada", "created_at": CREATED}
    export(make_atlas(60, 6), folder, quiet=True, workers=1, **names)
    return folder


@pytest.fixture(scope="session")
def long(atlas_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a payload that takes a while."""
    return with_long_payload(atlas_export, tmp_path_factory.mktemp("long"), BIG)


@pytest.fixture(autouse=True)
def _as_at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TOLD_BY, "CELLUCID_DASK_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    """A port that is free, with free ones after it most likely."""
    with taken() as port:
        return port


def _refusal(ended: Outcome, *texts: str) -> None:
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for text in texts:
        assert text in ended.err, ended.err


# ------------------------------------------------------------------------- what is printed


def test_it_prints_what_it_found_and_the_url(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", served.url())
        assert ask(served.port, POINTS).status == 200
        assert "PBMC of Ada" in served.printed
        assert "60 cells" in served.printed
        assert "6 genes" in served.printed
        assert "Ctrl-C" in served.printed
        assert "ssh" not in served.printed
        assert "token" not in served.printed
        assert served.stop() == 0
        assert served.complained == ""


def test_it_prints_every_export_of_a_folder(atlas_export: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("one", "with space", "broken"):
        shutil.copytree(atlas_export, root / name)
    (root / "broken" / "obs_manifest.json").write_text("{")
    with Served(root, "--port", 0, folder=tmp_path) as served:
        served.url()
        assert "3 exports" in served.printed
        assert "/one/" in served.printed
        assert "/with%20space/" in served.printed
        assert re.search(r"broken.*cannot be served: .*obs_manifest", served.printed)
        assert ask(served.port, "/with%20space/obs_manifest.json").status == 200


def test_quiet_prints_nothing(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, "-q", folder=tmp_path) as served:
        assert ask(served.listens_on(), POINTS).status == 200
        assert served.stop() == 0
        assert served.printed + served.complained == ""


def test_verbose_prints_a_line_for_each_request(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, "-v", folder=tmp_path) as served:
        size = len(ask(served.port, POINTS).body)
        ask(served.port, "/nothing?secret=1")
        ask(served.port, "/obs_manifest.json", method="HEAD")
        ask(served.port, POINTS, {"Host": "evil.com"})
        ask(served.port, "/a%0aGET%20/b%1b%5b31m%0d")
        ask(served.port, "/%e6%97%a5")
        wait_until(lambda: served.complained.count("\n") >= 6, "a line is missing")
        assert served.stop() == 0
        lines = served.complained.splitlines()
        assert len(lines) == 6
        assert re.match(rf"GET {POINTS} 200 {size} [\d.]+ ms$", lines[0])
        assert lines[1].startswith("GET /nothing 404")
        assert lines[2].startswith("HEAD /obs_manifest.json 200")
        assert " 421 " in lines[3]
        assert "\x1b" not in served.complained
        assert "secret" not in served.complained
        assert str(tmp_path) not in served.complained


def test_the_token_is_printed_in_the_url_only(atlas_export: Path, tmp_path: Path) -> None:
    for given in ("auto", TOKEN):
        with Served(atlas_export, "--port", 0, "-v", "--token", given, folder=tmp_path) as served:
            token = served.url().partition("?token=")[2]
            assert len(token) >= 16
            assert given in ("auto", token)
            assert ask(served.port, POINTS).status == 401
            assert ask(served.port, f"/?token={token}").status == 200
            assert ask(served.port, f"/?token={token}x").status == 401
            assert ask(served.port, POINTS, {"Authorization": f"Bearer {token}"}).status == 200
            assert ask(served.port, f"{POINTS}?a=b&token={token}").status == 200
            wait_until(lambda: served.complained.count("\n") >= 5, "a line is missing")
            assert served.stop() == 0
            assert token not in served.complained
            assert served.printed.count(token) == 1


def test_the_token_may_come_from_the_environment(atlas_export: Path, tmp_path: Path) -> None:
    """Not on the command line, which every user of the machine can read."""
    arguments = (atlas_export, "--port", 0)
    with Served(*arguments, folder=tmp_path, CELLUCID_DASK_TOKEN=TOKEN) as served:
        assert served.url().endswith(f"?token={TOKEN}")
        assert ask(served.port, POINTS).status == 401
        assert ask(served.port, POINTS, {"Authorization": f"Bearer {TOKEN}"}).status == 200
    with Served(*arguments, folder=tmp_path, CELLUCID_DASK_TOKEN="") as served:
        assert ask(served.port, POINTS).status == 200


def test_headers_do_not_come_from_the_environment(atlas_export: Path, tmp_path: Path) -> None:
    """WSGI servers pass their own environment on, with names like those of headers."""
    bad = {"HTTP_RANGE": "bytes=0-0", "HTTP_ORIGIN": "http://localhost", "HTTP_X": "y"}
    with Served(atlas_export, "--port", 0, folder=tmp_path, **bad) as served:
        reply = ask(served.port, POINTS)
        assert reply.status == 200
        assert reply.get("Access-Control-Allow-Origin") is None
        assert said(served.port, b"GET / HTTP/1.1\r\n\r\n") is not None


def test_names_that_the_terminal_cannot_write(atlas_export: Path, tmp_path: Path) -> None:
    """The server is there all the same."""
    root = tmp_path / "root"
    for name in ("日本", "one"):
        shutil.copytree(atlas_export, root / name)
        identity = root / name / "dataset_identity.json"
        identity.write_text(identity.read_text().replace("PBMC of Ada", "日本"))
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with Served(root, "--port", 0, folder=tmp_path, **plain) as served:
        assert ask(served.port, "/one/obs_manifest.json").status == 200
        assert served.stop() == 0


def test_folder_names_that_are_no_text(atlas_export: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(atlas_export, root / "one")
    try:
        shutil.copytree(os.fsencode(atlas_export), os.fsencode(root) + b"/caf\xe9")
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error.strerror})")
    with Served(root, "--port", 0, folder=tmp_path) as served:
        assert ask(served.port, "/one/obs_manifest.json").status == 200
        assert served.stop() == 0


def test_an_export_that_may_not_be_read(atlas_export: Path, tmp_path: Path) -> None:
    """A folder of another user among the exports stops no other export."""
    through: tuple[str, ...] = ()
    if os.geteuid() == 0:  # who may read everything, unless told otherwise
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything")
        less = "-dac_override,-dac_read_search"
        through = ("setpriv", f"--bounding-set={less}", f"--inh-caps={less}")
    root = tmp_path / "root"
    for name in ("closed", "closed inside", "one"):
        shutil.copytree(atlas_export, root / name)
    (root / "closed").chmod(0)
    (root / "closed inside" / "dataset_identity.json").chmod(0)
    (root / "one" / "points_2d.bin.gz").chmod(0)
    try:
        with Served(root, "--port", 0, folder=tmp_path, through=through) as served:
            assert ask(served.port, "/one/obs_manifest.json").status == 200
            assert ask(served.port, "/one" + POINTS).status in (403, 404, 503)
            for name in ("closed", "closed%20inside"):
                reply = ask(served.port, f"/{name}/dataset_identity.json")
                assert reply.status in (403, 404, 503)
            reply = ask(served.port, "/_cellucid/datasets")
            assert reply.status == 200
            told = {d["path"]: d for d in json.loads(reply.body)["datasets"]}
            assert "error" not in told["/one/"]
            assert told["/closed%20inside/"]["error"]
    finally:
        (root / "closed").chmod(0o755)


def test_output_that_nobody_reads(atlas_export: Path, tmp_path: Path) -> None:
    """``cellucid-dask serve ... | head -0``: it ends, or it serves; it does not hang half way."""
    reading, writing = os.pipe()
    os.close(reading)
    log = tmp_path / "log.txt"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command("serve", atlas_export, "--port", 0, "--no-browser"),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=errors,
        ) as process,
    ):
        os.close(writing)
        try:
            wait_until(
                lambda: process.poll() is not None or _listens(process.pid), "it does neither", 20
            )
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(SOON) in (143, 1, 2, -signal.SIGTERM)
            assert "Traceback" not in log.read_text(), log.read_text()
        finally:
            process.kill()


def _listens(pid: int) -> bool:
    found = psutil.Process(pid).net_connections("tcp")
    return any(connection.status == psutil.CONN_LISTEN for connection in found)


# ------------------------------------------------------------------------- tunnels, browsers


SSH = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 22", "LOGNAME": USER}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_HOST": "login1", "LOGNAME": USER}


@pytest.fixture
def typed(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[CellucidServer, str, str]]:
    """What a server prints for the user's own computer: the line to type, the URL to open."""

    def start(told: dict[str, str], **options: Any) -> tuple[CellucidServer, str, str]:
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        with CellucidServer(atlas_export, port=0, **options) as server:
            return server, *_line_and_url(capsys.readouterr().out)

    return start


def _line_and_url(printed: str) -> tuple[str, str]:
    line = re.search(r"^ +(ssh -N -L .*)$", printed, re.MULTILINE)
    opened = re.search(r"then open (http://\S+)$", printed, re.MULTILINE)
    assert line, printed
    assert opened, printed
    return line[1], opened[1]


def test_the_tunnel_of_an_ssh_session(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path, **SSH) as served:
        port = served.port
        line, opened = _line_and_url(served.printed)
        assert line == f"ssh -N -L {port}:127.0.0.1:{port} {USER}@198.51.100.9"
        assert opened == f"http://localhost:{port}/"


def test_the_tunnel_to_a_compute_node(atlas_export: Path, tmp_path: Path) -> None:
    """It is reached by way of the login node; only the node itself reaches its loopback."""
    with Served(atlas_export, "--port", 0, folder=tmp_path, **{**SSH, **SLURM}) as served:
        port = served.port
        line, opened = _line_and_url(served.printed)
        node = socket.gethostname()
        assert line == f"ssh -N -L {port}:127.0.0.1:{port} -J {USER}@login1 {USER}@{node}"
        assert opened == f"http://localhost:{port}/"


def test_the_tunnel_to_an_address_that_the_login_node_reaches(typed: Any) -> None:
    server, line, opened = typed(SLURM, host="0.0.0.0", token="auto")
    node, port = socket.gethostname(), server.port
    assert line == f"ssh -N -L {port}:{node}:{port} {USER}@login1"
    assert opened.startswith(f"http://localhost:{port}/?token=")


def test_the_tunnel_to_another_port_of_ssh(typed: Any) -> None:
    """The fourth field is the port that the session came in by."""
    told = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 2222", "LOGNAME": USER}
    words = shlex.split(typed(told)[1])
    assert words[-1] == f"{USER}@198.51.100.9"
    assert "-p" in words, words
    assert words[words.index("-p") + 1] == "2222"


def test_the_url_at_the_other_end_of_the_tunnel(typed: Any) -> None:
    """It has the base path and the token, and the server knows its name."""
    server, _, opened = typed(SSH, base_path="/a/b", token=TOKEN)
    assert opened == f"http://localhost:{server.port}/a/b/?token={TOKEN}"
    with server:
        path = opened.partition(f":{server.port}")[2]
        assert ask(server, path, {"Host": f"localhost:{server.port}"}).status == 200


def test_a_line_that_a_shell_reads_as_it_is_meant(typed: Any) -> None:
    told = {"SSH_CONNECTION": "192.0.2.7 51234 198.51.100.9 22", "LOGNAME": "Ada; rm -rf"}
    assert shlex.split(typed(told)[1])[-1] == "Ada; rm -rf@198.51.100.9"


@pytest.mark.parametrize("broken", ["", "x", "a b c", "a b c d e"])
def test_an_ssh_connection_that_cannot_be_read(typed: Any, broken: str) -> None:
    line = typed({"SSH_CONNECTION": broken, "LOGNAME": USER})[1]
    assert f"{USER}@{socket.gethostname()}" in line


def test_a_browser_opens_where_there_is_one(atlas_export: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> {shlex.quote(str(seen))}\n')
    script.chmod(0o755)
    browser = f"{script} %s"
    arguments = (atlas_export, "--port", 0, "--token", TOKEN)
    with Served(*arguments, folder=tmp_path, browser=browser) as served:
        served.url()
        wait_until(lambda: seen.exists() and seen.read_text().endswith("\n"), "it did not open")
        assert seen.read_text().strip() == served.url()
    seen.unlink()
    for more, told in (([], SSH), (["--no-browser"], {})):
        with Served(*arguments, *more, folder=tmp_path, browser=browser, **told) as served:
            assert ask(served.port, "/_cellucid/health").status == 200
    assert not seen.exists()


# ---------------------------------------------------------------------------------- ports


def test_a_port_that_is_taken_gives_way_to_the_next(atlas_export: Path, tmp_path: Path) -> None:
    with (
        taken() as port,
        Served(atlas_export, "--port", port, folder=tmp_path) as served,
    ):
        assert port < served.port < port + 100
        assert ask(served.port, POINTS).status == 200


def test_a_port_that_is_free_is_taken(atlas_export: Path, tmp_path: Path) -> None:
    port = free_port()
    with Served(atlas_export, "-p", port, folder=tmp_path) as served:
        assert served.port == port


def test_servers_never_share_a_port(atlas_export: Path, tmp_path: Path) -> None:
    """Started at the same moment with the same port, all have one of their own."""
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
        with taken() as port:
            another = CellucidServer(atlas_export, port=port, quiet=True)
            with another:
                assert another.port != port


def test_no_port_is_free(atlas_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internal("http.listener"), "TRIES", 1)
    with taken() as port:
        server = CellucidServer(atlas_export, port=port, quiet=True)
        with pytest.raises(CellucidDaskError, match=rf"port: .*{port}"):
            server.start_background()
        assert not server.is_running()
        server.stop()


def test_an_address_of_another_machine(atlas_export: Path, tmp_path: Path) -> None:
    """That no port is free there is true, and of no help."""
    options = ("--port", 0, "--host", "192.0.2.1", "--token", "none", "--no-browser")
    _refusal(run("serve", atlas_export, *options, cwd=tmp_path), "--host", "192.0.2.1")


def test_a_host_that_does_not_exist(atlas_export: Path, tmp_path: Path) -> None:
    options = ("--port", 0, "--host", "nothing.invalid", "--token", "none", "--no-browser")
    _refusal(run("serve", atlas_export, *options, cwd=tmp_path), "--host", "nothing.invalid")


# ---------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_finishes_what_is_under_way(
    long: Path, tmp_path: Path, number: int, code: int
) -> None:
    with Served(long, "--port", 0, folder=tmp_path) as served:
        port = served.port
        body = (long / "points_3d.bin.gz").read_bytes()
        idle = [Wire(port) for _ in range(20)]
        try:
            for wire in idle[:10]:
                reply = wire.send(request(port, POINTS)).reply()
                assert reply is not None
                assert reply.status == 200
            idle[10].send(b"GET / HTTP/1.1\r\nHo")
            with Wire(port, buffer=65_536) as wire:
                wire.send(request(port, "/points_3d.bin.gz"))
                wire._left = wire.socket.recv(100)
                began = time.monotonic()
                served.process.send_signal(number)
                reply = wire.reply()
                assert reply is not None
                assert reply.body == body, "the answer was cut"
            assert served.process.wait(SOON) == code
            assert time.monotonic() - began < SOON
            assert all(wire.rest() == b"" for wire in idle)
            assert "Traceback" not in served.complained
        finally:
            for wire in idle:
                wire.socket.close()
        with pytest.raises(ConnectionRefusedError):
            Wire(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_client_that_does_not_read_does_not_hold_the_end(
    long: Path, tmp_path: Path, number: int
) -> None:
    with Served(long, "--port", 0, folder=tmp_path) as served:
        with Wire(served.port, buffer=4096) as wire:
            wire.send(request(served.port, "/points_3d.bin.gz"))
            wire.socket.recv(1)
            began = time.monotonic()
            assert served.stop(number) in (0, 143)
            assert time.monotonic() - began < SOON
        assert "Traceback" not in served.complained


def test_ctrl_c_again_and_again(long: Path, tmp_path: Path) -> None:
    for pause in (0.005, 0.1):
        with Served(long, "--port", 0, folder=tmp_path) as served:
            with Wire(served.port, buffer=4096) as wire:
                wire.send(request(served.port, "/points_3d.bin.gz"))
                wire.socket.recv(1)
                end = time.monotonic() + SOON
                while served.process.poll() is None:
                    assert time.monotonic() < end
                    served.process.send_signal(signal.SIGINT)
                    time.sleep(pause)  # the pace of this user
            assert served.process.returncode in (0, 130, -signal.SIGINT)  # a shell shows 130
            assert "Traceback" not in served.complained
            assert "export" not in served.complained, "there was none"


def test_a_terminal_that_is_closed(atlas_export: Path, tmp_path: Path) -> None:
    with Served(atlas_export, "--port", 0, folder=tmp_path) as served:
        served.url()
        assert served.stop(signal.SIGHUP) in (129, -signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_the_moment_it_listens(
    number: signal.Signals, atlas_export: Path, tmp_path: Path
) -> None:
    """Its threads may not outlive the command, wherever the signal met it."""
    for moment in (0.0, 0.002, 0.01):
        with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
            wait_until(lambda: _listens(served.process.pid), "it never listened", pause=0.0005)
            time.sleep(moment)
            assert served.stop(number) in (0, 143)
            assert served.complained == ""


def test_nohup(atlas_export: Path, tmp_path: Path) -> None:
    """What was started to outlive its terminal does."""
    with Served(atlas_export, "--port", 0, folder=tmp_path, through=("nohup",)) as served:
        assert ask(served.port, POINTS).status == 200
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert ask(served.port, POINTS).status == 200
        assert served.stop() in (0, 143)


def test_ctrl_c_while_it_starts(atlas_export: Path, tmp_path: Path) -> None:
    for moment in (0, 0.3, 0.6):
        with Served(atlas_export, "--port", 0, folder=tmp_path, anew=True) as served:
            # Before that it is Python itself that is interrupted, and tells where.
            wait_until(lambda: catches(served.process.pid, signal.SIGTERM), "it never began")
            time.sleep(moment)  # somewhere in the imports, or after them
            assert served.stop(signal.SIGINT) in (0, 130, -signal.SIGINT)
            assert "Traceback" not in served.complained, served.complained


def test_the_port_is_free_again(atlas_export: Path, tmp_path: Path) -> None:
    """Started again at once, with connections of before still being wound up."""
    port = free_port()
    for _ in range(2):
        with (
            Served(atlas_export, "--port", port, folder=tmp_path) as served,
            Client(served.port) as client,
        ):
            assert served.port == port
            assert client(POINTS).status == 200
            assert served.stop() == 0


def test_clients_that_do_not_read_hold_little_memory(atlas_export: Path, tmp_path: Path) -> None:
    """Answers are made and kept within the cache size, whoever reads them or does not."""
    folder = Path(shutil.copytree(atlas_export, tmp_path / "export"))
    (folder / "points_3d.bin.gz").write_bytes(os.urandom(7_900_000))  # not yet a long one
    words = (folder, "--port", 0, "--cache-size", "64MB")
    with Served(*words, folder=tmp_path, anew=True) as served:
        resident = psutil.Process(served.process.pid).memory_info
        assert ask(served.port, "/points_3d.bin.gz").status == 200
        before = resident().rss
        wires = [Wire(served.port, buffer=4096) for _ in range(100)]
        try:
            for wire in wires:
                wire.send(request(served.port, "/points_3d.bin.gz"))
            assert ask(served.port, POINTS, seconds=30).status == 200
            for wire in wires[:20]:
                wire.socket.recv(1)
            assert resident().rss - before < 400_000_000
        finally:
            for wire in wires:
                wire.socket.close()


# ---------------------------------------------------------------------------------- refusals


def test_a_path_that_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _refusal(here(capfd, "serve", tmp_path / "nothing", "--no-browser"), "nothing")
    _refusal(here(capfd, "serve", tmp_path, "--no-browser"), "no export")
    (tmp_path / "file.txt").write_text("no data")
    _refusal(here(capfd, "serve", tmp_path / "file.txt", "--no-browser"), "file.txt")
    _refusal(here(capfd, "serve"), "PATH")


BAD = {
    "--port": "99999",
    "--cache-size": "much",
    "--base-path": "/a b",
    "--allowed-host": "http://evil.com",
    "--token": "short",
    "--quantize": "7",
    "--cache-dir": __file__,
}


def test_everything_that_is_wrong_is_told_at_once(
    atlas_export: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word for pair in BAD.items() for word in pair]
    ended = here(capfd, "serve", atlas_export, *words, "--latent-key", "K")
    _refusal(ended, *BAD, "--latent-key", f"{len(BAD) + 1} problems")
    ended = here(capfd, "serve", tmp_path / "nothing", *words)
    _refusal(ended, *BAD, "nothing", f"{len(BAD) + 1} problems")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *BAD.items(),
        ("--port", "-1"),
        ("--port", "65536"),
        ("--port", "abc"),
        ("--cache-size", "0"),
        ("--cache-size", "-5MB"),
        ("--cache-size", "1KB"),
        ("--base-path", "/a/../b"),
        ("--base-path", "/a//b"),
        ("--base-path", "/a?b"),
        ("--base-path", "http://evil.com/"),
        ("--allowed-host", "a.b:80"),
        ("--allowed-host", "*"),
        ("--allowed-host", ""),
        ("--allowed-host", "a/b"),
        ("--token", ""),
        ("--token", "has spaces in it"),
        ("--token", "semi;colon;semi"),
        ("--host", "0.0.0.0"),
        ("--host", "::"),
        ("--host", ""),
        ("--nothing", "x"),
    ],
)
def test_a_value_that_cannot_be_used(
    atlas_export: Path, capfd: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    _refusal(here(capfd, "serve", atlas_export, option, value, "--no-browser"), option)


@pytest.mark.parametrize(
    "words",
    [
        ("--latent-key", "X_pca"),
        ("--gene-id-column", "symbol"),
        ("--layer", "counts"),
        ("--raw",),
        ("--embedding", "2d=X_tsne"),
        ("--graph", "connectivities"),
        ("--no-graph",),
        ("--no-vectors",),
        ("--no-genes",),
        ("--quantize", "8"),
        ("--obs-key", "group"),
        ("--gene", "gene0"),
        ("--categorical-dtype", "uint8"),
        ("--rename-duplicates",),
        ("--dataset-name", "N"),
        ("--dataset-id", "I"),
    ],
    ids=lambda words: words[0],
)
def test_options_of_live_data_are_refused_for_an_export(
    atlas_export: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    for path in (atlas_export, atlas_export.parent):
        ended = here(capfd, "serve", path, *words, "--no-browser")
        _refusal(ended, words[0])
        assert "problems" not in ended.err, "one option is one problem"


def test_an_address_that_others_reach_wants_a_word(atlas_export: Path, tmp_path: Path) -> None:
    open_to_all = ("--port", 0, "--host", "0.0.0.0")
    _refusal(run("serve", atlas_export, *open_to_all, cwd=tmp_path), "--host", "--token")
    with Served(atlas_export, *open_to_all, "--token", "none", folder=tmp_path) as served:
        assert "token" not in served.url()
        assert ask(served.port, POINTS).status == 200
    with Served(atlas_export, *open_to_all, "--token", "auto", folder=tmp_path) as served:
        token = served.url().partition("?token=")[2]
        assert ask(served.port, POINTS).status == 401
        assert ask(served.port, POINTS, {"Authorization": f"Bearer {token}"}).status == 200


def test_a_token_that_nobody_is_told(atlas_export: Path, tmp_path: Path) -> None:
    """``--token auto --quiet`` would be a server that nobody can open."""
    with Served(atlas_export, "--port", 0, "--token", "auto", "-q", folder=tmp_path) as served:
        wait_until(
            lambda: "token=" in served.printed,
            "the token is told to nobody",
            30,
        )


# ---------------------------------------------------------------------------------- the classes


def test_the_life_of_a_server(atlas_export: Path) -> None:
    server = CellucidServer(atlas_export, port=0, quiet=True)
    assert not server.is_running()
    server.stop()
    server.start_background()
    try:
        assert server.is_running()
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.viewer_url == server.url + "/"
        port = server.port
        server.start_background()
        assert server.port == port, "it runs already"
        with Client(server) as client:
            assert client(POINTS).status == 200
            assert server.stop()
            assert not server.is_running()
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                Wire(port)
        server.start_background()
        assert server.port == port
        assert ask(server, POINTS).status == 200
    finally:
        server.stop()


def test_waiting_for_a_server(atlas_export: Path) -> None:
    with serving(atlas_export) as server:
        waiting = threading.Thread(target=server.wait)
        waiting.start()
        assert waiting.is_alive()
        server.stop()
        waiting.join(SOON)
        assert not waiting.is_alive()
    blocking = CellucidServer(atlas_export, port=0, quiet=True)
    thread = threading.Thread(target=blocking.start)
    thread.start()
    wait_until(blocking.is_running, "it never ran")
    blocking.stop()
    thread.join(SOON)
    assert not thread.is_alive()


def test_an_error_in_the_block_stops_the_server(atlas_export: Path) -> None:
    server = CellucidServer(atlas_export, port=0, quiet=True)
    with pytest.raises(ZeroDivisionError), server:
        raise ZeroDivisionError
    assert not server.is_running()


def test_stopping_with_idle_connections(atlas_export: Path) -> None:
    with serving(atlas_export) as server:
        wires = [Wire(server.port) for _ in range(200)]
        try:
            for wire in wires[:100]:
                wire.send(request(server.port, POINTS)).reply()
            began = time.monotonic()
            assert server.stop(), "nothing was under way"
            assert time.monotonic() - began < SOON
            assert all(wire.rest() == b"" for wire in wires)
        finally:
            for wire in wires:
                wire.socket.close()


def test_a_server_leaves_nothing_behind(atlas_export: Path) -> None:
    """No thread, no file and no socket, however often it is started."""
    process = psutil.Process()

    def now() -> tuple[int, int]:
        return threading.active_count(), process.num_fds()

    def once() -> None:
        with serving(atlas_export) as server:
            assert ask(server, POINTS).status == 200

    once()
    before = now()
    for _ in range(15):
        once()
    wait_until(lambda: now() <= before, f"{before} became {now()}")


def test_the_error_of_a_start_leaves_nothing_behind(
    atlas_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    server = CellucidServer(atlas_export, port=0)
    before = threading.active_count()
    stdout = os.fdopen(writing, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with suppress(BrokenPipeError):
            server.start_background()
            server.stop()
    with suppress(BrokenPipeError):
        stdout.close()
    running = server.is_running()
    server.stop()
    assert not running, "the start failed and left a server"
    wait_until(lambda: threading.active_count() <= before, "a thread is left")


def test_what_is_printed_in_a_notebook(
    atlas_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with CellucidServer(atlas_export, port=0, token=TOKEN) as server:
        printed = capsys.readouterr().out
        assert f"open {server.viewer_url}\n" in printed
    with CellucidServer(atlas_export, port=0, quiet=True):
        assert capsys.readouterr() == ("", "")


def test_serve_blocks_until_ctrl_c(atlas_export: Path, tmp_path: Path) -> None:
    script = tmp_path / "user_script.py"
    script.write_text(
        "from cellucid_dask import serve\n"
        f"server = serve({str(atlas_export)!r}, port=0, open_browser=False)\n"
        "print('after', server.is_running(), flush=True)\n"
    )
    out = tmp_path / "out.txt"
    with (
        out.open("wb") as file,
        subprocess.Popen([sys.executable, str(script)], stdout=file, stderr=file) as process,
    ):
        try:
            wait_until(
                lambda: "open http" in out.read_text() or process.poll() is not None,
                "it never served",
                20,
            )
            assert process.poll() is None, out.read_text()
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON) == 0
        finally:
            process.kill()
    assert "after False" in out.read_text()
    assert "Traceback" not in out.read_text()


def test_an_export_is_no_anndata(atlas_export: Path) -> None:
    for make in (AnnDataServer, serve_anndata):
        with pytest.raises(CellucidDaskError, match="export"):
            make(atlas_export, port=0, quiet=True)


def test_options_that_do_not_exist(atlas_export: Path) -> None:
    for make in (CellucidServer, create_app, serve):
        with pytest.raises(CellucidDaskError, match="allowed_host") as told:
            make(atlas_export, quiet=True, port=70_000, allowed_hots="x")
        assert "port: 70000 is not a port" in str(told.value)


@pytest.mark.parametrize(
    "options",
    [
        {"port": "8765"},
        {"port": None},
        {"port": 1.5},
        {"token": 12345678},
        {"token": b"bytes-of-token"},
        {"allowed_hosts": None},
        {"allowed_hosts": 5},
        {"base_path": None},
        {"cache_size": None},
        {"cache_size": [1]},
        {"host": None},
        {"host": 1},
        {"quantize": "8"},
    ],
    ids=repr,
)
def test_values_of_other_types(atlas_export: Path, options: dict[str, Any]) -> None:
    """They are told like other wrong values, or are taken for what they must mean."""
    try:
        server = CellucidServer(atlas_export, quiet=True, **({"port": 0} | options))
    except CellucidDaskError:
        return
    with server:
        assert server.is_running()


# ---------------------------------------------------------------------------------- other servers


def _served_by(port: int, folder: Path) -> None:
    """What any WSGI server must make of the application."""
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


class _Silent(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _wsgiref(app: Any) -> Iterator[int]:
    server: WSGIServer = make_server("127.0.0.1", 0, app, handler_class=_Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_application_under_wsgiref(atlas_export: Path) -> None:
    with _wsgiref(create_app(atlas_export)) as port:
        _served_by(port, atlas_export)
        for size in ("abc", "-5", "9" * 20):
            reply = ask(port, "/_cellucid/events", {"Content-Length": size}, method="POST")
            assert reply.status in (200, 400, 413), size


def test_the_application_keeps_to_wsgi(long: Path) -> None:
    """`wsgiref.validate` looks at every call."""
    with _wsgiref(validator(create_app(long))) as port:
        tag = str(ask(port, POINTS).get("ETag"))
        for path in (POINTS, "/obs_manifest.json", "/", "/_cellucid/info", "/nothing", "/%ff"):
            for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
                assert ask(port, path, method=method).status < 500
        assert ask(port, POINTS, {"If-None-Match": tag}).status == 304
        assert ask(port, POINTS, {"Range": "bytes=0-1"}).status == 206
        assert len(ask(port, "/points_3d.bin.gz").body) == BIG
        assert ask(port, "/_cellucid/events", method="POST", body=b"{}").status == 200


def test_the_application_with_a_token_and_a_base_path(atlas_export: Path) -> None:
    app = create_app(atlas_export, token=TOKEN, base_path="/a", allowed_hosts=("x.lab.org",))
    with _wsgiref(app) as port:
        assert ask(port, "/a" + POINTS).status == 401
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "x.lab.org"}
        assert ask(port, "/a" + POINTS, headers).status == 200
        assert ask(port, POINTS, headers).status == 404


@pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="gunicorn is not here")
@pytest.mark.parametrize("options", [("--threads", "4"), ("--workers", "2", "--preload")])
def test_the_application_under_gunicorn(
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
                60,
            )
            port = int(found[1])
            wait_until(lambda: _answers(port), "it never answered", 60)
            _served_by(port, atlas_export)
            with Client(port) as client:
                for name in MANIFESTS:
                    assert client("/" + name).status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def _answers(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            connection.request("GET", "/_cellucid/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
