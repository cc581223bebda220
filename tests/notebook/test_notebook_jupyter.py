"""`show` behind Jupyter, with and without its proxy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks import CELLS, GENES, IDENTITY, POINTS, Frame, JupyterProcess, run_jupyter
from serving import Reply, ask, free_port

from cellucid_dask import CellucidDaskError, CellucidServer
from cellucid_dask.notebook.embedded_server import EmbeddedServer
from cellucid_dask.notebook.proxy import JupyterServer, find_proxy_prefix
from cellucid_dask.synthetic import AtlasSpec, make_anndata


@pytest.mark.parametrize(
    ("proxy", "begin"),
    [("/user/ada/", "/user/ada/"), ("/user/a%20b", "/user/a%20b/"), ("/", "/")],
)
def test_a_given_base_url_is_used(shown: Any, folder: Path, proxy: str, begin: str) -> None:
    view = shown(folder / "atlas", proxy=proxy)
    assert view.url == f"{begin}proxy/{view.server.port}/{view.server.path}"
    assert Frame(view._repr_html_()).url.path == view.url


@pytest.mark.parametrize(
    "proxy", ["user/ada", "//evil.com/", "https://hub/user/ada/", '/"x"/', "", 1, "/a b/"]
)
def test_an_invalid_base_url_is_refused(shown: Any, folder: Path, proxy: Any) -> None:
    with pytest.raises(CellucidDaskError, match=r"'proxy'.*(not a path|not a choice)"):
        shown(folder / "atlas", proxy=proxy)


@pytest.mark.parametrize(
    ("written", "meant"), [("hieght", "height"), ("prxy", "proxy"), ("quantise", "quantize")]
)
def test_a_misspelled_option_is_refused_with_a_suggestion(
    shown: Any, folder: Path, written: str, meant: str
) -> None:
    """With what else is wrong, and never one that has no meaning here."""
    with pytest.raises(CellucidDaskError) as caught:
        shown(folder / "atlas", **{written: 8, "bas_path": "/x", "port": True})
    told = str(caught.value)
    assert f"'{written}': there is no such option\n    did you mean '{meant}'" in told
    assert "'bas_path': there is no such option\n" in told
    assert "'base_path'" not in told
    assert "port: True is a bool, not a whole number" in told
    assert len(caught.value.problems) == 3


def test_a_proxy_without_a_known_jupyter_is_refused(shown: Any, folder: Path) -> None:
    with pytest.raises(CellucidDaskError, match="no Jupyter server is known here"):
        shown(folder / "atlas", proxy=True)


@pytest.mark.parametrize(
    ("record_content", "environ", "expected"),
    [
        ({"hostname": "localhost", "base_url": "/"}, {}, None),
        ({"hostname": "127.0.0.1", "base_url": "/"}, {"SSH_CONNECTION": "1 2 3 4"}, "/"),
        ({"hostname": "localhost", "base_url": "/"}, {"SLURM_JOB_ID": "7"}, "/"),
        ({"hostname": "0.0.0.0", "base_url": "/"}, {}, "/"),
        ({"hostname": "", "base_url": "/node/n1/8/"}, {}, "/node/n1/8/"),
        ({"hostname": "localhost", "base_url": "/jupyter"}, {}, "/jupyter/"),
        ({"hostname": "localhost", "base_url": "/é/", "port": 9}, {}, "/é/"),
        (None, {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}, "/user/ada/"),
        (None, {"SSH_CONNECTION": "1 2 3 4"}, None),
    ],
)
def test_when_the_proxy_is_used(
    monkeypatch: pytest.MonkeyPatch,
    runtime_folder: Path,
    record_content: dict[str, Any] | None,
    environ: dict[str, str],
    expected: str | None,
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    record = runtime_folder / "jpserver-4711.json"
    record.write_text(json.dumps(record_content) if record_content else "no json")
    try:
        assert find_proxy_prefix(None, kernel=True) == expected
        assert find_proxy_prefix(None, kernel=False) is None
        assert find_proxy_prefix(False, kernel=True) is None
    finally:
        record.unlink()


@pytest.fixture(scope="module")
def jupyters(runtime_folder: Path) -> Iterator[tuple[JupyterProcess, JupyterProcess]]:
    """Two Jupyter servers: with jupyter-server-proxy, and without."""
    pytest.importorskip("jupyter_server_proxy", reason="jupyter-server-proxy is not installed")
    off = "--ServerApp.jpserver_extensions={'jupyter_server_proxy': False}"
    with (
        run_jupyter(runtime_folder) as with_proxy,
        run_jupyter(runtime_folder, off) as without_proxy,
    ):
        yield with_proxy(), without_proxy()


@pytest.fixture
def jupyter(jupyters: tuple[JupyterProcess, JupyterProcess]) -> JupyterProcess:
    """A Jupyter server with jupyter-server-proxy."""
    return jupyters[0]


def test_the_proxy_passes_every_byte(jupyter: JupyterProcess, folder: Path) -> None:
    head = {"Host": "hub.lab.org", "Authorization": "token of-jupyter"}
    live = make_anndata(AtlasSpec(cells=CELLS, genes=GENES))
    with EmbeddedServer(folder / "atlas") as server, EmbeddedServer(live) as other:
        below, there = f"/user/ada/proxy/{server.port}/{server.path}", folder / "atlas"

        def got(path: str, **more: str) -> Reply:
            return ask(jupyter.port, below + path, head | more)

        page = got("")
        assert page.body == ask(server, f"/{server.path}").body
        assert page.get("Content-Security-Policy") == ask(server, f"/{server.path}").get(
            "Content-Security-Policy"
        )
        assert got(IDENTITY).body == (there / IDENTITY).read_bytes()
        stored, coding = (there / POINTS).read_bytes(), "gzip, deflate, br"
        plain = got(POINTS, **{"Accept-Encoding": coding})
        assert (plain.body, plain.get("Content-Encoding")) == (stored, None)
        part = got(POINTS, Range="bytes=10-29")
        assert (part.status, part.body) == (206, stored[10:30])
        assert part.get("Content-Range") == f"bytes 10-29/{len(stored)}"
        assert got(POINTS, **{"If-None-Match": plain.get("ETag") or ""}).status == 304
        path = f"/user/ada/proxy/{other.port}/{other.path.partition('?')[0]}points_2d.bin"
        coded = ask(jupyter.port, path, head | {"Accept-Encoding": coding})
        assert coded.get("Content-Encoding") == "gzip"
        direct = ask(other, f"/{other.path.partition('?')[0]}points_2d.bin")
        assert gzip.decompress(coded.body) == direct.body
        assert ask(jupyter.port, below, {"Host": "hub.lab.org"}).status in (302, 403), (
            "not logged in"
        )


def test_serve_with_a_base_path_works_behind_the_absolute_route(
    jupyter: JupyterProcess, folder: Path
) -> None:
    """The way for a server that was started by the command."""
    port = free_port()
    base = f"/user/ada/proxy/absolute/{port}"
    hosts = ("hub.lab.org",)
    with CellucidServer(
        folder / "atlas", port, quiet=True, base_path=base, allowed_hosts=hosts
    ) as server:
        assert server.port == port
        head = {"Host": "hub.lab.org", "Authorization": "token of-jupyter"}
        assert (
            ask(jupyter.port, f"{base}/{POINTS}", head).body
            == (folder / "atlas" / POINTS).read_bytes()
        )
        moved = ask(jupyter.port, base, head)
        assert (moved.status, moved.get("Location")) == (308, f"{base}/")


def test_a_jupyter_without_the_proxy_is_refused(
    jupyters: tuple[JupyterProcess, JupyterProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_proxy, without_proxy = jupyters
    monkeypatch.setenv("JPY_PARENT_PID", str(with_proxy.pid))
    assert JupyterServer.find() == JupyterServer(
        "/user/ada/", remote=True, address=("localhost", with_proxy.port)
    )
    assert find_proxy_prefix(None, kernel=True) == "/user/ada/"
    monkeypatch.setenv("JPY_PARENT_PID", str(without_proxy.pid))
    with pytest.raises(CellucidDaskError, match="install jupyter-server-proxy"):
        find_proxy_prefix(None, kernel=True)
    assert find_proxy_prefix(False, kernel=True) is None
    assert find_proxy_prefix("/user/ada", kernel=True) == "/user/ada/", "who says so knows"
    assert not JupyterServer("/", remote=True, address=("localhost", 9)).lacks_proxy(), "no answer"
