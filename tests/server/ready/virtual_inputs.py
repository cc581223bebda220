"""AnnData with something of everything, in every container."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from layouts import laid_out, store_anew
from multimodal import write_mudata
from oracle import silent
from ready_inputs import INPUTS, symmetric
from ready_sides import save
from scipy import sparse
from versions import write_zarr


def everything(layout: str = "csr") -> AnnData:
    """Columns of all kinds, a latent space, vectors, a graph that is not symmetric, and a record.

    Names of cells repeat, one cell has no place, and the graph has weights on its diagonal.
    """
    adata, rng = INPUTS["latent"].make(), np.random.default_rng(9)
    n = adata.n_obs
    adata.X = laid_out(adata.X, layout)
    adata.layers["counts"] = laid_out(adata.X, layout) * 3
    adata.raw = adata.copy()
    names = list(adata.obs_names)
    adata.obs_names = [names[0], names[0], *names[2:]]
    adata.obsm["X_umap_3d"] = rng.normal(size=(n, 3)).astype("f4")
    adata.obsm["X_umap_3d"][5] = np.nan
    adata.obsm["velocity_umap"] = rng.normal(size=(n, 2)).astype("f4")
    adata.obsm["X_wide"] = rng.normal(size=(n, 12)).astype("f4")
    graph = np.where(rng.random((n, n)) < 0.05, rng.random((n, n)), 0)
    np.fill_diagonal(graph, 0.5)
    adata.obsp["connectivities"] = sparse.csr_matrix(graph)
    adata.obsp["other"] = symmetric(n)
    adata.uns["cellucid"] = {
        "id": "own-id",
        "name": "Own name",
        "defaults": {"latentKey": "X_pca", "obsKeys": np.array(["group", "score"], object)},
    }
    return adata


OPTIONS: dict[str, Any] = {"drop_cells_without_embedding": True, "rename_duplicates": True}


def _zarr(kind: str, ending: str = ".zarr") -> Callable[[AnnData, Path], Any]:
    return lambda adata, folder: write_zarr(adata, folder / f"a{ending}", kind)


def _compressed(adata: AnnData, folder: Path) -> Path:
    path = folder / "a.h5ad"
    save(adata, path)
    store_anew(path, "X/data", "obsm/X_pca", "obs/f8", compression="gzip", shuffle=True)
    return path


def _mudata(ending: str) -> Callable[[AnnData, Path], Any]:
    def write(adata: AnnData, folder: Path) -> Path:
        adata.strings_to_categoricals()
        other = AnnData(obs=pd.DataFrame(index=["apart"]), var=pd.DataFrame(index=["p"]))
        adata.obs_names_make_unique()
        obs = pd.DataFrame(index=[*adata.obs_names[::-1], "apart"])
        return write_mudata(folder / f"a{ending}", {"rna": adata, "other": other}, obs)

    return write


CONTAINERS: dict[str, Callable[[AnnData, Path], Any]] = {
    "h5ad": lambda adata, folder: save(adata, folder / "a.h5ad"),
    "compressed h5ad": _compressed,
    "zarr 2": _zarr("v2"),
    "zarr 3": _zarr("v3"),
    "shards": _zarr("v3 sharded"),
    "zip": _zarr("v3", ".zarr.zip"),
    "memory": lambda adata, _: adata,
    "backed": lambda adata, folder: silent(read_h5ad, save(adata, folder / "a.h5ad"), "r"),
    "h5mu": _mudata(".h5mu"),
    "mudata zarr": _mudata(".zarr"),
    "mudata zip": _mudata(".zarr.zip"),
}
