"""Keys, genes, names and categories that cannot be exported."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from atlas import atlas, here, save
from bad_inputs import Refuse, says

UNKNOWN = [
    (["--obs-key", "cell_typ"], ["--obs-key", "'cell_typ'", "'cell_type'"]),
    (["--gene", "Gene1O"], ["--gene", "'Gene1O'", "'Gene1'"]),
    (["--latent-key", "X_pcaa"], ["--latent-key", "'X_pcaa'", "'X_pca'"]),
    (["--embedding", "2d=X_umap2d"], ["--embedding", "'X_umap2d'", "'X_umap_2d'"]),
    (["--graph", "connectivity"], ["--graph", "'connectivity'", "'connectivities'"]),
    (["--layer", "count"], ["--layer", "'count'", "'counts'"]),
    (["--gene-id-column", "symbl"], ["--gene-id-column", "'symbl'", "'symbol'"]),
    (["--raw"], ["no raw", "--raw"]),
]


@pytest.mark.parametrize(("options", "parts"), UNKNOWN)
@pytest.mark.parametrize("what", ["export", "check"])
def test_an_unknown_key_and_the_nearest_one(
    refuse: Refuse, tmp_path: Path, what: str, options: list[str], parts: list[str]
) -> None:
    adata = atlas()
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    save(adata, tmp_path / "a.h5ad")
    to = ["-o", "out"] if what == "export" else []
    says(refuse(what, "a.h5ad", *to, *options), *parts)


def test_all_problems_are_told_at_once(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas(300, columns={"a b": 1.0, "a_b": 2.0, "many": [f"k{i}" for i in range(300)]})
    adata.obsm["X_umap_2d"][7, 1] = np.nan
    adata.var_names = [*adata.var_names[:-1], "Gene0"]
    save(adata, tmp_path / "a.h5ad")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("mine")
    options = ["--obs-key", "a b", "--obs-key", "a_b", "--obs-key", "many", "--obs-key", "manny"]
    options += ["--categorical-dtype", "uint8", "--latent-key", "pca", "--graph", "distances"]
    message = refuse("export", "a.h5ad", "-o", "out", *options)
    says(
        message,
        *("8 problems", "1 of 300 cells", "'a b', 'a_b'", "300 categories", "'manny'", "'pca'"),
        *("'Gene0'", "'distances'", "exists and is not empty"),
    )
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", message, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_bad_options_and_a_bad_input_are_told_together(refuse: Refuse, data: Path) -> None:
    """One message holds the problems of options, of input and of the output folder."""
    (data.parent / "file").touch()
    message = refuse(
        *("export", data.name, "-o", "file", "--centroid-quantile", 2, "--workers", 0),
        *("--obs-key", "cell_typ"),
    )
    says(message, "--centroid-quantile", "--workers", "'cell_typ'", "is a file")


def test_bad_options_and_a_missing_file_are_told_together(refuse: Refuse) -> None:
    message = refuse("export", "none.h5ad", "-o", "/", "--centroid-quantile", 2)
    says(message, "--centroid-quantile", "none.h5ad", "root, home or current")


def test_duplicate_gene_ids(
    refuse: Refuse, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adata = atlas()
    adata.var_names = ["A", "A", "B", "A-1", "B", *adata.var_names[5:]]
    adata.var["ensembl"] = [f"ENSG{i:03}" for i in range(adata.n_vars)]
    adata.var["chromosome"] = "1"
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "'A'", "'B'", "2 times", "ensembl", "--gene-id-column", "--rename-duplicates")
    assert "chromosome" not in message
    ended = here(capfd, "export", "a.h5ad", "-o", "renamed", "--rename-duplicates", "--quiet")
    assert ended.code == 0, ended.err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that "A-1" was there before
        adata.var_names_make_unique()
    fields = json.loads((tmp_path / "renamed" / "var_manifest.json").read_text())["fields"]
    assert [field[0] for field in fields] == list(adata.var_names)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"a b": 1.0, "a_b": 2.0, "a/b": 3.0}, ["'a b'", "'a_b'", "'a/b'"]),
        ({"Age": 1.0, "age": 2.0}, ["'Age'", "'age'"]),
        ({"été": 1.0, "t": 2.0}, ["'été'", "'t'"]),
        ({"数": 1.0, "field": 2.0}, ["'数'", "'field'"]),
    ],
)
def test_obs_columns_with_one_file_name(
    refuse: Refuse, tmp_path: Path, columns: dict[str, float], named: list[str]
) -> None:
    adata = atlas()
    for name, value in columns.items():
        adata.obs[name] = value
    adata.obs = adata.obs.rename(columns={name: name.replace("/", "|") for name in columns})
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, *(name.replace("/", "|") for name in named), "file name")


def test_every_gene_with_a_shared_file_name_is_named(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.var_names = ["HLA-A", "hla-a", "x:y", "x_y", *adata.var_names[4:]]
    save(adata, tmp_path / "a.h5ad")
    says(refuse("export", "a.h5ad", "-o", "out"), "'HLA-A'", "'hla-a'", "'x:y'", "'x_y'")


def test_a_name_too_long_for_a_file(refuse: Refuse, tmp_path: Path) -> None:
    save(atlas(columns={"long " * 60: 1.0}), tmp_path / "a.h5ad")
    says(refuse("export", "a.h5ad", "-o", "out"), "long long", "300 characters")


def test_genes_files(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "binary.txt").write_bytes(b"\x80\x81\xff\x00" * 20)
    (tmp_path / "twice.txt").write_text("Gene1\nGene2\nGene1\n")
    (tmp_path / "folder.txt").mkdir()
    base = ("export", data.name, "-o", "out", "--genes-file")
    says(refuse(*base, "none.txt"), "none.txt")
    says(
        refuse(*base, "empty.txt"),
        "empty.txt",
        "holds no gene id",
        "write one gene id on each line",
    )
    says(refuse(*base, "binary.txt"), "binary.txt", "cannot be read")
    says(refuse(*base, "twice.txt"), "'Gene1'", "twice")
    says(refuse(*base, "folder.txt"), "folder.txt")


@pytest.fixture(scope="module")
def many_categories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns at and just over both limits."""
    labels = np.arange(65_535)
    columns = {
        name: pd.Categorical([f"k{i}" for i in labels % n])
        for name, n in {"over": 65_535, "most": 65_534, "over8": 255, "most8": 254}.items()
    }
    folder = tmp_path_factory.mktemp("categories")
    return save(atlas(65_535, 2, columns=columns), folder / "many.h5ad")


def test_too_many_categories(
    refuse: Refuse, many_categories: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refuse("check", many_categories)
    says(message, "'over'", "65535 categories", "65534", "--obs-key most")
    assert "'most'" not in message
    others = ("--obs-key", "most", "--obs-key", "over8")
    assert here(capfd, "check", many_categories, *others).code == 0


def test_forced_uint8_over_254(
    refuse: Refuse, many_categories: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forced = ("--categorical-dtype", "uint8")
    message = refuse("check", many_categories, *forced, "--obs-key", "over8", "--obs-key", "most8")
    says(message, "'over8'", "255 categories", "254", "--categorical-dtype auto")
    assert "'most8'" not in message
    assert here(capfd, "check", many_categories, *forced, "--obs-key", "most8").code == 0
