"""Small atlases in memory, with everything that an export reads."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

CELLS, GENES = 240, 30


def make_counts(cells: int = CELLS, genes: int = GENES, seed: int = 0) -> NDArray[np.float32]:
    """Make expression values, shape (cells, genes), most of them 0."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 1.5, (cells, genes)) * (rng.random((cells, genes)) < 0.3)
    values[:, -1] = 0  # a gene without any value
    return values.astype(np.float32)


def make_obs(cells: int = CELLS, seed: int = 1) -> pd.DataFrame:
    """Make a table of cells: categories with and without gaps, numbers with NaN and Inf."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(3, size=cells)
    counts = rng.gamma(2, 100, cells).astype(np.float32)
    gaps = counts.astype(np.float64)
    gaps[::7], gaps[3] = np.nan, np.inf
    return pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(codes, ["B cell", "T cell", "Zellen/groß"]),
            "cluster": pd.Categorical(rng.integers(12, size=cells)),
            "with_gaps": pd.Categorical.from_codes(np.where(codes == 2, -1, codes), ["a", "b"]),
            "empty_category": pd.Categorical.from_codes(codes, ["x", "y", "z", "never"]),
            "n_counts": counts,
            "score": gaps,
            "constant": np.ones(cells),
            "day": rng.integers(0, 9, cells),
        },
        index=[f"cell{i}" for i in range(cells)],
    )


def make_atlas(matrix: Any = None, *, cells: int = CELLS, genes: int = GENES) -> anndata.AnnData:
    """Make an atlas with embeddings in 2D and 3D, a latent space, a graph and vector fields.

    Parameters
    ----------
    matrix
        Expression, shape (cells, genes); by default float32 in CSR.
    """
    rng = np.random.default_rng(2)
    expression = sparse.csr_matrix(make_counts(cells, genes)) if matrix is None else matrix
    cells, genes = expression.shape
    points = rng.normal(size=(cells, 3)).astype(np.float32)
    ends = np.repeat(np.arange(cells), 4), rng.integers(cells, size=4 * cells)
    graph = sparse.coo_matrix((np.ones(4 * cells, np.float32), ends), (cells, cells)).tocsr()
    counts = make_counts(cells, genes, seed=3)
    adata = anndata.AnnData(
        expression,
        obs=make_obs(cells),
        var=pd.DataFrame(
            {"symbol": [f"SYM{i}" for i in range(genes)]}, index=[f"Gene{i}" for i in range(genes)]
        ),
        obsm={
            "X_umap_2d": points[:, :2].copy(),
            "X_umap_3d": points,
            "X_pca": rng.normal(size=(cells, 6)).astype(np.float32),
            "X_scvi": rng.normal(size=(cells, 4)),
            "velocity_umap_2d": rng.normal(size=(cells, 2)).astype(np.float32),
            "velocity_umap_3d": rng.normal(size=(cells, 3)).astype(np.float32),
        },
        obsp={"connectivities": graph, "distances": graph * 0.5},
        layers={"counts": sparse.csr_matrix(counts), "dense": counts},
    )
    adata.raw = adata.copy()
    return adata


def make_untidy(layout: str) -> Any:
    """Make a sparse matrix with unsorted indices, repeated entries and stored zeros."""
    rng = np.random.default_rng(4)
    major, minor = (CELLS, GENES) if layout == "csr" else (GENES, CELLS)
    kind = sparse.csr_matrix if layout == "csr" else sparse.csc_matrix
    indices = np.concatenate([rng.integers(minor, size=8) for _ in range(major)])
    values = rng.integers(-1, 4, 8 * major).astype(np.float32)
    pointers = np.arange(major + 1) * 8
    return kind((values, indices, pointers), shape=(CELLS, GENES))
