"""The study of the demo: a lab can ask questions of it that have answers."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from atlas import script
from color_difference import ciede2000, contrast, lab, linear

from cellucid_dask.synthetic import write_study
from cellucid_dask.synthetic.cell_types import OUTLIER
from cellucid_dask.synthetic.study_file import OUTLYING

CELLS = 3000
GROUNDS = ((0xFF, 0xFF, 0xFF), (0x10, 0x13, 0x17))  # of the light and the dark page


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> anndata.AnnData:
    path = tmp_path_factory.mktemp("study") / "a.h5ad"
    write_study(path, cells=CELLS, genes=150)
    return anndata.read_h5ad(path)


def detected(study: anndata.AnnData, gene: str, **columns: str) -> float:
    """Share of the cells with these values of obs that have the gene."""
    cells = np.all([study.obs[key] == value for key, value in columns.items()], axis=0)
    return float((study[cells, gene].X.toarray() > 0).mean())


def test_a_gene_in_the_t_cells_of_patients(study: anndata.AnnData) -> None:
    parts = [
        detected(study, "ISG15", lineage="T cell", condition=condition)
        for condition in ("healthy", "mild", "severe")
    ]
    assert parts[0] < 0.1 < parts[1] < 0.4 < parts[2]
    assert detected(study, "CD3E", lineage="T cell") > 0.6
    assert detected(study, "CD3E", lineage="Myeloid") < 0.1


def test_one_cell_has_far_more_of_a_gene(study: anndata.AnnData) -> None:
    values = np.sort(study[:, OUTLIER].X.toarray()[:, 0])
    assert values[-1] == OUTLYING
    assert 1 < values[-2] < OUTLYING / 4


def test_types_donors_and_conditions(study: anndata.AnnData) -> None:
    counts = pd.crosstab(study.obs["cell_type"], study.obs["condition"])
    assert list(counts.columns) == ["healthy", "mild", "severe"]
    assert 0.0005 < counts.loc["Plasmacytoid DC"].sum() / CELLS < 0.005, "it is rare"
    share = counts / counts.sum()
    assert share.loc["Plasmablast", "severe"] > 2 * share.loc["Plasmablast", "healthy"]
    assert share.loc["CD4 naive T", "severe"] < 0.8 * share.loc["CD4 naive T", "healthy"]
    of_donor = pd.crosstab(study.obs["cell_type"], study.obs["donor"]).loc["CD4 memory T"]
    assert len(of_donor) == 12
    assert of_donor.min() > 0, "donors mix in a type"
    conditions = study.obs.groupby("donor", observed=True)["condition"].nunique()
    assert set(conditions) == {1}, "a donor has one condition"


def test_names_colors_and_embeddings(study: anndata.AnnData, tmp_path: Path) -> None:
    assert study.obs_names.is_unique
    assert all(re.fullmatch("[ACGT]{16}-1", name) for name in study.obs_names)
    assert study.var["gene_ids"].str.fullmatch(r"ENSG\d{11}").all()
    for key in ("cell_type", "lineage", "condition"):
        assert len(set(study.uns[f"{key}_colors"])) == len(study.obs[key].cat.categories)
    assert sorted(study.obsm) == ["X_pca", "X_tsne", "X_umap_2d", "X_umap_3d"]
    assert list(study.obs["leiden"].cat.categories[:3]) == ["0", "1", "2"]
    study.write_h5ad(tmp_path / "again.h5ad")
    again = anndata.read_h5ad(tmp_path / "again.h5ad").obs["cell_type"].cat.categories
    assert list(again) == sorted(again, key=str.lower)


@pytest.mark.parametrize("key", ["cell_type", "lineage", "condition"])
def test_colors_can_be_told_apart_on_both_grounds(study: anndata.AnnData, key: str) -> None:
    colors = np.array([[*bytes.fromhex(color[1:])] for color in study.uns[f"{key}_colors"]])
    first, second = np.triu_indices(len(colors), 1)
    seen = lab(linear(colors))
    assert ciede2000(seen[first], seen[second]).min() >= 10
    for ground in GROUNDS:
        assert contrast(colors, ground).min() >= 3


def test_equal_studies_have_equal_bytes_and_the_smallest_has_all_columns(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_study(tmp_path / name, cells=50, genes=10, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    smallest = anndata.read_h5ad(tmp_path / "a")
    assert {"CD3E", "ISG15", OUTLIER} <= set(smallest.var_names)
    assert smallest.shape == (50, 10)


FULL = """
import resource
from cellucid_dask.commands.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
main(["demo", "--cells", "500", "--genes", "300"])
"""


def test_a_disk_that_is_full_ends_the_demo_in_words(tmp_path: Path) -> None:
    """HDF5 ended the process when it closed what it could not write."""
    done = script(FULL, tmp_path)
    assert done.code == 2, done
    assert done.err == (
        "error: cellucid-demo: cannot be written (File too large)\n"
        "    name another folder with --out\n"
    )
    assert not list((tmp_path / "cellucid-demo").iterdir())
