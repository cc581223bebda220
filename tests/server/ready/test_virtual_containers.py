"""Virtual stores of one AnnData in every container, and with the options that change what is shown.

Chunks are small, so that each array has several, and each unit makes some of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from virtual_inputs import CONTAINERS, OPTIONS, everything
from virtual_stores import assert_equals_export, export_store, opened

from cellucid_dask import export
from cellucid_dask.source.open import open_source

pytestmark = pytest.mark.usefixtures("small_chunks")


def compare(data: Any, folder: Path, **options: Any) -> None:
    """Compare the virtual store of data with their export, which must be named as they are."""
    name = open_source(data, options.get("modality")).name
    exported = export_store(data, folder / "out", name, **options)
    with opened(data, folder, **options) as store:
        assert_equals_export(store, exported)


@pytest.mark.parametrize("container", CONTAINERS)
def test_any_container(tmp_path: Path, container: str) -> None:
    data = CONTAINERS[container](everything(), tmp_path)
    modality = {"modality": "rna"} if "mu" in container else {}
    compare(data, tmp_path, **OPTIONS, **modality)


@pytest.mark.parametrize(
    "options",
    [
        {"raw": True},
        {"layer": "counts"},
        {"expression": False},
        {"genes": ["gene3", "gene1"]},
        {"connectivity": False, "vectors": False},
        {"graph": "other"},
        {"latent_key": "X_wide", "centroid_min_points": 2},
        {"obs_keys": ["score"], "embeddings": {2: "X_pca"}},
        {"gene_id_column": "symbol", "dataset_name": "Mine", "dataset_id": "mine"},
        {"description": "Some cells.", "citation": "A 2026", "citation_url": "https://a.org/b"},
    ],
    ids=lambda options: " ".join(options),
)
def test_any_option(tmp_path: Path, options: dict[str, Any]) -> None:
    data = CONTAINERS["h5ad"](everything(), tmp_path)
    if "embeddings" in options:
        options = {**options, "embeddings": {2: "X_umap"}}
    compare(data, tmp_path, **OPTIONS, **options)


@pytest.mark.parametrize("layout", ["csc", "dense"])
@pytest.mark.parametrize("container", ["h5ad", "shards"])
def test_any_layout(tmp_path: Path, layout: str, container: str) -> None:
    data = CONTAINERS[container](everything(layout), tmp_path)
    compare(data, tmp_path, **OPTIONS)


@pytest.mark.parametrize("ready", ["zarr", "zarr.zip", "h5ad"])
def test_a_ready_file_with_other_options(tmp_path: Path, ready: str) -> None:
    data = CONTAINERS["h5ad"](everything(), tmp_path)
    path = tmp_path / f"ready.{ready}"
    export(data, path, format=ready, quiet=True, workers=1, **OPTIONS)
    compare(path, tmp_path, genes=["gene2"], obs_keys=["group"])
