"""``datasets.json``: equal to what the reference writes, and refused where that would be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from atlas import STAMP, Outcome, atlas, here, save, tree
from cellucid.prepare_data import generate_datasets_manifest

from cellucid_dask import catalog


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real exports, one of them without genes."""
    from cellucid_dask import export

    root = tmp_path_factory.mktemp("root")
    for name, cells, genes in (("beta", 60, 12), ("alpha", 80, 5), ("no genes", 70, 5)):
        data = save(atlas(cells, genes), root.with_name(f"{root.name}-{cells}.h5ad"))
        export(
            data,
            root / name,
            quiet=True,
            expression=name != "no genes",
            dataset_name=f"Atlas of {name}, été",
            dataset_id=name.replace(" ", "_"),
            created_at=STAMP[1],
        )
    return root


@pytest.fixture
def root(exports: Path, tmp_path: Path) -> Path:
    """A copy of them, with other things beside."""
    shutil.copytree(exports, tmp_path / "root")
    (tmp_path / "root" / "notes").mkdir()
    (tmp_path / "root" / "readme.txt").write_text("hello")
    return tmp_path / "root"


def _identity(root: Path, name: str, change: Any) -> None:
    path = root / name / "dataset_identity.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def _refused(capfd: Any, root: Path, *arguments: object) -> str:
    before = tree(root)
    ended: Outcome = here(capfd, "catalog", root, *arguments)
    assert ended.code == 2, ended.err + ended.out
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert ended.err.count("error:") == 1
    assert tree(root) == before
    return ended.err


@pytest.mark.parametrize("default", [None, "beta", "alpha"])
def test_it_is_what_the_reference_writes(root: Path, default: str | None) -> None:
    theirs = generate_datasets_manifest(root, "theirs.json", default_dataset=default)
    ours = catalog(root, default=default)
    assert ours == json.loads(theirs.read_text("utf-8"))
    assert json.loads((root / "datasets.json").read_text("utf-8")) == ours
    assert ours["default"] == (default or "alpha")
    assert [entry["path"] for entry in ours["datasets"]] == ["alpha/", "beta/", "no genes/"]


def test_identities_without_the_optional_parts(root: Path) -> None:
    for name in ("alpha", "beta"):
        (root / name / "dataset_identity.json").write_text("{}")
    theirs = generate_datasets_manifest(root, "theirs.json")
    assert catalog(root) == json.loads(theirs.read_text("utf-8"))


def test_the_command_tells_what_it_wrote(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = here(capfd, "catalog", root, "--default", "beta")
    assert ended.code == 0, ended.err
    assert "beta: Atlas of beta, été, 60 cells (default)" in ended.out
    assert "datasets: 3" in ended.out
    assert str(root / "datasets.json") in ended.out


def test_writing_it_again_gives_the_same_bytes(root: Path) -> None:
    catalog(root)
    once = (root / "datasets.json").read_bytes()
    catalog(root)
    assert (root / "datasets.json").read_bytes() == once
    assert [p.name for p in root.iterdir() if p.name.endswith(".part")] == []


def test_hidden_and_unfinished_folders_are_not_listed(root: Path) -> None:
    shutil.copytree(root / "alpha", root / ".alpha.cellucid-staging" / "export")
    shutil.copytree(root / "alpha", root / ".alpha")
    (root / "beta" / "dataset_identity.json").unlink()
    assert [entry["id"] for entry in catalog(root)["datasets"]] == ["alpha", "no_genes"]


def test_what_force_kept_aside_is_not_a_second_dataset(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An export with a foreign file is kept aside under --force, right beside the new one."""
    (root / "alpha" / "letter.txt").write_text("mine")
    data = save(atlas(), tmp_path / "a.h5ad")
    ended = here(capfd, "export", data, "-o", root / "alpha", "--force", "--quiet")
    assert ended.code == 0, ended.err
    assert [entry["id"] for entry in catalog(root)["datasets"]] == ["alpha", "beta", "no_genes"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x80\xff", b"[]", b"5", b"null", b'{"stats": null}', b'{"stats": 5}']
)
def test_a_broken_identity(root: Path, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    (root / "beta" / "dataset_identity.json").write_bytes(content)
    message = _refused(capfd, root)
    assert str(root / "beta" / "dataset_identity.json") in message
    assert "cannot be read" in message


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None, 5, ""])
def test_an_id_that_is_no_text(
    root: Path, capfd: pytest.CaptureFixture[str], value: object
) -> None:
    _identity(root, "beta", {"id": value})
    assert "beta" in _refused(capfd, root)
    assert "beta" in _refused(capfd, root, "--default", "alpah")


def test_problems_are_told_together(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(root / "alpha", root / "copy")
    (root / "beta" / "dataset_identity.json").write_text("{")
    message = _refused(capfd, root, "--default", "alpah")
    assert "3 problems" in message
    assert "'alpha' belongs to several exports" in message
    assert "alpha/, copy/" in message
    assert "export one of them again, with another --dataset-id" in message
    assert "did you mean 'alpha'?" in message


def test_a_folder_without_exports(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "holds no export" in _refused(capfd, tmp_path)
    (tmp_path / "file").touch()
    for missing in (tmp_path / "none", tmp_path / "file"):
        ended = here(capfd, "catalog", missing)
        assert (ended.code, "is not a folder" in ended.err) == (2, True)


def test_a_catalog_that_cannot_be_written(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "datasets.json").mkdir()
    assert "datasets.json" in _refused(capfd, root)
