"""Embeddings, vectors and centroids, compared with those of the reference exporter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import assert_parity, make_atlas, read_export
from scipy import sparse

from cellucid_dask import export

Save = Callable[..., Path]


@pytest.mark.parametrize("where", ["file", "memory"])
def test_all_dimensions_and_kinds_of_vectors(
    tmp_path: Path, atlas: AnnData, saved: Save, where: str
) -> None:
    rng = np.random.default_rng(1)
    n = atlas.n_obs
    atlas.obsm["X_umap_1d"] = rng.normal(size=(n, 1)) * 1e3
    atlas.obsm["X_umap"] = rng.normal(size=(n, 2))  # X_umap_2d comes before it
    atlas.obsm["velocity_umap_2d"] = rng.normal(size=(n, 2))  # so does this before velocity_umap
    atlas.obsm["velocity_umap_3d"] = rng.normal(size=(n, 3))
    atlas.obsm["T_fwd_umap"] = rng.normal(size=(n, 1)).astype(np.float32)
    atlas.obsm["X_ray_umap"] = rng.normal(size=(n, 2))  # starts with X_
    made = assert_parity(
        tmp_path,
        saved(atlas) if where == "file" else atlas,
        atlas,
        change={
            "vector_fields": {
                key: atlas.obsm[key]
                for key in ("velocity_umap", "velocity_umap_2d", "velocity_umap_3d", "T_fwd_umap")
            }
        },
    )
    assert made.identity["embeddings"]["default_dimension"] == 3
    resolution = made.identity["embeddings"]["umap_resolution"]
    assert (resolution["source_key"], resolution["action"], resolution["dim"]) == (
        "X_umap",
        "ignored",
        2,
    )
    fields = made.identity["vector_fields"]["fields"]
    assert fields["velocity_umap"]["available_dimensions"] == [2, 3]
    assert fields["T_fwd_umap"]["label"] == "T fwd (UMAP)"


def test_plain_umap_takes_the_place_that_is_free(tmp_path: Path, atlas: AnnData) -> None:
    atlas.obsm["X_umap"] = atlas.obsm.pop("X_umap_3d")
    made = assert_parity(tmp_path, atlas)
    assert made.identity["embeddings"]["umap_resolution"] == {
        "source_key": "X_umap",
        "action": "used_as",
        "dim": 3,
        "alias_key": "X_umap_3d",
    }


def test_embedding_and_latent_space_of_choice(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    atlas.obsm["X_tsne"] = np.random.default_rng(2).normal(size=(atlas.n_obs, 2))
    atlas.obsm["mine"] = atlas.obsm["X_pca"][:, ::-1].copy()
    made = assert_parity(
        tmp_path,
        saved(atlas),
        atlas,
        change={"X_umap_2d": atlas.obsm["X_tsne"], "latent_space": atlas.obsm["mine"]},
        embeddings={2: "X_tsne"},
        latent_key="mine",
    )
    assert made.obs["latent_key"] == "mine"


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize(
    "kind", ["frame", "mixed frame", "csr", "csc", "csr_array", "float64", "int"]
)
def test_obsm_of_every_kind(
    tmp_path: Path, atlas: AnnData, saved: Save, kind: str, where: str
) -> None:
    umap, pca = atlas.obsm["X_umap_2d"].astype(np.float64), atlas.obsm["X_pca"].astype(np.float64)
    umap[::7] = 0
    frame = {"index": atlas.obs_names}
    umap_f, pca_f = (pd.DataFrame(a, **frame).rename(columns="c{}".format) for a in (umap, pca))
    atlas.obsm["X_umap_2d"], atlas.obsm["X_pca"] = {
        "frame": (umap_f, pca_f),
        "mixed frame": (
            umap_f.astype({"c0": "float32"}),
            pca_f.assign(c1=(pca[:, 1] * 9).astype(int), c2=pca[:, 2] > 0),
        ),
        "csr": (sparse.csr_matrix(umap), sparse.csr_matrix(pca)),
        "csc": (sparse.csc_matrix(umap), sparse.csc_matrix(pca)),
        "csr_array": (sparse.csr_array(umap), sparse.csr_array(pca)),
        "float64": (umap, pca),
        "int": ((umap * 10).astype(int), (pca * 10).astype(np.int8)),
    }[kind]
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    plain = {
        key: value.toarray() if sparse.issparse(value) else np.asarray(value, dtype=float)
        for key, value in atlas.obsm.items()
        if key in ("X_umap_2d", "X_pca")
    }
    change = {"X_umap_2d": plain["X_umap_2d"], "latent_space": plain["X_pca"]}
    assert_parity(tmp_path, data, atlas, change=change, ties=8)


def test_flat_embedding(tmp_path: Path, atlas: AnnData) -> None:
    """All cells at one point have no extent to scale by."""
    atlas.obsm["X_umap_3d"] = np.full((atlas.n_obs, 3), 4.25, np.float32)
    made = assert_parity(tmp_path, atlas)
    assert not made.arrays["points_3d.bin"].any()


@pytest.mark.parametrize("min_points", [1, 2, 10, 45, 1000])
@pytest.mark.parametrize("quantile", [0.95, 0.51, 0.7, 0.999, None])
def test_centroids(tmp_path: Path, quantile: float | None, min_points: int) -> None:
    """Sizes where quantile * (size - 1) is a whole number in exact arithmetic only, too."""
    sizes = [91, 171, 51, 21, 11, 10, 9, 2, 1]
    atlas = make_atlas(sum(sizes))
    names = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    atlas.obs["size"] = pd.Categorical(names)
    atlas.obs["gaps"] = pd.Categorical(np.where(np.arange(len(names)) % 3, names, None))
    made = assert_parity(
        tmp_path, atlas, centroid_quantile=quantile, centroid_min_points=min_points
    )
    if quantile is None:
        assert made.categorical("size")[4] == {"2": [], "3": []}


def test_latent_space_that_is_not_finite_everywhere(tmp_path: Path, atlas: AnnData) -> None:
    """Only the categories of those cells are concerned."""
    atlas.obsm["X_pca"][np.flatnonzero(atlas.obs["group"] == "b")[0]] = np.nan
    made = assert_parity(tmp_path, atlas, obs_keys=["group"])
    assert np.isfinite(made.arrays["obs/group.outliers.u8"]).all()


def test_latent_space_does_not_depend_on_vectors(tmp_path: Path, atlas: AnnData) -> None:
    """A field that is left out is still no latent space."""
    del atlas.obsm["X_pca"]
    atlas.obsm["zzz"] = np.random.default_rng(0).normal(size=(atlas.n_obs, 4))
    keys = []
    for vectors in (True, False):
        out = tmp_path / str(vectors)
        export(atlas, out, quiet=True, vectors=vectors)
        keys.append(read_export(out).obs["latent_key"])
    assert keys[0] == keys[1]
