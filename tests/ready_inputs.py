"""AnnData of every kind that the oracle of ready files accepts, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

IDENTITY = {"dataset_id": "atlas-1", "dataset_name": "Atlas é"}


@dataclass(frozen=True)
class ReadyInput:
    """An input of both programs.

    Parameters
    ----------
    options
        Of the oracle, besides id and name.
    """

    make: Callable[[], AnnData]
    options: Mapping[str, Any] = field(default_factory=dict)


def base(n: int = 120, genes: int = 17, seed: int = 0) -> AnnData:
    """A small AnnData with two kinds of obs, and an embedding."""
    rng = np.random.default_rng(seed)
    counts = sparse.random_array((n, genes), density=0.3, rng=rng, format="csr", dtype="f4")
    obs = pd.DataFrame(
        {
            "group": pd.Categorical.from_codes(rng.integers(-1, 3, n), list("cab")),
            "score": rng.normal(size=n).astype("f4"),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    var = pd.DataFrame(index=[f"gene{i}" for i in range(genes)])
    obsm = {"X_umap": rng.normal(size=(n, 2)).astype("f4")}
    return AnnData(sparse.csr_matrix(counts), obs=obs, var=var, obsm=obsm)


def _columns() -> AnnData:
    """Every kind of column."""
    adata, rng = base(), np.random.default_rng(1)
    n = adata.n_obs
    places = np.arange(n)
    adata.obs["f8"] = np.where(places % 9 == 0, np.nan, rng.normal(size=n))
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "bool"):
        adata.obs[f"of {dtype}"] = rng.integers(0, 2, n).astype(dtype)
    adata.obs["numbers"] = pd.Categorical(rng.integers(3, 9, n) * 100)
    adata.obs["halves"] = pd.Categorical(rng.integers(0, 4, n) / 2, ordered=True)
    adata.obs["truths"] = pd.Categorical(rng.integers(0, 2, n).astype(bool))
    adata.obs["text ü"] = rng.choice(["b", "a", "ß", "Z"], n).astype(object)
    adata.obs["unique"] = [f"text {i} \N{GREEK SMALL LETTER ALPHA}" for i in range(n)]
    adata.obs["missing"] = pd.array(np.where(places % 5 == 0, None, "x"), dtype="string")
    adata.obs["Int16"] = pd.array(np.where(places % 7 == 0, None, places), dtype="Int16")
    adata.obs["full"] = pd.array(places, dtype="UInt32")
    adata.obs["maybe"] = pd.array(np.where(places % 4 == 0, None, places % 2 == 0), "boolean")
    adata.obs["unused"] = pd.Categorical(["x"] * n, categories=["w", "x", "y"])
    adata.obs["many"] = pd.Categorical(
        [f"m{i % 115}" for i in range(n)], [f"m{i}" for i in range(200)]
    )
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    adata.var["kind"] = pd.Categorical(["p", "q"] * 8 + ["p"])
    adata.var["length"] = np.arange(adata.n_vars, dtype="u2")
    return adata


def _with_matrix(change: Callable[[Any], Any]) -> Callable[[], AnnData]:
    def make() -> AnnData:
        adata = base()
        adata.X = change(adata.X)
        return adata

    return make


def _integers(matrix: Any, dtype: str, largest: int) -> Any:
    matrix = matrix.astype(dtype)
    matrix.data[:] = np.arange(1, matrix.nnz + 1)
    matrix.data[5] = largest
    return matrix


def _untidy(matrix: Any) -> Any:
    """Explicit zeros, rows not in order, and a value that float32 cannot hold."""
    matrix = matrix.astype("f8")
    matrix.data[::7], matrix.data[3] = 0, 1e-60
    for row in range(matrix.shape[0]):
        part = slice(*matrix.indptr[row : row + 2])
        matrix.indices[part] = matrix.indices[part][::-1].copy()
        matrix.data[part] = matrix.data[part][::-1].copy()
    matrix.has_sorted_indices = False
    return matrix


def _emptied(matrix: Any) -> Any:
    dense = matrix.toarray()
    dense[[0, 40, -1]], dense[:, [0, 5, -1]] = 0, 0
    return sparse.csr_matrix(dense)


def symmetric(n: int, seed: int = 3) -> sparse.csr_matrix:
    """A graph without loops."""
    graph = sparse.random_array((n, n), density=0.05, rng=np.random.default_rng(seed), format="csr")
    graph = sparse.csr_matrix(graph.maximum(graph.T))
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def _spaces() -> AnnData:
    """Spaces of many widths, vector fields, and a graph."""
    adata, rng = base(), np.random.default_rng(2)
    n = adata.n_obs
    adata.obsm["X_pca"] = rng.normal(size=(n, 12))
    adata.obsm["X_umap_3d"] = rng.normal(size=(n, 3)) * 1e6
    adata.obsm["X_line"] = rng.normal(size=(n, 1)).astype("f4")
    adata.obsm["spatial"] = rng.integers(0, 1000, (n, 2))
    adata.obsm["velocity_umap"] = rng.normal(size=(n, 2)).astype("f4")
    adata.obsm["T_fwd_umap_3d"] = rng.normal(size=(n, 3))
    adata.obsm["thin"] = sparse.random_array((n, 5), density=0.2, rng=rng, format="csr")
    adata.obsm["table"] = pd.DataFrame({"a": np.arange(n)}, index=adata.obs_names)
    adata.obsp["connectivities"] = symmetric(n)
    adata.obsp["distances"] = symmetric(n, 4)
    adata.layers["counts"] = adata.X.copy()
    adata.uns["group_colors"] = ["#000000"]
    return adata


def _latent() -> AnnData:
    adata = _columns()
    adata.obsm["X_pca"] = np.random.default_rng(5).normal(size=(adata.n_obs, 9)).astype("f4")
    adata.obsm["X_pca"][10:30] = adata.obsm["X_pca"][40:60]  # ties
    return adata


def _no_expression() -> AnnData:
    adata = base()
    return AnnData(obs=adata.obs, obsm=dict(adata.obsm))


def _repeated_names() -> AnnData:
    adata = base()
    adata.obs_names = ["a", "a", "a-1", *adata.obs_names[3:]]
    adata.var_names = ["g", "g", *adata.var_names[2:]]
    return adata


def _odd_names() -> AnnData:
    adata = base()
    adata.obs_names = [f"zellé {i} \N{GREEK SMALL LETTER BETA}" for i in range(adata.n_obs)]
    adata.var_names = [f"HLA-{i}/é" for i in range(adata.n_vars)]
    adata.obs["n (counts) % é"] = 1.5
    adata.obsm["X_umap é"] = adata.obsm["X_umap"] * 2
    return adata


def _recorded() -> AnnData:
    """A record of its own in uns."""
    adata = _spaces()
    adata.uns["cellucid"] = {
        "id": "other",
        "name": "Other",
        "description": "From the data.",
        "citation": {"text": "Somebody 2026", "url": "https://example.org/a"},
        "source": {"name": "Somewhere"},
    }
    return adata


def _one_cell() -> AnnData:
    return base(n=1, genes=3)


def _many() -> AnnData:
    """More values than a chunk of expression, more rows than one of the spaces holds."""
    adata, rng = base(n=3000, genes=120), np.random.default_rng(8)
    adata.X = sparse.csr_matrix(
        sparse.random_array((3000, 120), density=0.6, rng=rng, format="csr", dtype="f4")
    )
    adata.obsm["X_wide"] = rng.normal(size=(3000, 150)).astype("f4")
    return adata


def _edges() -> AnnData:
    """What is at the edge of a rule: the last number of codes of a type, weights below float32."""
    adata = base()
    for n in (126, 127):
        codes = np.arange(adata.n_obs) % n
        adata.obs[f"of {n}"] = pd.Categorical.from_codes(codes, [f"k{i:03}" for i in range(n)])
    graph = symmetric(adata.n_obs)
    graph.data[graph.data > 0.5] = 1e-60
    adata.obsp["connectivities"] = graph
    adata.uns["cellucid"] = {"description": ""}
    return adata


INPUTS = {
    "base": ReadyInput(base),
    "edges of rules": ReadyInput(_edges),
    "columns": ReadyInput(_columns),
    "spaces": ReadyInput(_spaces),
    "latent": ReadyInput(_latent, {"latent_key": "X_pca"}),
    "few points": ReadyInput(_latent, {"latent_key": "X_pca", "centroid_min_points": 3}),
    "no expression": ReadyInput(_no_expression),
    "one cell": ReadyInput(_one_cell),
    "many": ReadyInput(_many),
    "csc": ReadyInput(_with_matrix(sparse.csc_matrix)),
    "dense": ReadyInput(_with_matrix(lambda m: m.toarray())),
    "dense f8": ReadyInput(_with_matrix(lambda m: m.toarray().astype("f8"))),
    "dense counts": ReadyInput(_with_matrix(lambda m: _integers(m, "i4", 9).toarray())),
    "dense large": ReadyInput(_with_matrix(lambda m: _integers(m, "i8", 2**24 + 1).toarray())),
    "f8": ReadyInput(_with_matrix(lambda m: m.astype("f8"))),
    "counts": ReadyInput(_with_matrix(lambda m: _integers(m, "i4", 2**24))),
    "large counts": ReadyInput(_with_matrix(lambda m: _integers(m, "i8", 2**24 + 1))),
    "large negative": ReadyInput(_with_matrix(lambda m: _integers(m, "i8", -(2**25)))),
    "large floats": ReadyInput(_with_matrix(lambda m: _integers(m, "f8", 2**30 + 1))),
    "large f4": ReadyInput(_with_matrix(lambda m: _integers(m, "f4", 2**30))),
    "untidy": ReadyInput(_with_matrix(_untidy)),
    "emptied": ReadyInput(_with_matrix(_emptied)),
    "nothing stored": ReadyInput(_with_matrix(lambda m: sparse.csr_matrix(m.shape, dtype="f4"))),
    "odd names": ReadyInput(_odd_names),
    "repeated names": ReadyInput(_repeated_names),
    "described": ReadyInput(
        base,
        {
            "dataset_description": "Some cells, described.",
            "citation_text": "Somebody et al. 2026",
            "citation_url": "https://doi.org/10.1/x",
            "source_name": "An archive",
            "source_url": "http://example.org/",
        },
    ),
    "own record": ReadyInput(_recorded),
    "genes": ReadyInput(base, {"gene_identifiers": ["gene5", "gene2", "gene16"]}),
    "gene ids": ReadyInput(_columns, {"var_gene_id_column": "symbol"}),
}
