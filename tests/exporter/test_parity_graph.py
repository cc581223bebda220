"""The neighbour graph of an export, compared with that of the reference exporter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import assert_parity, make_atlas
from scipy import sparse

Save = Callable[..., Path]


def make_odd_graphs() -> dict[str, sparse.csr_matrix]:
    """Graphs that a careless reader gets wrong, on 220 cells."""
    n, rng = 220, np.random.default_rng(3)
    plain = make_atlas().obsp["connectivities"].copy()
    zeros = plain.copy()
    zeros.data[::3] = 0
    upper = np.triu(rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.05), 1)
    cancelling = sparse.csr_matrix(upper - upper.T * (rng.random((n, n)) < 0.5))
    loops = sparse.csr_matrix(plain + sparse.diags_array(np.arange(n) % 2.0).tocsr())
    twice = sparse.csr_matrix(
        (
            np.tile(plain.data, 2),
            np.concatenate([np.r_[a, a] for a in np.split(plain.indices, plain.indptr[1:-1])]),
            plain.indptr * 2,
        ),
        shape=(n, n),
    )
    return {
        "one-sided": sparse.csr_matrix(sparse.triu(plain)),
        "stored zeros": zeros,
        "cancelling": cancelling,
        "diagonal": loops,
        "duplicates": twice,
        "empty": sparse.csr_matrix((n, n)),
        "bool": plain.astype(bool),
        "int64 indices": sparse.csr_matrix(
            (plain.data, plain.indices.astype(np.int64), plain.indptr.astype(np.int64)), (n, n)
        ),
        "float32": plain.astype(np.float32),
        "integers": (plain * 5).astype(np.int32),
    }


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("name", make_odd_graphs())
def test_graph(tmp_path: Path, atlas: AnnData, saved: Save, name: str, where: str) -> None:
    atlas.obsp["connectivities"] = make_odd_graphs()[name]
    made = assert_parity(tmp_path, saved(atlas) if where == "file" else atlas)
    edges = made.manifests["connectivity_manifest.json"]
    assert (edges["n_edges"] == 0) == (name == "empty")


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_graph_layout(tmp_path: Path, atlas: AnnData, saved: Save, layout: str, where: str) -> None:
    for name in ("cancelling", "diagonal", "stored zeros"):
        graph = make_odd_graphs()[name]
        atlas.obsp["connectivities"] = graph.toarray() if layout == "dense" else graph.tocsc()
        data = atlas if where == "memory" else saved(atlas, f"{name}.{where}")
        change = {"connectivities": graph}
        assert_parity(tmp_path / name, data, atlas, change=change)


def test_graph_of_many_cells_has_wider_indices(tmp_path: Path) -> None:
    n = 70_000
    rng = np.random.default_rng(4)
    graph = sparse.csr_matrix((np.ones(300), rng.integers(0, n, (2, 300))), shape=(n, n))
    atlas = AnnData(
        obs=pd.DataFrame({"x": np.arange(n)}, index=np.arange(n).astype(str)),
        obsm={"X_umap_2d": rng.normal(size=(n, 2)), "X_pca": rng.normal(size=(n, 2))},
        obsp={"connectivities": graph},
    )
    made = assert_parity(tmp_path, atlas, change={"gene_expression": None})
    assert made.manifests["connectivity_manifest.json"]["index_dtype"] == "uint32"
