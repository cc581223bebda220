"""`show` and `show_anndata` in a real kernel."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from notebooks import CELLS, GENES, IDENTITY, POINTS, Frame, Notebook, listens

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, make_anndata


@pytest.fixture(scope="module")
def kernels() -> Callable[[Path], Any]:
    nbclient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is missing")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat")

    def make(folder: Path) -> Any:
        resources = {"metadata": {"path": str(folder)}}
        notebook = nbformat.v4.new_notebook()
        return nbclient.NotebookClient(notebook, resources=resources, timeout=240)

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


def test_an_export_in_a_cell_shows_one_bar(notebook: Notebook, folder: Path) -> None:
    """Which is replaced by that of the next stage: not a line or an output for each stage."""
    notebook.run(
        "import warnings, cellucid_dask, cellucid_dask.compute.progress as progress\n"
        "def run(seconds, quiet=False):\n"
        "    progress.SHORT_SECONDS = seconds  # of a stage that leaves no bar\n"
        "    with warnings.catch_warnings(action='ignore'):\n"
        f"        cellucid_dask.export(adata, {str(folder / 'b')!r}, force=True, quiet=quiet)"
    )
    for seconds in (1000, 0):
        outputs = notebook.run(f"run({seconds})")
        assert [output.output_type for output in outputs] == ["display_data"], outputs
        lines = re.sub("<[^>]+>", "", outputs[0].data["text/html"]).splitlines()
        bars = [line.split() for line in lines if line]
        assert all(re.fullmatch("━+", bar[-5]) for bar in bars), lines
        stages = [bar[0] for bar in bars]
        assert stages[-1] == "publish"
        assert (len(stages) == 1) == (seconds == 1000)
        assert (stages[0] == "check") == (seconds == 0)
    assert notebook.run("run(0, quiet=True)") == []


def test_a_changed_export_is_served_after_a_change(notebook: Notebook, folder: Path) -> None:
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


def test_an_anndata_that_can_no_longer_be_shown_stops_its_server(notebook: Notebook) -> None:
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


def test_a_view_can_be_stopped(notebook: Notebook) -> None:
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
