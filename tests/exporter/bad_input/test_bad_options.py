"""Options that cannot be used, and output folders that cannot be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas, save
from bad_inputs import Refuse, says


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--centroid-quantile", "0.5"], ["--centroid-quantile", "0.5", "(0.5, 1)"]),
        (["--centroid-quantile", "1"], ["--centroid-quantile", "(0.5, 1)"]),
        (["--centroid-quantile", "nan"], ["--centroid-quantile"]),
        (["--centroid-min-points", "0"], ["--centroid-min-points"]),
        (["--compression", "10"], ["--compression"]),
        (["--var-quantization", "7"], ["--var-quantization"]),
        (["--obs-quantization", "32"], ["--obs-quantization"]),
        (["--categorical-dtype", "int8"], ["--categorical-dtype"]),
        (["--workers", "0"], ["--workers", "1 or more"]),
        (["--workers", "two"], ["--workers"]),
        (["--memory", "lots"], ["--memory", "'lots'", "8GB"]),
        (["--memory", "-3GB"], ["--memory"]),
        (["--memory", "inf"], ["--memory"]),
        (["--memory", "1e999GB"], ["--memory"]),
        (["--embedding", "X_umap"], ["--embedding", "2d=KEY"]),
        (["--embedding", "4d=X_umap"], ["--embedding", "2d=KEY"]),
        (["--embedding", "2d=X_umap_2d", "--embedding", "2d=X_umap_2d"], ["--embedding", "twice"]),
        (["--embedding", "2d=X_umap_2d", "--embedding", "2d=X_pca"], ["obsm/X_pca", "has shape"]),
        (["--embedding", "2d=X_umap_2d", "--embedding", "2d=tsne"], ["--embedding 2d", "'tsne'"]),
        (["--layer", "counts", "--raw"], ["--layer", "--raw"]),
        (["--graph", "connectivities", "--no-graph"], ["--graph", "--no-graph"]),
        (["--obs-key", "n_counts", "--obs-key", "n_counts"], ["--obs-key", "twice", "'n_counts'"]),
        (["--gene", "Gene1", "--gene", "Gene1"], ["--gene", "twice", "'Gene1'"]),
        (["--created-at", "yesterday"], ["--created-at", "2026-01-31T12:00:00Z"]),
        (["--created-at", "2026-02-30T12:00:00Z"], ["--created-at"]),
        (["--dataset-id", "my id"], ["--dataset-id", "'my_id'"]),
        (["--dataset-id", ""], ["--dataset-id"]),
        (["--scratch", "nowhere"], ["--scratch", "'nowhere'"]),
        (["--scratch", "good.h5ad"], ["--scratch", "'good.h5ad'"]),
        (["--scratch", "/proc"], ["--scratch"]),
        (["--report", "."], ["--report", "folder"]),
        (["--report", "nowhere/r.json"], ["--report", "nowhere"]),
        (["--report", "/proc/r.json"], ["--report", "/proc"]),
        (["--report", "good.h5ad"], ["--report", "good.h5ad"]),
        (["--memry", "1GB"], ["--memry", "--memory"]),
    ],
)
def test_a_bad_option(refuse: Refuse, data: Path, options: list[str], parts: list[str]) -> None:
    says(refuse("export", data.name, "-o", "deep/out", *options), *parts)


def test_bad_options_are_told_together(refuse: Refuse, data: Path) -> None:
    options = ["--centroid-quantile", "2", "--workers", "0", "--memory", "x", "--report", "."]
    message = refuse("export", data.name, "-o", "out", *options, "--dataset-id", "a/b")
    says(message, "5 problems", "--centroid-quantile", "--workers", "--memory", "--report")


@pytest.mark.parametrize("epoch", ["soon", "-1", "99999999999999999999", "\N{SUPERSCRIPT TWO}"])
def test_a_bad_source_date_epoch(
    refuse: Refuse, data: Path, monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    says(refuse("export", data.name, "-o", "out"), "SOURCE_DATE_EPOCH")


def test_an_output_that_is_not_empty(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".hidden").touch()
    says(refuse("export", data.name, "-o", "out"), "out", "not empty", "--force")


def _file(path: Path) -> None:
    path.write_text("mine")


def _link(path: Path) -> None:
    path.with_name("target").mkdir()
    path.symlink_to("target")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("make", "to", "part"),
    [
        (_file, "thing", "is a file"),
        (_file, "thing/out", "is a file"),
        (_file, "thing/deep/out", "is a file"),
        (_link, "thing", "symbolic link"),
        (_link, "thing/", "symbolic link"),
        (_dangling, "thing", "symbolic link"),
        (_dangling, "thing/out", "thing"),
        (Path.mkdir, ".", "current"),
        (Path.mkdir, "", "current"),
        (Path.mkdir, "thing/..", "current"),
        (Path.mkdir, "..", "current"),
        (Path.mkdir, "/", "root"),
        (Path.mkdir, "//", "root"),
    ],
)
def test_outputs_that_are_always_refused(
    refuse: Refuse,
    data: Path,
    tmp_path: Path,
    make: Callable[[Path], Any],
    to: str,
    part: str,
    force: tuple[str, ...],
) -> None:
    make(tmp_path / "thing")
    says(refuse("export", data.name, "-o", to, *force), part)


def test_home_is_refused(
    refuse: Refuse, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "elsewhere").symlink_to("user")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    says(refuse("export", data.name, "-o", "user", "--force"), "home")
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))  # where home itself is a link
    says(refuse("export", data.name, "-o", "user", "--force"), "home")


def test_a_folder_above_home_is_refused(
    refuse: Refuse, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users" / "me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "users" / "me"))
    says(refuse("export", data.name, "-o", "users", "--force"), "home")


@pytest.mark.parametrize("out", ["a.zarr", "a.zarr/out", "all"])
def test_an_output_that_is_or_holds_the_data(refuse: Refuse, tmp_path: Path, out: str) -> None:
    """The data would be moved away under the feet of the run, or get strange files in it."""
    save(atlas(), tmp_path / "a.zarr")
    (tmp_path / "all").mkdir()
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "all" / "a.zarr")
    source = "all/a.zarr" if out == "all" else "a.zarr"
    says(refuse("export", source, "-o", out, "--force"), out)


def test_a_folder_that_cannot_be_written(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        says(refuse("export", data.name, "-o", "/proc/out"), "--out")
        return
    (tmp_path / "locked").mkdir(mode=0o500)
    says(refuse("export", data.name, "-o", "locked/out"), "locked", "permissions")


@pytest.mark.parametrize("length", [245, 300])
def test_an_output_name_that_is_too_long(refuse: Refuse, data: Path, length: int) -> None:
    says(refuse("export", data.name, "-o", "n" * length), "nnn")
