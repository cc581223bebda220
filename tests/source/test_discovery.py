"""Which embeddings, vector fields and genes are taken, and what is said of the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from atlas import atlas as make
from atlas import here
from scipy import sparse
from serving import Client, Served, serving

from cellucid_dask import check, export, prepare
from cellucid_dask.errors import CellucidDaskError


def arguments(adata: ad.AnnData, **changed: Any) -> dict[str, Any]:
    given = {
        "latent_space": adata.obsm["X_pca"],
        "obs": adata.obs,
        "X_umap_2d": adata.obsm["X_umap_2d"],
        "X_umap_3d": adata.obsm["X_umap_3d"],
        "quiet": True,
    }
    return given | changed


def warnings_of(adata: Any, **options: Any) -> list[str]:
    found = check(adata, **options)
    assert found.ok, found.problems
    return list(found.warnings)


# ------------------------------------------------------------------------- embeddings


@pytest.mark.parametrize(
    ("name", "shape"),
    [("X_umap_2d", (60, 3)), ("X_umap_3d", (60, 2)), ("X_umap_2d", (60,)), ("X_umap_1d", (60,))],
)
def test_prepare_refuses_an_embedding_of_other_columns(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    """However many other embeddings there are, as the reference does."""
    given = arguments(
        make(),
        **{name: np.zeros(shape, "f4") + np.arange(60.0).reshape(-1, *[1] * (len(shape) - 1))},
    )
    with pytest.raises(CellucidDaskError, match=f"{name}: has shape {re.escape(str(shape))}"):
        prepare(**given, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [list, pd.Series])
def test_prepare_refuses_one_axis_of_any_kind(tmp_path: Path, kind: Any) -> None:
    """The fix that is told works, whatever the embedding is."""
    axis = kind(np.arange(60.0))
    with pytest.raises(CellucidDaskError) as refused:
        prepare(**arguments(make(), X_umap_1d=axis), out_dir=tmp_path / "out")
    (problem,) = refused.value.problems
    assert problem.what == "has shape (60,), not (n_cells, 1)"
    fixed = eval(problem.fix.removeprefix("give "), {"numpy": np, "X_umap_1d": axis})
    prepare(**arguments(make(), X_umap_1d=fixed), out_dir=tmp_path / "out")


def test_arrays_of_other_things_are_ignored_with_a_warning(saved: Callable[..., Path]) -> None:
    adata = make()
    adata.obsm["labels"] = pd.DataFrame({"a": ["x"] * 60}, index=adata.obs_names)
    adata.obsm["tensor"] = np.ones((60, 2, 2))
    expected = {
        "obsm/labels is ignored: has columns that are not numbers: a",
        "obsm/tensor is ignored: has shape (60, 2, 2), not two axes",
    }
    assert set(warnings_of(adata)) == set(warnings_of(saved(adata))) == expected


def test_what_is_ignored_is_a_warning(
    tmp_path: Path, saved: Callable[..., Path], capfd: Any
) -> None:
    adata = make()
    adata.obsm["X_umap"] = adata.obsm["X_pca"]
    adata.obsm["X_umap_1d"] = adata.obsm["X_umap_2d"]
    adata.obsm["drift_umap_3d"] = adata.obsm["X_umap_2d"]
    adata.obsm["velocity_umap"] = adata.obsm["X_umap_2d"][:, :1]
    expected = [
        "obsm/X_umap_1d is ignored: has 2 columns, its name says 1",
        "obsm/X_umap is ignored: has 5 columns; 1 to 3 can be shown",
        "obsm/drift_umap_3d is ignored: has 2 columns, its name says 3",
        "obsm/velocity_umap is ignored: is a vector field of 1 dimensions, which no embedding has",
    ]
    path = saved(adata)
    assert warnings_of(path) == expected
    result = export(path, tmp_path / "out", quiet=True)
    assert list(result.warnings) == expected
    assert here(capfd, "check", path).out.count("is ignored") == 4
    with Served(path, folder=tmp_path) as server:
        server.url()
        assert server.printed.count("is ignored") == 1, "what the page offers is not"


def test_a_vector_field_without_its_embedding_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """As the reference leaves it out: there is no scale for it."""
    adata = make()
    fields = {
        "velocity_umap_2d": adata.obsm["X_umap_2d"],
        "velocity_umap_1d": adata.obsm["X_umap_2d"][:, :1],
        "velocity_umap": adata.obsm["X_umap_2d"],
        "drift": adata.obsm["X_umap_2d"][:, :1],
    }
    result = prepare(**arguments(adata, vector_fields=fields), out_dir=tmp_path / "out")
    alone = "is a vector field of 1 dimensions, which no embedding has"
    assert result.warnings == [
        f"vector_fields['velocity_umap_1d'] is ignored: {alone}",
        "vector_fields['velocity_umap'] is ignored: velocity_umap_2d is there for 2d",
        f"vector_fields['drift'] is ignored: {alone}",
    ]
    assert [p.name for p in (tmp_path / "out" / "vectors").iterdir()] == ["velocity_umap_2d.bin"]


def test_nan_in_a_vector_field() -> None:
    adata = make()
    adata.obsm["velocity_umap"] = adata.obsm["X_umap_2d"].copy()
    adata.obsm["velocity_umap"][[3, 50], 0] = [np.nan, np.inf]
    (warning,) = warnings_of(adata)
    assert warning == "obsm/velocity_umap: the vectors of 2 cells have NaN or Inf (rows 3, 50)"


@pytest.mark.parametrize("n", [60, 3000])
def test_placeholders_among_coordinates(n: int) -> None:
    adata = make(n, 3)
    assert not warnings_of(adata)
    adata.obsm["X_umap_2d"][n // 2] = -1e9
    (warning,) = warnings_of(adata)
    assert "obsm/X_umap_2d: 1 cells lie more than a million times as far" in warning
    assert f"(rows {n // 2})" in warning


def test_no_umap(tmp_path: Path, saved: Callable[..., Path], capfd: Any) -> None:
    """The fix that is told is a command that works; a server shows what there is."""
    adata = make()
    adata.obsm["X_tsne"] = adata.obsm.pop("X_umap_2d")
    adata.obsm["spatial"] = adata.obsm["X_tsne"] * 2
    del adata.obsm["X_umap_3d"]
    path = saved(adata)
    refused = here(capfd, "export", path, "-o", tmp_path / "out")
    assert refused.code == 2
    option = re.search(r"use (--embedding \S+),", refused.err)
    assert option is not None
    assert option[1] == "--embedding 2d=X_tsne"
    done = here(
        capfd, "export", path, "-o", tmp_path / "out", *option[1].split(), "--compression", 0
    )
    assert done.code == 0
    with serving(path) as server, Client(server) as ask:
        stored = (tmp_path / "out" / "points_2d.bin").read_bytes()
        assert ask("/points_2d.bin").body == stored
    with Served(path, folder=tmp_path) as running:
        running.url()
        assert "there is no UMAP in obsm: X_tsne is shown as 2d" in running.printed


# ------------------------------------------------------------------------- genes


def by_ensembl(column: str, symbols: list[str]) -> ad.AnnData:
    adata = make()
    adata.var[column] = symbols
    adata.var_names = [f"ENSG{i:011d}" for i in range(12)]
    return adata


@pytest.mark.parametrize("column", ["feature_name", "gene_symbols", "symbol"])
def test_ensembl_ids_with_symbols_beside_them(
    column: str, saved: Callable[..., Path], capfd: Any
) -> None:
    path = saved(by_ensembl(column, [f"S{i}" for i in range(12)]))
    found = here(capfd, "check", path)
    line = f"genes go by Ensembl ids; var['{column}'] has their symbols: use --gene-id-column"
    assert f"{line} {column} to search by them" in found.out
    assert "Ensembl" not in here(capfd, "check", path, "--gene-id-column", column).out


def test_a_gene_that_goes_by_its_symbol() -> None:
    adata = make(genes=1)
    adata.var["symbol"] = ["CD3E"]
    assert not warnings_of(adata)


def test_symbols_that_repeat(capfd: Any, saved: Callable[..., Path]) -> None:
    path = saved(by_ensembl("symbol", ["A", "A", *(f"S{i}" for i in range(10))]))
    words = re.search(r"symbols: use (.*) to search", here(capfd, "check", path).out)
    assert words is not None
    assert here(capfd, "check", path, *words[1].split()).code == 0
    (warning,) = warnings_of(by_ensembl("symbol", ["A", "A", *(f"S{i}" for i in range(10))]))
    assert 'use gene_id_column="symbol", rename_duplicates=True to search' in warning


def test_raw_holds_more_genes() -> None:
    adata = make()
    adata.raw = adata
    small = adata[:, :5].copy()
    assert warnings_of(small) == ["raw holds 12 genes, X only 5: use raw=True to take those of raw"]
    assert not warnings_of(small, raw=True)


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_scaled_data_with_raw(layout: Any) -> None:
    adata = make()
    adata.raw = adata
    assert not warnings_of(adata)
    adata.X = layout(adata.X.toarray() - 1)
    assert warnings_of(adata) == [
        "X has negative values, as scaled data do: use raw=True for the values of raw"
    ]


def test_a_real_file(real_file: Callable[[str], Path]) -> None:
    found = check(real_file("pbmc68k_reduced.h5ad"))
    assert any("raw" in warning for warning in found.warnings)
    assert isinstance(pd.Series(found.warnings).iloc[0], str)
