"""Genes of an export, compared with those of the reference exporter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import assert_parity, read_export, silent
from scipy import sparse

from cellucid_dask import export

Save = Callable[..., Path]


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("where", ["file", "memory"])
def test_gene_subset_in_the_order_asked_for(
    tmp_path: Path, atlas: AnnData, saved: Save, layout: str, where: str
) -> None:
    atlas.X = atlas.X.toarray() if layout == "dense" else atlas.X.asformat(layout)
    genes = [f"gene{j}" for j in (17, 3, 29, 0, 18, 16)]
    data = saved(atlas) if where == "file" else atlas
    made = assert_parity(tmp_path, data, atlas, genes=genes)
    assert [field[0] for field in made.manifests["var_manifest.json"]["fields"]] == genes
    assert made.identity["stats"]["n_genes"] == 6


def test_no_gene_asked_for(tmp_path: Path, atlas: AnnData) -> None:
    made = assert_parity(tmp_path, atlas, genes=[])
    assert made.manifests["var_manifest.json"]["fields"] == []


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_genes_with_nothing_to_show(
    tmp_path: Path, atlas: AnnData, saved: Save, layout: str
) -> None:
    dense = atlas.X.toarray()
    dense[:, 0] = 0
    dense[:, 1] = 2.5
    dense[:, 2] = np.nan
    dense[:, 3] = np.where(np.arange(dense.shape[0]) % 3, np.nan, np.inf)
    dense[5:9, 4] = [np.nan, np.inf, -np.inf, 7]
    dense[:, 5] -= 1
    dense[:, 6] = -4
    dense[:, 7] = np.where(np.arange(dense.shape[0]) == 11, 1e-38, 0)
    dense[0, 8] = 3e38
    dense[1, 8] = -3e38
    atlas.X = dense if layout == "dense" else sparse.csr_matrix(dense).asformat(layout)
    path = saved(atlas)
    for i, bits in enumerate((8, 16, None)):
        assert_parity(tmp_path / str(i), path, var_quantization=bits)


def test_gene_whose_range_is_lost_in_float32(tmp_path: Path, atlas: AnnData) -> None:
    """One step of 1 above 2**60 is no step: the range must still be one."""
    atlas.X = np.full(atlas.shape, 2.0**60, np.float32)
    export(atlas, tmp_path / "out", quiet=True)
    made = read_export(tmp_path / "out")
    _, lo, hi = made.manifests["var_manifest.json"]["fields"][0]
    assert (lo, hi > lo) == (2.0**60, True)
    assert not made.arrays["var/gene0.values.u8"].any()


def test_gene_id_column(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    atlas.var["number"] = np.arange(atlas.n_vars) + 0.5
    atlas.var["kind"] = pd.Categorical([f"k/{j}" for j in range(atlas.n_vars)])
    for column in ("symbol", "number", "kind"):
        made = assert_parity(tmp_path / column, saved(atlas), gene_id_column=column)
        assert made.manifests["var_manifest.json"]["var_gene_id_column"] == column


def test_rename_duplicates(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    names = [*"AABAAB", *(f"g{j}" for j in range(6, atlas.n_vars))]
    silent(setattr, atlas, "var_names", names)
    theirs = silent(atlas.copy)
    theirs.var_names_make_unique()
    made = assert_parity(tmp_path, saved(atlas), theirs, rename_duplicates=True)
    fields = made.manifests["var_manifest.json"]["fields"]
    assert [field[0] for field in fields[:6]] == ["A", "A-1", "B", "A-2", "A-3", "B-1"]


def test_gene_names_that_are_no_file_names(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    odd = ["HLA-A", "a b/c", "..x..", "Ü", "gène 1", "_g_"]
    atlas.var_names = [*odd, *(f"g{j}" for j in range(len(odd), atlas.n_vars))]
    made = assert_parity(tmp_path, saved(atlas))
    assert {"var/a_b_c.values.u8", "var/field.values.u8", "var/g_ne_1.values.u8"} <= set(
        made.arrays
    )


@pytest.mark.parametrize("where", ["file", "memory"])
def test_layer_and_raw(tmp_path: Path, atlas: AnnData, saved: Save, where: str) -> None:
    atlas.raw = atlas.copy()
    atlas.layers["half"] = (atlas.X / 2).tocsc()
    atlas = atlas[:, 5:20].copy()
    data = saved(atlas) if where == "file" else atlas
    change = {"gene_expression": atlas.layers["half"]}
    assert_parity(tmp_path / "layer", data, atlas, change=change, layer="half")
    change = {"gene_expression": atlas.raw.X, "var": atlas.raw.var}
    made = assert_parity(tmp_path / "raw", data, atlas, change=change, raw=True)
    assert made.identity["stats"]["n_genes"] == 30


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
def test_no_expression_at_all(tmp_path: Path, atlas: AnnData, saved: Save, where: str) -> None:
    bare = AnnData(obs=atlas.obs, var=atlas.var, obsm=dict(atlas.obsm), obsp=dict(atlas.obsp))
    data = bare if where == "memory" else saved(bare, f"bare.{where}")
    made = assert_parity(tmp_path, data, bare, change={"gene_expression": None})
    assert "var_manifest.json" not in made.manifests
