"""Exports decoded and compared with those of the reference exporter: real files and encodings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from oracle import (
    CREATED,
    assert_parity,
    assert_same_bits,
    assert_same_export,
    make_counts,
    oracle_arguments,
    oracle_prepare,
    read_anndata,
    read_export,
    silent,
)

import cellucid_dask
from cellucid_dask import export

Save = Callable[..., Path]
ENCODINGS = [
    pytest.param({}, id="default"),
    pytest.param({"var_quantization": 16, "obs_quantization": 16}, id="16bit"),
    pytest.param({"var_quantization": None, "obs_quantization": None}, id="float32"),
    pytest.param({"compression": 0}, id="plain"),
    pytest.param(
        {"var_quantization": None, "obs_quantization": None, "compression": 0}, id="plain-float32"
    ),
]


@pytest.mark.parametrize("options", ENCODINGS)
@pytest.mark.parametrize(("name", "ties"), [("pbmc68k_reduced.h5ad", 8), ("cellrank_50.h5ad", 2)])
def test_real_file(
    tmp_path: Path,
    real_file: Callable[[str], Path],
    name: str,
    ties: int,
    options: dict[str, Any],
) -> None:
    path = real_file(name)
    made = assert_parity(tmp_path, path, ties=ties, **options)
    assert made.identity["stats"]["n_genes"] == silent(read_anndata, path).n_vars


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"layer": "spliced"}, lambda adata: {"gene_expression": adata.layers["spliced"]}),
        ({"raw": True}, lambda adata: {"gene_expression": adata.raw.X, "var": adata.raw.var}),
        ({"graph": "distances"}, lambda adata: {"connectivities": adata.obsp["distances"]}),
    ],
    ids=["layer", "raw", "graph"],
)
def test_real_file_with_other_matrices(
    tmp_path: Path,
    real_file: Callable[[str], Path],
    options: dict[str, Any],
    change: Callable[[AnnData], dict[str, Any]],
) -> None:
    path = real_file("cellrank_50.h5ad")
    adata = read_anndata(path)
    assert_parity(tmp_path, path, adata, change=change(adata), ties=2, **options)


@pytest.mark.parametrize("options", ENCODINGS)
def test_encoding(tmp_path: Path, atlas: AnnData, saved: Save, options: dict[str, Any]) -> None:
    assert_parity(tmp_path, saved(atlas), **options)


def test_text_of_the_identity(tmp_path: Path, atlas: AnnData) -> None:
    assert_parity(
        tmp_path,
        atlas,
        dataset_name="Łódź lung atlas (v2)",
        description="cells — of a lung",
        source_name="Consortium",
        source_url="https://example.org/a?b=1",
        citation="Someone et al.",
    )


def test_given_dataset_id(tmp_path: Path, atlas: AnnData) -> None:
    made = assert_parity(tmp_path, atlas, dataset_id="lung-2", dataset_name="Lung")
    assert (made.identity["id"], made.identity["name"]) == ("lung-2", "Lung")


def test_gzip_members_name_no_time(tmp_path: Path, atlas: AnnData) -> None:
    export(atlas, tmp_path / "out", quiet=True)
    members = list((tmp_path / "out").rglob("*.gz"))
    assert members
    for path in members:
        head = path.read_bytes()[:10]
        assert head[:4] == b"\x1f\x8b\x08\x00"  # no name, no comment
        assert head[4:8] == bytes(4)  # mtime


def test_no_graph_no_vectors_no_genes(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    ours = tmp_path / "ours" / "atlas"
    leave_out = {"connectivity": False, "vectors": False, "expression": False}
    export(saved(atlas), ours, quiet=True, created_at=CREATED, **leave_out)
    theirs = oracle_prepare(
        tmp_path / "theirs" / "atlas",
        **oracle_arguments(atlas)
        | {"connectivities": None, "vector_fields": None, "gene_expression": None},
        compression=6,
        obs_continuous_quantization=8,
        var_quantization=8,
    )
    assert_same_export(read_export(ours), theirs)


def test_a_single_cell_and_a_single_gene(tmp_path: Path) -> None:
    atlas = AnnData(
        make_counts(1, 1),
        obs=pd.DataFrame({"c": ["x"], "v": [2.0]}, index=["cell"]),
        obsm={"X_umap_2d": np.ones((1, 2)), "X_pca": np.ones((1, 3))},
    )
    assert_parity(tmp_path, atlas)


def test_source_date_epoch_fixes_the_time(
    tmp_path: Path, atlas: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    export(atlas, tmp_path / "out", quiet=True)
    identity = read_export(tmp_path / "out").identity
    assert identity["created_at"] == "1970-01-02T00:00:00Z"
    assert identity["cellucid_data_version"] == f"cellucid-dask {cellucid_dask.__version__}"


def test_readers_find_the_values_they_were_given(tmp_path: Path, atlas: AnnData) -> None:
    """Without the oracle: what is stored is the input, within one step of quantization."""
    export(atlas, tmp_path / "out", quiet=True, var_quantization=16)
    made = read_export(tmp_path / "out")
    for j, (gene, lo, hi) in enumerate(made.manifests["var_manifest.json"]["fields"]):
        step = (hi - lo) / 65534
        read = lo + made.arrays[f"var/{gene}.values.u16"] * step
        np.testing.assert_allclose(read, atlas.X[:, j].toarray().ravel(), rtol=0, atol=1.01 * step)
    group = atlas.obs["group"].cat
    assert made.categorical("group")[1] == list(group.categories)
    assert_same_bits(
        made.arrays["obs/group.codes.u8"], group.codes.to_numpy().astype(np.uint8), "codes"
    )


def test_every_stage_has_its_seconds_in_the_result(tmp_path: Path, atlas: AnnData) -> None:
    seconds = export(atlas, tmp_path / "out").seconds
    stages = {"check", "points", "obs columns", "obs manifest", "genes", "manifests", "publish"}
    assert stages <= seconds.keys()
