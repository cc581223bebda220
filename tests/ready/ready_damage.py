"""A small ready file as values by path, which tests change before they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from ready_data import Stored, stored
from scipy import sparse

N, GENES = 60, 8


def make_ready_data() -> AnnData:
    """An AnnData that obeys every rule of ready files."""
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.7, (N, GENES)).astype("f4")
    dense[:2] = 1
    groups = rng.integers(-1, 3, N)
    obs = pd.DataFrame(
        {
            "group": pd.Categorical.from_codes(groups, ["a", "b", "c"]),
            "score": rng.normal(size=N),
            "maybe": pd.array([None if i % 5 == 0 else i for i in range(N)], dtype="Int16"),
        },
        index=pd.Index([f"c{i}" for i in range(N)], dtype=object),
    )
    var = pd.DataFrame(
        {"symbol": np.array([f"S{i}" for i in range(GENES)], object)},
        index=pd.Index([f"g{i}" for i in range(GENES)], dtype=object),
    )
    graph = np.triu(rng.random((N, N)) * (rng.random((N, N)) < 0.1), 1).astype("f4")
    latent = rng.normal(size=(N, 4)).astype("f4")
    adata = AnnData(sparse.csc_matrix(dense), obs=obs, var=var)
    adata.obsm["X_pca"] = latent
    adata.obsm["X_umap"] = rng.normal(size=(N, 2)).astype("f4")
    adata.obsm["velocity_umap"] = rng.normal(size=(N, 2)).astype("f4")
    adata.obsp["connectivities"] = sparse.csr_matrix(graph + graph.T)
    adata.uns = {"title": "An atlas", "cellucid": _record(latent, groups)}
    return adata


def _record(latent: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    defaults = {
        "embedding2d": {"key": "X_umap", "columns": np.array([1, 0])},
        "geneIdColumn": "symbol",
        "latentKey": "X_pca",
        "vectorFieldDefault": "velocity",
        "obsKeys": np.array(["group", "score"], object),
    }
    fields = {"group": quantiles(latent, groups)}
    return {
        "schema": 1,
        "id": "atlas-1",
        "name": "An atlas",
        "description": "",
        "citation": {"text": "Somebody", "url": "https://example.org"},
        "defaults": defaults,
        "outlierQuantiles": {"latentKey": "X_pca", "minPoints": 10, "fields": fields},
    }


def quantiles(latent: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Outlier quantiles of categories of ten cells and more, cell by cell."""
    found = np.full(len(groups), np.nan, "f4")
    for code in range(groups.max() + 1):
        cells = latent[groups == code].astype("f8")
        far = np.linalg.norm(cells - cells.mean(axis=0), axis=1)
        if len(cells) >= 10:
            found[groups == code] = [(far <= one + 1e-12).sum() / len(cells) for one in far]
    return found


def make_stored() -> Stored:
    """Layout and values by path; arrays can be changed."""
    layout, values = stored(make_ready_data())
    copies = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return layout, copies
