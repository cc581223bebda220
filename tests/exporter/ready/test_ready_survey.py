"""The survey of an input of ready files: all refusals at once, dropped cells, missing chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import atlas, here, save
from multimodal import write_mudata

from cellucid_dask import CellucidDaskError, check, export
from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source


def surveyed(data: Any, **options: Any) -> ReadyCatalog:
    wanted, _ = ExportOptions.from_keywords({"format": "zarr", **options})
    return survey_ready(open_source(data, wanted.modality), wanted)


def spoiled() -> anndata.AnnData:
    """An AnnData with one fault of each kind."""
    adata = atlas()
    adata.obs["a/b"] = 1.0
    adata.obs["Cell_Type"] = "x"
    adata.obs["made"] = pd.Timestamp("2026-01-31")
    adata.obs["far"] = np.inf
    adata.var["con"] = 1
    adata.obsm["X_umap_2d"][3] = np.nan
    adata.obsm["X.."] = np.ones((60, 2), "f4")
    adata.obsp["connectivities"] = adata.obsp["connectivities"].copy()
    adata.obsp["connectivities"].data[0] = -1
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    adata.uns["cellucid"] = {"id": "not an id"}
    return adata


def test_all_refusals_are_told_at_once() -> None:
    catalog = surveyed(
        spoiled(),
        genes=["none"],
        obs_keys=["gone", "made", "far"],
        latent_key="X_scvi",
        embeddings={3: "X_tsne"},
        dataset_name="a\tb",
        citation_url="a.org",
    )
    places = [problem.where for problem in catalog.problems]
    assert sorted(places) == sorted(
        [
            "obsm/X_umap_2d",  # NaN
            "obsm keys",  # ends with a dot
            "--gene",
            "obs index",  # a name twice
            "obs['made']",  # dates
            "obs['far']",  # infinite
            "obs columns",  # a slash
            "obs columns",  # equal without case
            "var columns",  # a device
            "obsp/connectivities",  # negative
            "--latent-key",
            "--dataset-name",
            "uns/cellucid/id",
            "--citation-url",
            "--embedding 3d",
            "--obs-key",
        ]
    ), "\n".join(map(str, catalog.problems))
    assert len(set(catalog.problems)) == len(catalog.problems)


def test_a_good_input_has_no_problem(tmp_path: Path) -> None:
    for name in ("a.h5ad", "a.zarr", "a.zarr.zip"):
        catalog = surveyed(save(atlas(), tmp_path / name))
        assert not catalog.problems
        assert catalog.record["name"] == "a"
        assert catalog.genes is not None
        assert catalog.gene_names == catalog.genes.ids
        assert [*catalog.obsm] == ["X_pca", "X_umap_2d", "X_umap_3d"]
        assert [column.layout.key for column in catalog.obs] == ["cell_type", "n_counts"]


def test_cells_without_a_place_are_left_out_of_everything() -> None:
    adata = atlas()
    adata.obsm["X_pca"][[1, 5]] = np.inf
    assert [p.where for p in surveyed(adata).problems] == ["obsm/X_pca"]
    catalog = surveyed(adata, drop_cells_without_embedding=True, description="All.")
    assert not catalog.problems
    assert catalog.n_cells == catalog.source.n_cells == 58
    assert {array.shape[0] for array in catalog.obsm.values()} == {58}
    assert catalog.obs[0].column.length == 58
    assert catalog.graph is not None
    assert catalog.graph.shape == (58, 58)
    assert "2 of 60 cells" in catalog.warnings[0]
    text = catalog.record["description"]
    assert text == "All. Without 2 of 60 cells, which have no place in an embedding."


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("X/indptr", {}),
        ("obs/n_counts", {"obs_keys": ["cell_type"]}),  # all columns are stored
        ("var/INDEX", {"gene_id_column": "symbol"}),
        ("obsm/X_pca", {"latent_key": "X_umap_3d"}),
    ],
)
def test_lost_chunks_of_all_that_is_read_are_told(
    tmp_path: Path, key: str, options: dict[str, Any]
) -> None:
    adata = atlas()
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    path = save(adata, tmp_path / "a.zarr")
    assert not surveyed(path, **options).problems
    index = zarr.open_group(path, mode="r")["var"].attrs["_index"]
    files = [
        file for file in (path / key.replace("INDEX", str(index))).rglob("*") if file.is_file()
    ]
    for chunk in files:
        if not chunk.name.startswith((".", "zarr.json")):
            chunk.unlink()
    found = surveyed(path, **options)
    told = [*map(str, found.missing_chunks.problems), *found.missing_chunks.warnings]
    assert ["missing chunks" in text for text in told] == [True]
    assert set(found.missing_chunks.problems) <= set(found.problems)
    assert set(found.missing_chunks.warnings) <= set(found.warnings)


def test_no_genes_and_no_graph() -> None:
    adata = spoiled()
    catalog = surveyed(adata, expression=False, connectivity=False)
    places = {problem.where for problem in catalog.problems}
    assert not places & {"var columns", "obsp/connectivities"}
    assert catalog.genes is None
    assert catalog.var == []


def test_an_empty_input() -> None:
    assert "has no cells" in [p.what for p in surveyed(atlas()[:0].copy()).problems]


def test_problems_of_options_come_with_those_of_the_data(tmp_path: Path) -> None:
    path = save(atlas(), tmp_path / "in.h5ad")
    with pytest.raises(CellucidDaskError) as caught:
        export(path, tmp_path / "out.h5ad", format="h5ad", compression=6, genes=["none"])
    assert [p.where for p in caught.value.problems] == ["compression", "genes"]


def test_check_takes_the_format(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder allows what a ready file does not; what both refuse is told once."""
    adata = atlas(columns={"a:b": np.ones(60, "f4")})
    path = save(adata, tmp_path / "in.zarr")
    assert check(adata).ok
    assert not check(adata, format="zarr").ok
    both = check(adata, format="folder,zarr", genes=["none"])
    assert [problem.where for problem in both.problems] == ["genes", "obs columns"]
    assert len(set(both.warnings)) == len(both.warnings)
    assert here(capfd, "check", path, "--format", "folder").code == 0
    ended = here(capfd, "check", path, "--format", "folder,h5ad")
    assert ended.code == 2
    assert "'a:b' has the character ':'" in ended.err


def test_all_formats_hold_the_same_cells() -> None:
    """A folder alone would keep the cells whose principal components are infinite."""
    adata = atlas()
    adata.obsm["X_umap_2d"][3] = np.nan
    adata.obsm["X_pca"][7] = np.inf
    found = check(adata, format="folder,zarr", drop_cells_without_embedding=True)
    assert found.ok, found.problems
    assert [text for text in found.warnings if "are left out" in text and "cells have" in text] == [
        "2 of 60 cells have NaN or Inf in an embedding and are left out"
    ]


def test_a_modality_has_the_record_of_the_whole(tmp_path: Path) -> None:
    adata = atlas()
    path = write_mudata(tmp_path / "m.h5mu", {"rna": adata}, adata.obs[[]])
    with h5py.File(path, "r+") as file:
        uns = {"cellucid": {"id": "whole", "name": "Whole", "defaults": {"modality": "rna"}}}
        anndata.io.write_elem(file, "uns", uns)
        anndata.io.write_elem(file["mod/rna"], "uns", {"cellucid": {"id": "part"}})
    record = surveyed(path, modality="rna").record
    assert (record["id"], record["name"]) == ("whole", "Whole")
    assert "modality" not in record["defaults"]
