"""A server of live data offers all arrays of obsm that can be shown, and reads what it must."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from atlas import atlas, save
from comparing import assert_alike, export_of
from live_serving import below
from scipy import sparse
from serving import ask, serving

from cellucid_dask.exporter.on_demand import check_on_demand
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source

KEYS = {"X_tsne": 2, "Spatial": 2, "table": 2, "time": 1, "velocity": 3, "holes": 2}


def several() -> Any:
    """An atlas with arrays of obsm of every kind."""
    adata, rng = atlas(), np.random.default_rng(5)
    n = adata.n_obs
    more = {
        "X_tsne": rng.normal(size=(n, 2)),
        "Spatial": rng.uniform((0, 0), (2000, 500), (n, 2)),
        "table": pd.DataFrame(rng.normal(size=(n, 2)), adata.obs_names, ["x", "y"]),
        "time": rng.random((n, 1)).astype("f4"),
        "velocity": rng.random((n, 3)),
        "holes": np.where(np.arange(n)[:, None] == [7, 9], np.nan, 1.5),
        "x tsne": rng.normal(size=(n, 2)),  # its file would be that of X_tsne, in some systems
        "velocity_umap": rng.normal(size=(n, 2)),  # a vector field
        "wide": rng.normal(size=(n, 4)),
        "text": pd.DataFrame({"site": ["a"] * n}, adata.obs_names),
        "peaks": sparse.csr_matrix(rng.poisson(0.1, (n, 2)).astype("f4")),
    }
    for key, value in more.items():
        adata.obsm[key] = value
    return adata


def offers(server: Any) -> list[dict[str, Any]]:
    sources = json.loads(ask(server, "/dataset_identity.json").body)["embeddings"]["sources"]
    return [entry for entry in sources if entry["path"].startswith("points/")]


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
def test_offered_embeddings_are_those_of_an_export_that_names_them(
    tmp_path: Path, where: str
) -> None:
    adata = several()
    data = adata if where == "memory" else save(adata, tmp_path / f"a.{where}")
    shown = {key: dim for key, dim in KEYS.items() if key != "holes"}
    firsts = {1: ("time",), 2: ("X_umap_2d",), 3: ("X_umap_3d",)}
    named = {d: (*firsts[d], *(k for k in shown if shown[k] == d and k != "time")) for d in firsts}
    files = export_of(data, tmp_path / "out", embeddings=named)
    with serving(data, cache_dir=tmp_path / "cache", created_at="2026-01-31T12:00:00Z") as server:
        listed = offers(server)
        assert {entry["id"]: entry["dimension"] for entry in listed} == KEYS
        assert [entry["id"] for entry in listed if entry.get("y_down")] == ["Spatial"]
        for entry in listed:
            path = "/" + entry["path"]
            reply = ask(server, path)
            if entry["id"] == "holes":
                told = "obsm/holes: 2 of 60 cells have NaN or Inf (rows 7, 9)"
                assert (reply.status, reply.body.decode().strip()) == (503, told)
                continue
            name = "points_1d.bin" if entry["id"] == "time" else entry["path"]
            assert (reply.status, reply.body) == (200, files[name])
        facts = json.loads(ask(server, "/_cellucid/info").body)["embeddings"]
        assert facts == {"n": 8, "refused": {"holes": told.partition(": ")[2]}}
        assert ask(server, "/points/wide_2d.bin").status == 404


def test_what_is_offered_is_not_said_to_be_ignored() -> None:
    options = ExportOptions(embeddings={2: "table"})
    catalog = check_on_demand(open_source(several()), options, 1 << 30)
    assert {"X_umap_2d": 2, "X_tsne": 2}.items() <= catalog.found.additional.items()
    shared = "obsm/x tsne is not offered: its file name is also that of another array"
    assert [line for line in catalog.warnings if "obsm/text" not in line] == [shared]
    (note,) = (line for line in catalog.notes if line.startswith("offered"))
    assert "X_umap_2d (2d)" in note


def test_named_embeddings_are_served_as_exported(tmp_path: Path) -> None:
    data = save(several(), tmp_path / "a.h5ad")
    assert_alike(data, tmp_path, {"embeddings": {2: ["Spatial", "X_tsne", "X_umap_2d"]}})


def test_what_is_offered_is_read_when_it_is_asked_for(tmp_path: Path, chunks: Counter[str]) -> None:
    path = save(several(), tmp_path / "a.zarr")
    offered = tuple(f"obsm/{key}" for key in KEYS)
    chunks.clear()
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for name in ("dataset_identity.json", "obs_manifest.json", "points_2d.bin"):
            assert ask(server, f"/{name}").status == 200
        assert below(chunks, *offered) == {}
        assert ask(server, "/points/X_tsne_2d.bin").status == 200
        assert {name.split("/")[1] for name in below(chunks, *offered)} == {"X_tsne"}


def test_lost_chunks_of_what_is_offered_do_not_stop_the_server(tmp_path: Path) -> None:
    path = save(several(), tmp_path / "a.zarr")
    for chunk in filter(Path.is_file, (path / "obsm" / "X_tsne").rglob("[0-9]")):
        chunk.unlink()
    with serving(path, cache_dir=tmp_path / "cache") as server:
        assert "X_tsne" in {entry["id"] for entry in offers(server)}
        reply = ask(server, "/points/X_tsne_2d.bin")
        assert (reply.status, b"cannot be read now" in reply.body) == (503, True)
        assert ask(server, "/points/table_2d.bin").status == 200
