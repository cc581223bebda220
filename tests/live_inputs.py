"""An AnnData with something of everything, and graphs of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from layouts import laid_out
from oracle import make_atlas
from scipy import sparse


def rich(layout: str = "csr") -> AnnData:
    """An atlas with layers, raw, other ids of genes, an embedding and a graph by other names."""
    atlas = make_atlas(n_genes=14)
    atlas.X = laid_out(atlas.X, layout)
    atlas.layers["counts"] = laid_out(atlas.X, layout)
    atlas.layers["counts"] *= 3
    atlas.raw = atlas.copy()
    atlas.obsm["X_tsne"] = np.asarray(atlas.obsm["X_pca"][:, :2] * [3, -1])
    atlas.obsm["drift_umap_3d"] = atlas.obsm["X_pca"][:, 1:4] * 0.1
    atlas.obsp["distances"] = sparse.csr_matrix(make_atlas(seed=3).obsp["connectivities"])
    return atlas


def graphs(n: int = 220) -> dict[str, Any]:
    """Graphs of every kind."""
    one_way = sparse.csr_matrix(make_atlas(n).obsp["connectivities"])
    both = sparse.csr_matrix(one_way + one_way.T)
    zeros, negative, loops = both.copy(), both.copy(), sparse.lil_matrix(both)
    zeros.data[::7] = 0
    negative.data[::5] *= -1
    loops.setdiag(np.arange(n) % 3)
    cancelling = sparse.csr_matrix(one_way - one_way.T)
    nearly = sparse.lil_matrix(both)
    row, column = (int(part[0]) for part in both.nonzero())
    nearly[row, column] = 0
    return {
        "one way": one_way,
        "symmetric": both,
        "symmetric csc": sparse.csc_matrix(both),
        "dense": both.toarray(),
        "explicit zeros": zeros,
        "negative": negative,
        "loops": sparse.csr_matrix(loops),
        "cancelling": cancelling,
        "nearly symmetric": sparse.csr_matrix(nearly),
        "no edge": sparse.csr_matrix((n, n)),
        "bool": both.astype(bool),
    }
