"""An atlas for the tests of the page: its cells do not overlap, so each of them is visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask import export

ACROSS, DOWN = 25, 16
CELLS = ACROSS * DOWN
GROUP = "the group (x)"
MISSING = 40  # the first so many cells have no group, as many last ones no score
GENES = 30
GROUPS = ("ä/1", "b", "c")
QUARTERS = ("north east", "north west", "south east", "south west")
STORAGE_OPTIONS = {
    "uint8": {"var_quantization": 8, "obs_quantization": 8, "compression": 6},
    "uint16": {"var_quantization": 16, "obs_quantization": 16, "compression": 1},
    "float32": {"var_quantization": None, "obs_quantization": None, "compression": 0},
}

# The two ends and the middle of the maps of these names in matplotlib.
MAPS = {
    "viridis": ((68, 1, 84), (33, 145, 140), (253, 231, 37)),
    "cividis": ((0, 34, 78), (125, 124, 120), (254, 232, 56)),
    "magma": ((0, 0, 4), (183, 55, 121), (252, 253, 191)),
    "plasma": ((13, 8, 135), (204, 71, 120), (240, 249, 33)),
    "coolwarm": ((59, 76, 192), (221, 220, 220), (180, 4, 38)),
    "greys": ((230, 230, 230), (124, 124, 124), (17, 17, 17)),
}


def pairs() -> NDArray[np.int64]:
    """(n, 2): pairs of neighboring cells, the left one first."""
    left = np.arange(CELLS).reshape(DOWN, ACROSS)[:, :-1].ravel()
    return np.column_stack([left, left + 1])


def has_edge() -> NDArray[np.bool_]:
    """Which of these pairs have an edge: every third."""
    return np.arange(len(pairs())) % 3 == 0


def atlas() -> AnnData:
    """Cells on a jittered grid, with everything that the page can show."""
    rng = np.random.default_rng(0)
    column, row = np.arange(CELLS) % ACROSS, np.arange(CELLS) // ACROSS
    flat = np.column_stack([column, row]) + rng.uniform(-0.14, 0.14, (CELLS, 2))
    groups = pd.Categorical.from_codes(rng.integers(3, size=CELLS), GROUPS)
    groups[:MISSING] = None
    score = 10 ** rng.permutation(np.linspace(0, 3, CELLS))  # even when its logarithm is taken
    score[-MISSING:] = np.nan
    quarter = 2 * (row < DOWN / 2) + (column < ACROSS / 2)
    obs = {
        "the group (x)": groups,  # a key that is no file name, and the first
        "quarter": pd.Categorical.from_codes(quarter, QUARTERS),
        "many": pd.Categorical([f"kind {i % 40:02d}" for i in range(CELLS)]),
        "score": score.astype("f4"),
    }
    genes = rng.gamma(1, 2, (CELLS, GENES)).astype("f4") * (rng.random((CELLS, GENES)) < 0.4)
    (first, second), n = pairs()[has_edge()].T, int(has_edge().sum())
    return AnnData(
        sparse.csr_array(genes),
        obs=pd.DataFrame(obs, index=[f"cell{i}" for i in range(CELLS)]),
        var=pd.DataFrame(index=[f"Gene{i}" for i in range(GENES)]),
        obsm={
            "X_umap_1d": flat[:, :1].astype("f4"),
            "X_umap_2d": flat.astype("f4"),
            "X_umap_3d": rng.uniform(-1, 1, (CELLS, 3)).astype("f4"),
            "X_pca": rng.normal(size=(CELLS, 4)).astype("f4"),
            "velocity_umap_1d": np.ones((CELLS, 1), "f4"),
            "velocity_umap_2d": np.tile(np.array([1, 0], "f4"), (CELLS, 1)),
            "velocity_umap_3d": np.tile(np.array([0, 0, 1], "f4"), (CELLS, 1)),
            "drift_umap_2d": np.tile(np.array([0, 1], "f4"), (CELLS, 1)),
        },
        obsp={
            "connectivities": sparse.csr_array((np.ones(n, "f4"), (first, second)), (CELLS, CELLS))
        },
    )


def outlier_quantiles(adata: AnnData, key: str) -> NDArray[np.float64]:
    """Outlier quantile of each cell; NaN if it has no category."""
    codes, latent = adata.obs[key].cat.codes.to_numpy(), adata.obsm["X_pca"].astype("f8")
    found = np.full(adata.n_obs, np.nan)
    for code in range(codes.max() + 1):
        rows = np.flatnonzero(codes == code)
        far = np.linalg.norm(latent[rows] - latent[rows].mean(axis=0), axis=1)
        found[rows] = (far.argsort().argsort() + 1) / len(rows)
    return found


def export_all(root: Path) -> Path:
    """Export the atlas with several quantizations and compressions, one folder each."""
    adata = atlas()
    for name, options in STORAGE_OPTIONS.items():
        names = {"dataset_id": name, "dataset_name": f"Atlas {name}"}
        export(adata, root / name, quiet=True, **names, **options)
    return root


def stacked_cells(*, upside_down: bool) -> AnnData:
    """Three cells at each position: a missing, a low and a high one, or the other way round."""
    order = slice(None, None, -1 if upside_down else 1)
    obs = {
        "kind": pd.Categorical([None, "seen", "seen"] * 20)[order],
        "value": np.array([np.nan, 0, 9] * 20, "f4")[order],
    }
    frame = pd.DataFrame(obs, index=[f"cell{i}" for i in range(60)])
    adata = AnnData(np.ones((60, 1), "f4"), frame, pd.DataFrame(index=["gene"]))
    for dimension in (2, 3):
        places = np.random.default_rng(0).random((20, dimension), "f4")
        adata.obsm[f"X_umap_{dimension}d"] = places.repeat(3, axis=0)
    return adata


def codes(key: str = "the group (x)") -> NDArray[Any]:
    return atlas().obs[key].cat.codes.to_numpy()


def score() -> NDArray[Any]:
    return atlas().obs["score"].to_numpy()


def names(key: str = GROUP) -> Any:
    """Category of each cell."""
    return np.array(atlas().obs[key].astype(object).where(atlas().obs[key].notna(), "missing"))
