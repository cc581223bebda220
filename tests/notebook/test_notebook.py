"""`show` and `show_anndata`: in a real kernel, in a real browser, behind a real Jupyter server."""

from __future__ import annotations

import functools
import gc
import gzip
import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Reply, ask, serving, wait_until

from cellucid_dask import CellucidDaskError, CellucidServer, export, show, show_anndata
from cellucid_dask.notebook.embedded_server import FramedServer
from cellucid_dask.notebook.proxy import Jupyter, proxy_prefix
from cellucid_dask.notebook.show import HELD, View
from cellucid_dask.synthetic import AtlasSpec, make_anndata

CELLS, GENES = 300, 12
TELLS = ("JUPYTERHUB_SERVICE_PREFIX", "JPY_PARENT_PID", "SSH_CONNECTION", "SLURM_JOB_ID")
IDENTITY, POINTS = "dataset_identity.json", "points_2d.bin.gz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an export lies, `atlas`."""
    root = tmp_path_factory.mktemp("notebook")
    export(make_anndata(AtlasSpec(cells=CELLS, genes=GENES)), root / "atlas", quiet=True)
    return root


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No Jupyter but that of these tests; the folder where one would note itself."""
    folder = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        for name in TELLS:
            patch.delenv(name, raising=False)
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield folder


@pytest.fixture
def shown() -> Iterator[Callable[..., View]]:
    """Show in this process, which is no kernel, until the test is over."""
    views: list[View] = []

    def call(data: Any, *args: Any, function: Any = show, **options: Any) -> View:
        views.append(function(data, *args, **{"open_browser": False, "quiet": True, **options}))
        return views[-1]

    yield call
    for view in views:
        view.stop()


class Frame(HTMLParser):
    """The one frame in the HTML of an output."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(html)
        assert len(self.found) == 1, html
        self.is_a = self.found[0]
        self.url = urlsplit(str(self.is_a["src"]))
        self.port = self.url.port or 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag == "iframe"
        self.found.append(dict(attrs))

    def ask(self, path: str = "", **more: Any) -> Reply:
        """Answer to a path below the page."""
        return ask(self.port, self.url.path + path, **more)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# ------------------------------------------------------------------------------ a real kernel


class Notebook:
    """A notebook whose cells are run one by one."""

    def __init__(self, client: Any) -> None:
        self._client, self._nbformat = client, pytest.importorskip("nbformat")

    def run(self, source: str, *, fails: bool = False) -> list[Any]:
        """Outputs of a new cell."""
        cell = self._nbformat.v4.new_code_cell(source)
        cell.metadata["tags"] = ["raises-exception"] if fails else []
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, len(self._client.nb.cells) - 1)
        return list(cell.outputs)

    def frame(self, source: str) -> Frame:
        """The frame that a cell shows, and nothing else."""
        outputs = self.run(source)
        assert [output.output_type for output in outputs] == ["execute_result"], outputs
        return Frame(outputs[0].data["text/html"])


@pytest.fixture(scope="module")
def kernels() -> Callable[[Path], Any]:
    nbclient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is missing")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat")

    def make(folder: Path) -> Any:
        resources = {"metadata": {"path": str(folder)}}
        notebook = nbformat.v4.new_notebook()
        return nbclient.NotebookClient(notebook, resources=resources, timeout=60)

    return make


@pytest.fixture(scope="module")
def notebook(kernels: Callable[[Path], Any], folder: Path) -> Iterator[Notebook]:
    """A notebook in the folder of the export."""
    client = kernels(folder)
    with client.setup_kernel():
        notebook = Notebook(client)
        notebook.run(
            "from cellucid_dask import show, show_anndata\n"
            "from cellucid_dask.synthetic import AtlasSpec, make_anndata\n"
            f"adata = make_anndata(AtlasSpec(cells={CELLS}, genes={GENES}))"
        )
        yield notebook


def test_a_notebook_shows_an_export(notebook: Notebook, folder: Path) -> None:
    outputs = notebook.run("show('atlas', height=432)")
    assert [output.output_type for output in outputs] == ["execute_result"], "a word too many"
    frame = Frame(outputs[0].data["text/html"])
    assert (frame.url.scheme, frame.url.hostname) == ("http", "127.0.0.1")
    assert (frame.is_a["width"], frame.is_a["height"]) == ("100%", "432")
    assert frame.is_a["title"] == "Cellucid: atlas"
    assert frame.url.path not in outputs[0].data["text/plain"]
    page = frame.ask()
    assert (page.status, page.get("Content-Type")) == (200, "text/html; charset=utf-8")
    for name in (IDENTITY, "obs_manifest.json", POINTS):
        assert frame.ask(name).body == (folder / "atlas" / name).read_bytes()
    again = notebook.frame(f"show('../{folder.name}/atlas')")
    assert again.url == frame.url, "the same export by another spelling of its path"
    assert notebook.frame("show('.')").url != frame.url
    assert notebook.frame("show('atlas', cache_size='64MB')").url != frame.url
    assert listens(frame.port)


def test_a_changed_export_is_shown_anew(notebook: Notebook, folder: Path) -> None:
    small = make_anndata(AtlasSpec(cells=CELLS // 2, genes=GENES))
    export(small, folder / "changing", quiet=True)
    before = notebook.frame("show('changing')")
    assert json.loads(before.ask(IDENTITY).body)["stats"]["n_cells"] == CELLS // 2
    export(
        make_anndata(AtlasSpec(cells=CELLS, genes=GENES)),
        folder / "changing",
        quiet=True,
        force=True,
    )
    after = notebook.frame("show('changing')")
    assert json.loads(after.ask(IDENTITY).body)["stats"]["n_cells"] == CELLS
    shutil.rmtree(folder / "changing")
    shutil.copytree(folder / "atlas", folder / "changing" / "one")
    root = notebook.frame("show('changing')")
    assert root.ask(f"one/{IDENTITY}").status == 200, "a folder of exports took its place"


def test_a_notebook_shows_an_anndata_as_it_is_now(notebook: Notebook) -> None:
    frame = notebook.frame("show_anndata(adata)")
    assert "/?anndata=true" in frame.is_a["src"]
    fields = json.loads(frame.ask("obs_manifest.json").body)["_continuousFields"]
    notebook.run("adata.obs['added'] = range(adata.n_obs)")
    again = notebook.frame("show_anndata(adata)")
    assert again.url == frame.url
    now = json.loads(again.ask("obs_manifest.json").body)["_continuousFields"]
    assert [entry[0] for entry in now] == [*(entry[0] for entry in fields), "added"]
    assert len(again.ask("obs/added.values.f32").body) == 4 * CELLS
    quantized = notebook.frame("show_anndata(adata, quantize=8)")
    assert quantized.url != frame.url
    assert len(quantized.ask("obs/added.values.u8").body) == CELLS


def test_an_anndata_that_cannot_be_shown_any_more(notebook: Notebook) -> None:
    frame = notebook.frame("other = adata.copy(); show_anndata(other)")
    outputs = notebook.run("other.obsm.clear(); show_anndata(other)", fails=True)
    assert "no embedding" in outputs[-1].evalue
    assert not listens(frame.port), "it would go on to show what is not so any more"


def test_an_error_is_a_message_and_no_traceback(notebook: Notebook) -> None:
    outputs = notebook.run("show('atlass', height=-1, token='a-token-of-mine')", fails=True)
    assert [output.output_type for output in outputs] == ["error"]
    told = "\n".join(outputs[0].traceback)
    assert told.startswith("error: 3 problems")
    assert "-1 is not a height" in told
    assert "'token': has no meaning in a notebook" in told
    assert "atlass: there is no such file or folder" in told
    assert "Traceback" not in told
    assert 'File "' not in told
    assert "use show" in notebook.run("show_anndata('atlas')", fails=True)[0].evalue


def test_a_view_is_stopped(notebook: Notebook) -> None:
    frame = notebook.frame("view = show('atlas', cache_size='70MB'); view")
    outputs = notebook.run("view.stop(); view.stop(); view")
    assert "was stopped" in outputs[0].data["text/html"]
    assert not listens(frame.port)
    assert notebook.frame("show('atlas', cache_size='70MB')").url != frame.url


def test_a_fork_of_the_kernel_shows_for_itself(notebook: Notebook) -> None:
    mine, live = notebook.frame("show('atlas')"), notebook.frame("show_anndata(adata.copy())")
    outputs = notebook.run(
        "import os\n"
        "out, into = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        view = show('atlas')\n"
        "        os.write(into, view.url.encode())\n"
        "        view.stop()\n"
        "    finally:\n"
        "        os._exit(0)\n"
        "os.close(into)\n"
        "os.wait()\n"
        "os.read(out, 1000).decode()"
    )
    url = urlsplit(outputs[-1].data["text/plain"].strip("'"))
    assert (url.port, url.path) != (mine.port, mine.url.path)
    assert url.port
    assert not listens(url.port)
    assert mine.ask().status == 200, "the end of the fork stopped the server of the kernel"
    assert live.ask("points_2d.bin").status == 200, "it took away where live answers are made"


def test_the_end_of_the_kernel_frees_its_ports(kernels: Any, folder: Path) -> None:
    client = kernels(folder)
    with client.setup_kernel():
        notebook = Notebook(client)
        notebook.run("from cellucid_dask import show")
        frames = [notebook.frame("show('atlas')"), notebook.frame("show('.')")]
        assert all(listens(frame.port) for frame in frames)
    assert not any(listens(frame.port) for frame in frames)


# ------------------------------------------------------------------------------ in this process


def test_at_most_some_objects_are_held(shown: Any) -> None:
    datas = [make_anndata(AtlasSpec(cells=20, genes=3)) for _ in range(HELD + 1)]
    views = [shown(data, function=show_anndata) for data in datas[:HELD]]
    assert shown(datas[0], function=show_anndata).server is views[0].server
    shown(datas[HELD], function=show_anndata)
    running = [view.server.is_running() for view in views]
    assert running == [True, False, *[True] * (HELD - 2)], "not the one shown longest ago"


def test_what_is_stopped_is_let_go_of(shown: Any, folder: Path) -> None:
    """Also while a notebook keeps the view, as it does of every output."""
    data = make_anndata(AtlasSpec(cells=20, genes=3))
    view, held = shown(data, function=show_anndata), weakref.ref(data)
    assert ask(view.server.port, urlsplit(view.url).path + "points_2d.bin").status == 200
    url = view.url
    del data
    view.stop()
    gc.collect()
    assert held() is None
    assert (view.url, "stopped" in repr(view)) == (url, True)
    for stopped in (view, view_of_path := shown(folder)):
        stopped.stop()
        with pytest.raises(CellucidDaskError, match="show it again"):
            stopped.server.start_background()
        assert not stopped.server.is_running()
    assert "stopped" in view_of_path._repr_html_()


def test_outside_a_notebook_the_url_is_printed(
    shown: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    view = shown(folder / "atlas", quiet=False)
    assert capsys.readouterr().out == f"open {view.url}\n"
    assert shown(str(folder / "atlas")).server is view.server
    assert capsys.readouterr().out == ""


def test_a_script_that_shows_ends(folder: Path) -> None:
    """The process would wait for the threads of the server."""
    script = "import cellucid_dask as c; c.show('atlas', open_browser=False)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("open http://127.0.0.1:")


def test_threads_that_show_the_same_share_a_server(shown: Any, folder: Path) -> None:
    found: list[View] = []
    threads = [
        threading.Thread(target=lambda: found.append(shown(folder / "atlas"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({view.url for view in found}) == 1
    assert len(found) == 8


def test_what_is_in_the_html_is_escaped(shown: Any) -> None:
    name = "a\"><script>alert('x')</script>&amp;"
    html = shown(make_anndata(AtlasSpec(cells=20, genes=3)), dataset_name=name)._repr_html_()
    assert "<script" not in html
    assert Frame(html).is_a["title"] == f"Cellucid: {name}"


def test_only_who_knows_the_path_is_answered(folder: Path) -> None:
    """By whatever name: behind a proxy it is the proxy's."""
    with FramedServer(folder / "atlas") as server:
        secret = server.path.rstrip("/")
        assert len(secret) >= 32
        for host in ("127.0.0.1", "hub.lab.org", "evil.com:80"):
            head = {"Host": host}
            assert ask(server, f"/{secret}/{IDENTITY}", head).status == 200
            for path in ("", IDENTITY, "_cellucid/health", f"x{secret}/", f"{secret[:-1]}/"):
                assert ask(server, f"/{path}", head).status == 404, path
        port = server.port
    with FramedServer(folder / "atlas", port=port) as later:
        assert later.port == port
        assert ask(later, f"/{secret}/").status == 404, "an old frame shows what is there now"


def test_frames_of_notebooks_only(folder: Path) -> None:
    with serving(folder / "atlas") as server:
        policy = ask(server, "/").get("Content-Security-Policy") or ""
    found = re.search(r"frame-ancestors ([^;]+)", policy)
    assert found
    assert found[1].split() == [
        "'self'",
        *(f"{s}://{name}:*" for name in ("localhost", "127.0.0.1") for s in ("http", "https")),
        "vscode-webview:",
        "vscode-file:",
    ]


# ------------------------------------------------------------------------------ behind Jupyter


@pytest.mark.parametrize(
    ("proxy", "begin"),
    [("/user/ada/", "/user/ada/"), ("/user/a%20b", "/user/a%20b/"), ("/", "/")],
)
def test_a_base_url_that_is_given(shown: Any, folder: Path, proxy: str, begin: str) -> None:
    view = shown(folder / "atlas", proxy=proxy)
    assert view.url == f"{begin}proxy/{view.server.port}/{view.server.path}"
    assert Frame(view._repr_html_()).url.path == view.url


@pytest.mark.parametrize(
    "proxy", ["user/ada", "//evil.com/", "https://hub/user/ada/", '/"x"/', "", 1, "/a b/"]
)
def test_a_base_url_that_is_none(shown: Any, folder: Path, proxy: Any) -> None:
    with pytest.raises(CellucidDaskError, match=r"'proxy'.*(not a path|not a choice)"):
        shown(folder / "atlas", proxy=proxy)


@pytest.mark.parametrize(
    ("written", "meant"), [("hieght", "height"), ("prxy", "proxy"), ("quantise", "quantize")]
)
def test_a_name_that_is_written_wrongly(shown: Any, folder: Path, written: str, meant: str) -> None:
    """With what else is wrong, and never one that has no meaning here."""
    with pytest.raises(CellucidDaskError) as caught:
        shown(folder / "atlas", **{written: 8, "bas_path": "/x", "port": True})
    told = str(caught.value)
    assert f"'{written}': there is no such option\n    did you mean '{meant}'" in told
    assert "'bas_path': there is no such option\n" in told
    assert "'base_path'" not in told
    assert "port: True is a bool, not a whole number" in told
    assert len(caught.value.problems) == 3


def test_a_proxy_of_which_nothing_is_known(shown: Any, folder: Path) -> None:
    with pytest.raises(CellucidDaskError, match="no Jupyter server is known here"):
        shown(folder / "atlas", proxy=True)


@pytest.mark.parametrize(
    ("noted", "environ", "expected"),
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
def test_when_the_proxy_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    alone: Path,
    noted: dict[str, Any] | None,
    environ: dict[str, str],
    expected: str | None,
) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    record = alone / "jpserver-4711.json"
    record.write_text(json.dumps(noted) if noted else "no json")
    try:
        assert proxy_prefix(None, kernel=True) == expected
        assert proxy_prefix(None, kernel=False) is None
        assert proxy_prefix(False, kernel=True) is None
    finally:
        record.unlink()


@dataclass(frozen=True, slots=True)
class Ran:
    """A Jupyter server: its process and its port."""

    pid: int
    port: int


@contextmanager
def run_jupyter(alone: Path, *more: str) -> Iterator[Callable[[], Ran]]:
    """Start a Jupyter server at /user/ada/; what is given waits for it."""
    options = (
        "--no-browser",
        "--allow-root",
        "--ServerApp.base_url=/user/ada/",
        "--ServerApp.port=0",
        "--ServerApp.allow_remote_access=True",
        "--IdentityProvider.token=of-jupyter",
        f"--ServerApp.root_dir={alone}",
        *more,
    )
    log = alone / f"jupyter-{len(more)}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options], stdout=out, stderr=out
        )
    try:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            record = alone / f"jpserver-{process.pid}.json"
            number = json.loads(record.read_text())["port"] if record.is_file() else 0
            return number if number and listens(number) else 0

        yield lambda: Ran(process.pid, wait_until(port, "Jupyter does not start", 60, 0.1))
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def jupyters(alone: Path) -> Iterator[tuple[Ran, Ran]]:
    """Two Jupyter servers: with jupyter-server-proxy, and without."""
    pytest.importorskip("jupyter_server_proxy", reason="jupyter-server-proxy is not installed")
    off = "--ServerApp.jpserver_extensions={'jupyter_server_proxy': False}"
    with run_jupyter(alone) as having, run_jupyter(alone, off) as lacking:
        yield having(), lacking()


@pytest.fixture
def jupyter(jupyters: tuple[Ran, Ran]) -> Ran:
    """A Jupyter server with jupyter-server-proxy."""
    return jupyters[0]


def test_through_the_proxy_byte_by_byte(jupyter: Ran, folder: Path) -> None:
    head = {"Host": "hub.lab.org", "Authorization": "token of-jupyter"}
    live = make_anndata(AtlasSpec(cells=CELLS, genes=GENES))
    with FramedServer(folder / "atlas") as server, FramedServer(live) as other:
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


def test_a_base_path_with_the_absolute_route(jupyter: Ran, folder: Path) -> None:
    """The way for a server that was started by the command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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


def test_whether_jupyter_has_the_proxy(
    jupyters: tuple[Ran, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    having, lacking = jupyters
    monkeypatch.setenv("JPY_PARENT_PID", str(having.pid))
    assert Jupyter.found() == Jupyter("/user/ada/", remote=True, address=("localhost", having.port))
    assert proxy_prefix(None, kernel=True) == "/user/ada/"
    monkeypatch.setenv("JPY_PARENT_PID", str(lacking.pid))
    with pytest.raises(CellucidDaskError, match="install jupyter-server-proxy"):
        proxy_prefix(None, kernel=True)
    assert proxy_prefix(False, kernel=True) is None
    assert proxy_prefix("/user/ada", kernel=True) == "/user/ada/", "who says so knows"
    assert not Jupyter("/", remote=True, address=("localhost", 9)).lacks_proxy(), "no answer"


# ------------------------------------------------------------------------------ a real browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver = shutil.which("chromedriver")
    if CHROMIUM is None or driver is None:
        pytest.skip("there is no Chromium, or no chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "no-proxy-server",
        "use-angle=swiftshader",
        "enable-unsafe-swiftshader",
        "host-resolver-rules=MAP lab.org 127.0.0.1",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A page of another origin, without a log."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def around(tmp_path: Path) -> Iterator[int]:
    """Port of another server of this machine, with what the test writes to its folder."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_frame_shows_the_page(
    browser: Any, shown: Any, around: int, tmp_path: Path, folder: Path
) -> None:
    """In pages of this machine by either name, though these are two sites; in no other page."""
    view = shown(folder / "atlas")
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{view._repr_html_()}")
    state = "const s = window.cellucid; return s && (s.ready || s.error) ? s : null"
    for name in ("localhost", "127.0.0.1"):
        browser.get(f"http://{name}:{around}/notebook.html")
        browser.switch_to.frame(browser.find_element("tag name", "iframe"))
        found = wait_until(lambda: browser.execute_script(state), "the page is never ready", 60)
        assert (found["ready"], found["error"], found["drawn"]) == (True, None, CELLS)
    browser.get_log("browser")
    browser.get(f"http://lab.org:{around}/notebook.html")
    refused = "frame-ancestors"
    wait_until(
        lambda: any(refused in entry["message"] for entry in browser.get_log("browser")),
        "a page of another name may show the frame",
        30,
        0.2,
    )
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    assert browser.execute_script("return window.cellucid === undefined")
