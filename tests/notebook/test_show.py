"""`show` and `show_anndata` in this process, which is not a kernel."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from notebooks import IDENTITY, Frame
from serving import ask, serving

from cellucid_dask import CellucidDaskError, show_anndata
from cellucid_dask.notebook.embedded_server import EmbeddedServer
from cellucid_dask.notebook.show import MAX_IN_MEMORY, View
from cellucid_dask.synthetic import AtlasSpec, make_anndata


def test_few_objects_in_memory_are_served_at_a_time(shown: Any) -> None:
    datas = [make_anndata(AtlasSpec(cells=20, genes=3)) for _ in range(MAX_IN_MEMORY + 1)]
    views = [shown(data, function=show_anndata) for data in datas[:MAX_IN_MEMORY]]
    assert shown(datas[0], function=show_anndata).server is views[0].server
    shown(datas[MAX_IN_MEMORY], function=show_anndata)
    running = [view.server.is_running() for view in views]
    assert running == [True, False, *[True] * (MAX_IN_MEMORY - 2)], "not the one shown longest ago"


def test_a_stopped_view_releases_its_data(shown: Any, folder: Path) -> None:
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
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("open http://127.0.0.1:")


def test_threads_that_show_the_same_data_share_a_server(shown: Any, folder: Path) -> None:
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


def test_names_in_the_html_are_escaped(shown: Any) -> None:
    name = "a\"><script>alert('x')</script>&amp;"
    html = shown(make_anndata(AtlasSpec(cells=20, genes=3)), dataset_name=name)._repr_html_()
    assert "<script" not in html
    assert Frame(html).is_a["title"] == f"Cellucid: {name}"


def test_only_requests_below_the_secret_path_are_answered(folder: Path) -> None:
    """By whatever name: behind a proxy it is the proxy's."""
    with EmbeddedServer(folder / "atlas") as server:
        secret = server.path.rstrip("/")
        assert len(secret) >= 32
        for host in ("127.0.0.1", "hub.lab.org", "evil.com:80"):
            head = {"Host": host}
            assert ask(server, f"/{secret}/{IDENTITY}", head).status == 200
            for path in ("", IDENTITY, "_cellucid/health", f"x{secret}/", f"{secret[:-1]}/"):
                assert ask(server, f"/{path}", head).status == 404, path
        port = server.port
    with EmbeddedServer(folder / "atlas", port=port) as later:
        assert later.port == port
        assert ask(later, f"/{secret}/").status == 404, "an old frame shows what is there now"


def test_only_pages_of_notebooks_may_frame_the_page(folder: Path) -> None:
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
