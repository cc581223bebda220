"""Several exports of one id in a folder: each can be chosen, and the user is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas
from serving import MANIFESTS, ask, serving

from cellucid_dask import CellucidServer, DataWarning, export
from cellucid_dask.arguments.boundary import keep_option_names

NAME = "Atlas of two"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exports that differ, of one id and one name, and a third one."""
    folder = tmp_path_factory.mktemp("same") / "exports"
    for number, name in enumerate(["a b", "b"]):
        adata = atlas(60 + number, seed=number)
        export(adata, folder / name, quiet=True, dataset_id="b", dataset_name=NAME)
    export(atlas(70), folder / "c", quiet=True, dataset_id="b-2", dataset_name="Other")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "exports"))


def entries(server: CellucidServer) -> list[dict[str, Any]]:
    """The list of datasets."""
    found: list[dict[str, Any]] = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
    return found


def test_each_is_listed_once_and_answered_under_its_key(folder: Path) -> None:
    shutil.copytree(folder / "b", folder / "d")
    shutil.copytree(folder / "b", folder / "e")
    (folder / "e" / "dataset_identity.json").write_text("{")
    shutil.copytree(folder / "e", folder / "b-2")
    with serving(folder) as server:
        listed = {entry["path"]: entry["id"] for entry in entries(server)}
        assert len(set(listed.values())) == len(listed) == 6
        assert listed["/a%20b/"] == "b", "the id is that of the first by name"
        for path in ("/a%20b/", "/b/", "/c/", "/d/"):
            stored = folder / path.strip("/").replace("%20", " ")
            for key in (path, f"/{listed[path]}/" if listed[path] != "b" else "/a%20b/"):
                for manifest in MANIFESTS:
                    reply = ask(server, key + manifest)
                    assert reply.body == (stored / manifest).read_bytes(), (key, manifest)
        catalog = json.loads(ask(server, "/datasets.json").body)
        assert [entry["id"] for entry in catalog["datasets"]] == list(listed.values())[:4]
        assert catalog["default"] == "b"


def test_the_first_by_name_keeps_the_id(folder: Path) -> None:
    """Where no folder has that name: a folder comes before an id."""
    (folder / "b").rename(folder / "z")
    with serving(folder) as server:
        identity = "dataset_identity.json"
        assert ask(server, f"/b/{identity}").body == (folder / "a b" / identity).read_bytes()
        assert ask(server, f"/z/{identity}").body == (folder / "z" / identity).read_bytes()


def test_python_and_the_terminal_warn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(DataWarning, match="have the same id, 'b'"), serving(folder, quiet=False):
        assert "warning" not in capsys.readouterr().out
    with keep_option_names(), serving(folder, quiet=False):
        told = capsys.readouterr().out.splitlines()
    warnings = [line for line in told if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: a b, b have the same id, 'b': it opens a b")
    shutil.rmtree(folder / "b")
    with keep_option_names(), serving(folder, quiet=False):
        assert "warning" not in capsys.readouterr().out


def test_one_that_comes_later_is_told_of_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellucid_dask.server.datasets.collection.LIST_INTERVAL", 0)
    with serving(folder) as server:
        assert len(entries(server)) == 3
        assert caplog.messages == []
        shutil.copytree(folder / "c", folder / "d")
        for _ in range(2):
            assert len(entries(server)) == 4
        assert [line.split(":")[0] for line in caplog.messages] == ["c, d have the same id, 'b-2'"]


def test_the_page_shows_each(request: pytest.FixtureRequest, folder: Path) -> None:
    pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")
    from paging import needs_browser
    from selenium.webdriver.support.ui import Select

    if any(mark.args[0] for mark in needs_browser):
        pytest.skip("there is no browser")
    page, serve = request.getfixturevalue("page"), request.getfixturevalue("serve")
    shutil.copytree(folder / "b", folder / "e")
    (folder / "e" / "dataset_identity.json").write_text("{")
    server = serve(folder)
    assert page.open(server)["nCells"] == 60
    texts = [option.text for option in Select(page.find("#datasets")).options]
    assert texts[:3] == [f"{NAME} (a b)", f"{NAME} (b)", "Other"]
    assert texts[3].startswith("e (")
    assert page.choose("#datasets", f"{NAME} (b)")["nCells"] == 61
    link = page.hash()
    assert page.reload()["nCells"] == 61, "a reload stays there"
    assert page.choose("#datasets", f"{NAME} (a b)")["nCells"] == 60
    assert page.open(server, link)["nCells"] == 61
    assert page.open(server, "dataset=b")["nCells"] == 60, "links by id lead to the first"
    assert page.open(server, "dataset=b-2")["nCells"] == 70
