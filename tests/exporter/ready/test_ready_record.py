"""``uns['cellucid']`` of ready files: from the options, from the data, or made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from atlas import atlas, save
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.checks.ready.survey import survey_ready
from cellucid_dask.exporter.checks.ready.texts import id_fault, make_id, make_name, text_fault
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source

RECORD = {
    "schema": 1,
    "id": "first-atlas",
    "name": "First atlas",
    "description": "of the data",
    "citation": {"text": "A et al.", "url": "https://a.org/1"},
    "source": {"name": "Lab A", "url": "http://lab.org"},
    "defaults": {
        "embedding2d": {"key": "X_pca", "columns": np.array([2, 0])},
        "latentKey": "X_pca",
        "vectorFieldDefault": "velocity",
        "obsKeys": np.array(["n_counts", "cell_type"], dtype=object),
        "normalizeEmbeddings": False,
        "centroidMinPoints": 4,
    },
    "outlierQuantiles": {"latentKey": "X_pca", "fields": {"cell_type": np.zeros(60, "f4")}},
    "priority": {"seed": 0},
}


def described(record: Any = None, **obsm: Any) -> Any:
    adata = atlas()
    adata.obsm["velocity_umap_2d"] = np.ones((60, 2), "f4")
    for key, value in obsm.items():
        adata.obsm[key] = value
    if record is not None:
        adata.uns["cellucid"] = record
    return adata


def surveyed(data: Any, name: str = "", **options: Any) -> ReadyCatalog:
    wanted, _ = ExportOptions.from_keywords({"format": "zarr", "connectivity": False, **options})
    return survey_ready(open_source(data), wanted, name)


def told(catalog: ReadyCatalog) -> dict[str, str]:
    return {problem.where: problem.what for problem in catalog.problems}


def test_without_a_word_only_names_are_made() -> None:
    catalog = surveyed(described(), "my atlas")
    assert dict(catalog.record) == {
        "schema": 1,
        "id": "my_atlas",
        "name": "my atlas",
        "defaults": {"latentKey": "X_pca"},
    }
    assert not catalog.problems


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr", "a.zarr.zip", None])
def test_the_record_of_the_data_is_kept(tmp_path: Path, name: str | None) -> None:
    adata = described(RECORD)
    catalog = surveyed(adata if name is None else save(adata, tmp_path / name))
    assert not catalog.problems
    assert not catalog.warnings
    record, defaults = dict(catalog.record), dict(catalog.record["defaults"])
    columns = defaults["embedding2d"].pop("columns")
    assert (columns.dtype, columns.tolist()) == (np.int64, [2, 0])
    del record["defaults"]
    kept = ("schema", "id", "name", "description", "citation", "source")
    assert record == {key: RECORD[key] for key in kept}
    assert list(record) == list(kept)
    assert defaults == {
        "embedding2d": {"key": "X_pca"},
        "latentKey": "X_pca",
        "vectorFieldDefault": "velocity",
        "obsKeys": ["n_counts", "cell_type"],
        "normalizeEmbeddings": False,
        "centroidMinPoints": 4,
    }
    assert list(defaults) == list(RECORD["defaults"])  # type: ignore[call-overload]
    assert catalog.min_points == 4


def test_options_go_before_the_record() -> None:
    catalog = surveyed(
        described(RECORD),
        dataset_id="other",
        dataset_name="Other",
        description="of the user",
        citation="B et al.",
        source_name="",
        source_url="",
        embeddings={2: "X_umap_2d", 3: "X_pca"},
        obs_keys=["cell_type"],
        centroid_min_points=7,
    )
    assert not catalog.problems
    record = dict(catalog.record)
    defaults = record.pop("defaults")
    assert record == {
        "schema": 1,
        "id": "other",
        "name": "Other",
        "description": "of the user",
        "citation": {"text": "B et al.", "url": "https://a.org/1"},
    }
    assert (defaults["embedding2d"], defaults["embedding3d"]) == ("X_umap_2d", "X_pca")
    assert defaults["obsKeys"] == ["cell_type"]
    assert defaults["centroidMinPoints"] == catalog.min_points == 7


def test_what_the_record_names_and_the_file_has_not_is_left_out() -> None:
    stale = {
        "embedding2d": "X_tsne",
        "embedding3d": {"key": "X_pca", "columns": [0, 0, 1]},
        "geneIdColumn": "symbol",
        "latentKey": "X_scvi",
        "vectorFieldDefault": "growth",
        "obsKeys": ["cell_type", "gone"],
        "normalizeEmbeddings": "no",
        "centroidMinPoints": 0,
        "modality": "rna",
        "knn": "connectivities",
    }
    catalog = surveyed(described({"defaults": stale}))
    assert not catalog.problems
    assert dict(catalog.record["defaults"]) == {"latentKey": "X_pca", "obsKeys": ["cell_type"]}
    named = [warning.partition(" ")[0].rpartition("/")[2] for warning in catalog.warnings]
    left = {"modality", "knn", "centroidMinPoints"}
    assert sorted(named) == sorted(stale.keys() - left)
    assert all(" of the data is " in warning for warning in catalog.warnings)


def test_a_vector_field_must_be_drawn() -> None:
    wide = {"X_wide": np.ones((60, 5), "f4"), "flow_wide": np.ones((60, 5), "f4")}
    record = {"defaults": {"vectorFieldDefault": "flow"}}
    catalog = surveyed(described(record, **wide))
    assert "vectorFieldDefault" not in catalog.record["defaults"]
    catalog = surveyed(described(record, **wide), embeddings={3: "X_wide"})
    assert catalog.record["defaults"]["vectorFieldDefault"] == "flow"
    catalog = surveyed(described(RECORD), vectors=False)
    assert "vectorFieldDefault" not in catalog.record["defaults"]


def test_found_embeddings_are_said_where_the_viewer_would_show_others() -> None:
    """Beside X_umap_2d the viewer leaves X_umap aside, which is shown in 3D here."""
    adata = described(X_umap=np.ones((60, 3), "f4"))
    assert "embedding3d" not in surveyed(adata).record["defaults"]
    del adata.obsm["X_umap_3d"]
    assert surveyed(adata).record["defaults"]["embedding3d"] == "X_umap"


def test_a_gene_id_column_names_the_genes() -> None:
    adata = described()
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    catalog = surveyed(adata, gene_id_column="symbol")
    assert catalog.record["defaults"]["geneIdColumn"] == "symbol"
    adata.uns["cellucid"] = {"defaults": {"geneIdColumn": "symbol"}}
    assert surveyed(adata).record["defaults"]["geneIdColumn"] == "symbol"


@pytest.mark.parametrize(("dtype", "held"), [("f4", "fractions"), ("bool", "truth values")])
def test_fractions_and_truth_values_name_no_genes(dtype: str, held: str) -> None:
    adata = described()
    adata.var["ids"] = np.arange(adata.n_vars).astype(dtype)
    chosen = surveyed(adata, gene_id_column="ids", rename_duplicates=True)
    assert held in told(chosen)["--gene-id-column"]
    adata.var["ids"] = pd.Categorical(adata.var["ids"])
    assert not surveyed(adata, gene_id_column="ids", rename_duplicates=True).problems
    adata.var["ids"] = adata.var["ids"].astype(dtype)
    adata.uns["cellucid"] = {"defaults": {"geneIdColumn": "ids"}}
    kept = surveyed(adata)
    assert "geneIdColumn" not in kept.record["defaults"]
    assert any("geneIdColumn of the data is left out" in text for text in kept.warnings)


def test_texts_that_cannot_be_shown_are_refused_together() -> None:
    catalog = surveyed(
        described(),
        dataset_id="con.1",
        dataset_name="name ",
        description="two\nlines",
        source_url="https://a.org",
        citation="zero\u200bwidth",
        citation_url="ftp://a.org",
    )
    assert told(catalog) == {
        "--dataset-name": "'name ' begins or ends with white space",
        "--dataset-id": "'con.1' is the name of a device on Windows",
        "--description": r"'two\nlines' has a character that is not shown, U+000A",
        "--citation": r"'zero\u200bwidth' has a character that is not shown, "
        "U+200B ZERO WIDTH SPACE",
        "--citation-url": "'ftp://a.org' is not a URL of http or https",
        "--source-url": "a ready file has a URL only together with its text",
    }


def test_wrong_texts_of_the_data_are_named_with_the_option_that_helps() -> None:
    record = {"id": "a b", "name": 5, "citation": {"text": "x", "url": "nowhere"}, "source": "me"}
    catalog = surveyed(described(record))
    assert told(catalog) == {
        "uns/cellucid/name": "5 is a int, not text",
        "uns/cellucid/id": "'a b' is not a usable id",
        "uns/cellucid/citation/url": "'nowhere' is not a URL of http or https",
    }
    assert catalog.problems[0].fix == "give another with --dataset-name"
    catalog = surveyed(described(record), dataset_id="a", dataset_name="b", citation_url="")
    assert not catalog.problems


def test_a_record_that_is_none() -> None:
    assert told(surveyed(described("text"))) == {"uns/cellucid": "is a str, not a dict"}


def test_a_record_in_a_file_that_is_none(tmp_path: Path) -> None:
    path = save(described(np.arange(3)), tmp_path / "a.zarr")
    (what,) = told(surveyed(path)).values()
    assert what == "is an array, not a dict"


@pytest.mark.parametrize(
    ("key", "where", "what"),
    [
        ("X_tsne", "--embedding 2d", "there is no obsm key 'X_tsne'"),
        ("X_one", "obsm/X_one", "has shape (60, 1), not (60, 2)"),
        ("velocity_umap_2d", "obsm/velocity_umap_2d", "is a vector field, not an embedding"),
    ],
)
def test_an_embedding_that_cannot_be_shown(key: str, where: str, what: str) -> None:
    adata = described(X_one=np.ones((60, 1), "f4"))
    assert told(surveyed(adata, embeddings={2: key})) == {where: what}


@given(st.text(st.characters(codec="utf-8")))
def test_names_and_ids_are_made_of_any_name(name: str) -> None:
    assert not id_fault(make_id(name))
    assert not text_fault(make_name(name))


@pytest.mark.parametrize("name", ["nul", "COM1.x", "-a", "x" * 300, "a.", "...", "b" * 179 + ".c"])
def test_ids_are_made_of_awkward_names(name: str) -> None:
    assert not id_fault(make_id(name))
