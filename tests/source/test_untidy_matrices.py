"""Unsorted, repeated and zero entries are read as the reference exporter reads them, and stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from layouts import bytes_of_sparse, laid_out, untidy
from oracle import assert_parity, make_atlas, make_atlas_around
from scipy import sparse

from cellucid_dask import export

Save = Callable[..., Path]


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
def test_untidy_matrix(tmp_path: Path, saved: Save, where: str, layout: str, dtype: str) -> None:
    atlas = make_atlas_around(untidy(layout, dtype))
    theirs = atlas.copy()
    # anndata did not tidy it.
    assert bytes_of_sparse(theirs.X) == bytes_of_sparse(untidy(layout, dtype))
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    for bits in (None, 16):
        change = {"gene_expression": untidy(layout, dtype)}
        folder = tmp_path / str(bits)
        assert_parity(folder, data, theirs, change=change, var_quantization=bits)
    genes = ["gene8", "gene29", "gene1"]
    assert_parity(
        tmp_path / "some", data, theirs, change=change, genes=genes, var_quantization=None
    )


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_negative_zero(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    dense = atlas.X.toarray()
    dense[::4, 3] = -0.0
    dense[:, 4] = -0.0
    dense[:, 5] = np.where(np.arange(220) % 2, -0.0, 7)
    atlas.X = dense if layout == "dense" else laid_out(np.where(dense == 0, 9, dense), layout)
    if layout != "dense":
        atlas.X.data[atlas.X.data == 9] = -0.0
    for name, data in (("file", saved(atlas)), ("memory", atlas)):
        assert_parity(tmp_path / name, data, atlas, var_quantization=None)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_the_arrays_of_the_user_stay_as_they_are(
    tmp_path: Path, atlas: AnnData, layout: str
) -> None:
    matrix = laid_out(make_atlas().X, "dense") if layout == "dense" else untidy(layout)
    atlas.X = matrix
    graph = atlas.obsp["connectivities"].copy()
    rows = np.split(graph.indices, graph.indptr[1:-1])
    graph.indices = np.concatenate([row[::-1] for row in rows])  # unsorted
    graph.has_sorted_indices = False
    atlas.obsp["connectivities"] = graph
    before = bytes_of_arrays(atlas)
    export(atlas, tmp_path / "out", quiet=True, var_quantization=None)
    export(atlas, tmp_path / "some", quiet=True, genes=["gene5", "gene1"])
    after = bytes_of_arrays(atlas)
    assert {key for key in before if before[key] != after[key]} == set()


def bytes_of_arrays(adata: AnnData) -> dict[str, Any]:
    """The bytes of every array of an AnnData in memory."""
    matrices = {"X": adata.X, "graph": adata.obsp["connectivities"]}
    taken: dict[str, Any] = {
        key: bytes_of_sparse(m) if sparse.issparse(m) else m.tobytes()
        for key, m in matrices.items()
    }
    taken |= {key: np.asarray(value).tobytes() for key, value in adata.obsm.items()}
    taken |= {
        f"obs {key}": pd.util.hash_array(s.to_numpy()).tobytes() for key, s in adata.obs.items()
    }
    return taken
