"""Ready files served as they are: the data, names and defaults of the export they stand for."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from comparing import assert_serves, export_of
from live_inputs import rich
from live_serving import info, quick, soon
from oracle import CREATED, silent
from serving import Client, ask, serving

from cellucid_dask import export
from cellucid_dask.ready import layout

KINDS: dict[str, dict[str, Any]] = {
    "zarr": {"format": "zarr"},
    "zarr 3": {"format": "zarr", "zarr_format": 3},
    "shards": {"format": "zarr", "zarr_format": 3, "shards": True},
    "zip": {"format": "zarr.zip"},
    "zip 3": {"format": "zarr.zip", "zarr_format": 3},
    "h5ad": {"format": "h5ad"},
}
DESCRIBED: dict[str, Any] = {
    "dataset_id": "an-atlas.1",
    "dataset_name": "An atlas",
    "description": "Of tests.",
    "citation": "A et al.",
    "source_name": "Lab",
    "source_url": "https://lab.org",
    "embeddings": {2: "X_tsne"},
    "latent_key": "X_tsne",
    "obs_keys": ("score", "group"),
    "centroid_min_points": 30,
}


@pytest.fixture(scope="module", params=["csr", "dense"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas stored by cell, of both layouts."""
    path = tmp_path_factory.mktemp("data") / "a.h5ad"
    silent(rich(request.param).write_h5ad, path)
    return path


def ready_file(data: Path, folder: Path, kind: str, **options: Any) -> Path:
    """Write a ready file of a kind."""
    how = KINDS[kind]
    path = folder / f"any.{how['format']}"
    export(data, path, quiet=True, workers=1, **how, **options)
    return path


def identity_of(server: Any) -> dict[str, Any]:
    return dict(json.loads(ask(server, "/dataset_identity.json").body))


@pytest.mark.parametrize("kind", KINDS)
def test_a_ready_file_is_served_as_the_export_of_its_data(
    tmp_path: Path, data: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICED", 64)
    files = export_of(data, tmp_path / "folder", **DESCRIBED)
    wanted = json.loads(files["dataset_identity.json"])
    path, cache = ready_file(data, tmp_path, kind, **DESCRIBED), tmp_path / "cache"
    with serving(path, cache_dir=cache, created_at=CREATED) as server:
        assert_serves(server, files)
        assert info(server)["index"] == {"state": "not needed"}
    assert not list(cache.glob("genes/*/*/index.zarr")), "no index was built"
    assert wanted["source"] == {"name": "Lab", "url": "https://lab.org", "citation": "A et al."}
    assert [field["key"] for field in wanted["obs_fields"]] == ["score", "group"]


def test_options_go_before_the_record(tmp_path: Path, data: Path) -> None:
    path = ready_file(data, tmp_path, "h5ad", **DESCRIBED)
    chosen = {
        "dataset_name": "Mine",
        "dataset_id": "mine",
        "source_name": "",
        "latent_key": "X_pca",
        "embeddings": {2: "X_umap_2d"},
        "obs_keys": ("group",),
        "centroid_min_points": 2,
    }
    files = export_of(data, tmp_path / "folder", **{**DESCRIBED, **chosen})
    with serving(path, created_at=CREATED, **chosen) as server:
        assert_serves(server, files)
        identity = identity_of(server)
        assert (identity["id"], identity["name"]) == ("mine", "Mine")
        assert identity["description"] == "Of tests."
        assert identity["source"] == {"url": "https://lab.org", "citation": "A et al."}


def test_genes_have_the_ids_that_the_viewer_shows(tmp_path: Path) -> None:
    atlas = rich()
    atlas.var["symbol"] = [f"symbol {i}" for i in range(atlas.n_vars)]
    silent(atlas.write_h5ad, tmp_path / "a.h5ad")
    named = {"gene_id_column": "symbol", "dataset_name": "any"}
    path = ready_file(tmp_path / "a.h5ad", tmp_path, "zarr", **named)
    files = export_of(tmp_path / "a.h5ad", tmp_path / "folder", **named)
    assert "var/symbol_3.values.f32" in files
    with serving(path, created_at=CREATED) as server:
        assert_serves(server, files)


def test_a_gene_reads_its_chunks_and_no_other(
    tmp_path: Path, chunks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICED", 64)
    atlas = rich()
    silent(atlas.write_h5ad, tmp_path / "a.h5ad")
    path = ready_file(tmp_path / "a.h5ad", tmp_path, "zarr")
    last = atlas.n_vars - 1
    stored = np.concatenate([[0], np.cumsum((atlas.X != 0).sum(axis=0).A1)])
    with serving(path) as server, Client(server) as client:
        client(f"/var/gene{last}.values.f32")  # the pointers are read once
        for gene in (0, last // 2):
            chunks.clear()
            assert client(f"/var/gene{gene}.values.f32").status == 200
            first, end = stored[gene] // 64, -(-stored[gene + 1] // 64)
            parts = [f"X/{name}/{i}" for name in ("data", "indices") for i in range(first, end)]
            assert chunks == dict.fromkeys(parts, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "two\nlines"),
        ("name", 3),
        ("id", "no/id"),
        ("source", {"name": "Lab", "url": "ftp://lab.org"}),
        ("defaults", {"embedding2d": "gone"}),
        ("defaults", {"embedding2d": {"key": "X_pca", "columns": np.array([2, 0])}}),
        ("defaults", {"embedding3d": "X_pca"}),
        ("defaults", {"latentKey": "gone"}),
        ("defaults", {"obsKeys": np.array(["gone", "score"], object)}),
        ("defaults", {"geneIdColumn": "gone"}),
        ("defaults", {"geneIdColumn": "same"}),
    ],
)
def test_what_cannot_be_used_is_told_and_left_out(tmp_path: Path, key: str, value: Any) -> None:
    atlas = rich("csc")
    atlas.var["same"] = "twice"
    atlas.uns["cellucid"] = {key: value}
    path = tmp_path / "plain.h5ad"
    silent(atlas.write_h5ad, path)
    with serving(path) as server:
        (warning,) = [line for line in server.opened.warnings() if "uns/cellucid" in line]
        assert f"uns/cellucid/{key}" in warning
        assert "left out" in warning
        assert identity_of(server)["name"] == "plain"
        assert ask(server, "/points_2d.bin").status == 200
        assert ask(server, "/var/gene3.values.f32").status == 200
        named = [field["key"] for field in identity_of(server)["obs_fields"]]
        assert (named == ["score"]) == ("obsKeys" in repr(value)), "those that are there"


def test_a_damaged_record_is_told_and_the_data_are_shown(tmp_path: Path, data: Path) -> None:
    path = ready_file(data, tmp_path, "h5ad", **DESCRIBED)
    with h5py.File(path, "r+") as file:
        del file["uns/cellucid"]
        file["uns/cellucid"] = 3
    with serving(path) as server:
        (warning,) = server.opened.warnings()
        assert warning.startswith("uns/cellucid of the data is not used")
        assert identity_of(server)["name"] == "any"
        assert ask(server, "/var/gene3.values.f32").status == 200


@quick
def test_a_new_record_is_served(tmp_path: Path, data: Path) -> None:
    path = ready_file(data, tmp_path, "h5ad", **DESCRIBED)
    with serving(path) as server:
        assert identity_of(server)["name"] == "An atlas"
        other = ready_file(data, tmp_path / "other", "h5ad", **{**DESCRIBED, "dataset_name": "B"})
        shutil.move(other, path)
        soon(lambda: identity_of(server)["name"] == "B", "the new name is not there")
