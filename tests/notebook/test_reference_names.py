"""Code that was written for `cellucid` runs after a change of the name that it imports."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import cellucid
import pytest
from atlas import atlas, save
from serving import ask

import cellucid_dask
from cellucid_dask import AnnDataServer, CellucidDaskError, CellucidServer, create_app, show
from cellucid_dask.anndata_server import AnnDataRequestHandler
from cellucid_dask.jupyter import (
    AnnDataViewer,
    CellucidViewer,
    HookRegistry,
    ViewerState,
    cleanup_all,
    show_anndata,
)
from cellucid_dask.server import CORSRequestHandler

MODULES = ("anndata_server", "server", "jupyter")
FUNCTIONS = [
    ("server", "CellucidServer"),
    ("server", "serve"),
    ("anndata_server", "AnnDataServer"),
    ("anndata_server", "serve_anndata"),
    ("jupyter", "CellucidViewer"),
    ("jupyter", "AnnDataViewer"),
    ("jupyter", "show"),
    ("jupyter", "show_anndata"),
]


def theirs(name: str) -> ModuleType:
    return importlib.import_module(f"{cellucid.__name__}.{name}")


def ours(name: str) -> ModuleType:
    return importlib.import_module(f"{cellucid_dask.__name__}.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    cellucid_dask.export(save(atlas(), folder / "atlas.h5ad"), folder / "export", quiet=True)
    return folder


@pytest.fixture
def stopped() -> Iterator[None]:
    """No viewer outlives its test."""
    yield
    cleanup_all()


@pytest.mark.parametrize("name", MODULES)
def test_the_public_names_of_a_module(name: str) -> None:
    module = theirs(name)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    assert {"serve", "serve_anndata", "show"} & public, "the reference has these"
    assert public <= set(dir(ours(name)))
    assert all(getattr(ours(name), key) is not None for key in public)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = ours(name).other


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_arguments_have_their_names_and_their_places(module: str, name: str) -> None:
    asked = list(inspect.signature(getattr(theirs(module), name)).parameters.values())
    signature = inspect.signature(getattr(ours(module), name))
    keywords = {p.name: "given" for p in asked if p.kind is not p.VAR_KEYWORD}
    signature.bind(**keywords)
    bound = signature.bind(*keywords).arguments  # by place, each with its own name
    places = {value: key for key, value in bound.items() if isinstance(value, str)}
    places |= {value: value for value in bound.get("args", ())}
    places["data_dir"] = "data_dir"  # its first argument is named data here
    assert places == {key: key for key in keywords} | {"data_dir": "data_dir"}


def test_a_server_of_data_dir(folder: Path) -> None:
    with CellucidServer(data_dir=folder / "export", port=0, quiet=True) as server:
        assert ask(server, "/dataset_identity.json").status == 200


def test_a_server_that_is_given_its_data_twice_or_not(folder: Path) -> None:
    with pytest.raises(CellucidDaskError, match="'data', 'data_dir': are two names of one"):
        CellucidServer(folder / "export", data_dir=folder / "export")
    for function in (CellucidServer, AnnDataServer, show):
        with pytest.raises(CellucidDaskError, match="data: there is nothing to serve"):
            function()


def _centroids(server: Any) -> Any:
    """Centroid quantile of what a server serves, also below a path that is a secret."""
    path = urlsplit(server.viewer_url).path
    return json.loads(ask(server, f"{path}obs_manifest.json").body)["centroid_outlier_quantile"]


def test_the_arguments_of_its_adapter(folder: Path) -> None:
    given = {"centroid_outlier_quantile": 0.8, "normalize_embeddings": True, "backed": True}
    with AnnDataServer(folder / "atlas.h5ad", port=0, quiet=True, **given) as server:
        assert _centroids(server) == 0.8
    view = show(folder / "atlas.h5ad", quiet=True, open_browser=False, **given)
    try:
        assert _centroids(view.server) == 0.8
    finally:
        view.stop()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"centroid_outlier_quantile": 0.8, "centroid_quantile": 0.8}, "two names of one argument"),
        ({"normalize_embeddings": False}, "embeddings are always normalized"),
        ({"centroid_outlier_quantile": 3}, "3"),
    ],
)
def test_arguments_that_cannot_be_used(folder: Path, given: dict[str, Any], what: str) -> None:
    with pytest.raises(CellucidDaskError, match=what):
        create_app(folder / "atlas.h5ad", **given)


def test_viewers_outside_a_notebook(
    folder: Path, capsys: pytest.CaptureFixture[str], stopped: None
) -> None:
    exported = ours("jupyter").show(folder / "export", 400)
    live = show_anndata(folder / "atlas.h5ad", dataset_name="mine")
    assert isinstance(exported, CellucidViewer)
    assert isinstance(live, AnnDataViewer)
    assert (exported.height, exported.data_dir) == (400, folder / "export")
    assert live.viewer_url.startswith(f"{live.server_url}/")
    assert ask(live.port, live.server_url[live.server_url.index("/", 8) :] + "/").status == 200
    assert capsys.readouterr().out == ""
    live.display()
    assert capsys.readouterr().out == f"open {live.viewer_url}\n"
    assert live._repr_html_() == f'<a href="{live.viewer_url}" target="_blank">mine</a>'
    exported.stop()
    exported.stop()
    assert "was stopped" in exported._repr_html_()
    cleanup_all()
    assert not live.server.is_running()


def test_what_there_is_not_refuses(folder: Path, stopped: None) -> None:
    """Rather than to wait for events that never come."""
    viewer = CellucidViewer(folder / "export")
    for name in ("on_selection", "highlight_cells", "set_color_by", "wait_for_ready", "state"):
        assert hasattr(theirs("jupyter").BaseViewer, name) or name == "state"
        with pytest.raises(NotImplementedError, match=f"^{name} of cellucid.jupyter is not here"):
            getattr(viewer, name)
    with pytest.raises(AttributeError):
        _ = viewer.on_selections
    for kind in (HookRegistry, ViewerState, CORSRequestHandler, AnnDataRequestHandler):
        with pytest.raises(NotImplementedError, match=kind.__name__):
            kind()
