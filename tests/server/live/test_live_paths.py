"""Paths of live data: which exist, and what the service paths answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
from live_serving import Save, atlas_of, expected, info, written
from serving import ask, serving


@pytest.mark.parametrize("path", [
    "var/gene30.values.f32", "var/gene0.values.u8", "var/gene0.values.u16", "var/gene0.values",
    "var/gene0", "var/GENE0.values.f32", "var/gene0.codes.u8", "var/gene0.values.f32.bin",
    "var/gene0.values.f32.gz.gz", "var/", "var", "var//gene0.values.f32", "/gene0.values.f32",
    "obs/score.codes.u8", "obs/score.outliers.f32", "obs/score.values.u8", "obs/none.values.f32",
    "obs/group.values.f32", "obs/group.codes.u16", "obs/group.outliers.u8", "obs/",
    "points_1d.bin", "points_4d.bin", "points_02d.bin", "points_2d", "points_2d.bin/",
    "vectors/velocity_umap_3d.bin", "vectors/velocity_2d.bin", "connectivity/edges.bin",
    "connectivity/edges.src", "datasets.json", "obs_manifest.json.gz", "obs_manifest",
    "Atlas/nothing", "Atlas", "Atlas/Atlas/points_2d.bin", "atlas/points_2d.bin", "nothing",
    "_cellucid", "_cellucid/", "_cellucid/nothing", "_cellucid/zarr", "_cellucid/zarr/.zgroup",
    "_cellucid/zarr/zarr.json", "_cellucid/health/", "Atlas/_cellucid/health",
    "points_2d.bin%00", "points_2d%2Ebin%2F", "./points_2d.bin", "var/../points_2d.bin",
])  # fmt: skip
def test_what_is_not_there(live: Any, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(live, f"/{path}", method=method)
        assert answer.status == 404, path
        assert answer.get("content-type") == "text/plain; charset=utf-8"
        assert answer.body.count(b"\n") == (1 if method == "GET" else 0)
        assert answer.get("etag") is None


def test_what_is_there_under_other_spellings(live: Any) -> None:
    """Percent-encoding changes nothing, nor does a query."""
    body = expected("csc")["points_2d.bin"]
    for path in ("/points%5F2d.bin", "/points_2d%2Ebin", "/points_2d.bin?v=2",
                 "/Atlas/points_2d.bin", "/%41tlas/points_2d.bin"):  # fmt: skip
        assert ask(live, path).body == body, path


def test_health(live: Any) -> None:
    answer = ask(live, "/_cellucid/health")
    assert answer.get("content-type") == "application/json"
    told = json.loads(answer.body)
    version = told.pop("version")
    assert version
    assert told == {"status": "ok", "type": "anndata", "format": "h5ad", "is_backed": True,
                    "n_cells": 220, "n_genes": 30}  # fmt: skip


def test_info_and_list(live: Any) -> None:
    told = info(live)
    assert told["type"] == "anndata"
    assert (told["n_cells"], told["n_genes"]) == (220, 30)
    assert told["index"] == {"state": "not needed"}
    assert 0 <= told["cache"]["bytes"] <= told["cache"]["limit"] <= 512_000_000
    (entry,) = json.loads(ask(live, "/_cellucid/datasets").body)["datasets"]
    assert {key: entry[key] for key in ("id", "path", "name")} == {
        "id": "Atlas", "path": "/", "name": "Atlas"}  # fmt: skip
    identity = json.loads(ask(live, "/dataset_identity.json").body)
    assert (identity["id"], identity["name"]) == ("Atlas", "Atlas")


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("zarr", {}, ("zarr", True)),
        ("zarr", {"backed": False}, ("zarr", False)),
        ("h5ad", {"backed": False}, ("h5ad", False)),
        ("memory", {}, ("in-memory", False)),
        ("memory backed", {}, ("in-memory", True)),
    ],
)
def test_health_of_other_data(
    tmp_path: Path, kind: str, options: dict[str, Any], told: tuple[str, bool]
) -> None:
    data: Any = atlas_of("csr")
    if kind != "memory":
        ending = "zarr" if kind == "zarr" else "h5ad"
        data = written(tmp_path / f"a.{ending}", data)
    if kind == "memory backed":
        data = ad.read_h5ad(data, backed="r")
    with serving(data, cache_dir=tmp_path / "cache", genes=["gene3"], **options) as server:
        health = json.loads(ask(server, "/_cellucid/health").body)
    if kind == "memory backed":
        data.file.close()
    assert (health["format"], health["is_backed"]) == told
    assert (health["n_cells"], health["n_genes"]) == (220, 1)


def test_quantized_genes_under_their_names_only(tmp_path: Path, saved: Save) -> None:
    path = saved(atlas_of("csr"))
    with serving(path, cache_dir=tmp_path / "cache", quantize=8) as server:
        assert ask(server, "/var/gene0.values.u8").status == 200
        assert ask(server, "/obs/group.outliers.u8").status == 200
        for name in ("var/gene0.values.f32", "var/gene0.values.u16", "obs/score.values.f32"):
            assert ask(server, f"/{name}").status == 404, name
