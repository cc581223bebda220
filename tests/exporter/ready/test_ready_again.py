"""Exports of ready files: they hold what an export of the first data holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_inputs import rich
from oracle import CREATED, file_bytes, silent

from cellucid_dask import check, export

HOW: dict[str, dict[str, Any]] = {
    "zarr": {"format": "zarr"},
    "zarr 3": {"format": "zarr", "zarr_format": 3},
    "shards": {"format": "zarr", "zarr_format": 3, "shards": True},
    "zip": {"format": "zarr.zip"},
    "h5ad": {"format": "h5ad"},
}
OPTIONS: dict[str, Any] = {
    "dataset_name": "An atlas",
    "description": "Of tests.",
    "citation": "A et al.",
    "source_name": "Lab",
    "source_url": "https://lab.org",
    "embeddings": {2: "X_tsne"},
    "latent_key": "X_tsne",
    "centroid_min_points": 30,
}


@pytest.fixture(scope="module", params=["csr", "csc", "dense"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an AnnData, and with ready files of it."""
    root = tmp_path_factory.mktemp("made")
    silent(rich(request.param).write_h5ad, root / "first.h5ad")
    for kind, how in HOW.items():
        out = root / kind / f"a.{how['format']}"
        export(root / "first.h5ad", out, quiet=True, workers=1, **OPTIONS, **how)
    return root


def ready(made: Path, kind: str) -> Path:
    """The ready file of a kind."""
    return made / kind / f"a.{HOW[kind]['format']}"


@pytest.mark.parametrize("bits", [8, None])
@pytest.mark.parametrize("kind", HOW)
def test_a_folder_of_a_ready_file_has_the_bytes_of_one_of_the_data(
    tmp_path: Path, made: Path, kind: str, bits: int | None
) -> None:
    how = {"var_quantization": bits, "obs_quantization": bits, "created_at": CREATED}
    how |= {"quiet": True, "workers": 1}
    export(made / "first.h5ad", tmp_path / "direct", **OPTIONS, **how)
    result = export(ready(made, kind), tmp_path / "again", verify=True, **how)
    assert result.verified is not None
    assert result.verified["ok"]
    assert file_bytes(tmp_path / "again") == file_bytes(tmp_path / "direct")


@pytest.mark.parametrize("target", HOW)
@pytest.mark.parametrize("kind", ["shards", "zip", "h5ad"])
def test_a_ready_file_of_a_ready_file_has_the_bytes_of_one_of_the_data(
    tmp_path: Path, made: Path, kind: str, target: str
) -> None:
    direct = ready(made, target)
    again = tmp_path / direct.name
    result = export(ready(made, kind), again, verify=True, quiet=True, workers=1, **HOW[target])
    assert result.verified is not None
    assert result.verified["ok"]
    if direct.is_dir():
        assert file_bytes(again) == file_bytes(direct)
    else:
        assert again.read_bytes() == direct.read_bytes()


def test_both_formats_of_one_run_are_named_by_the_record(tmp_path: Path, made: Path) -> None:
    source = ready(made, "h5ad")
    how: dict[str, Any] = {"quiet": True, "workers": 1, "created_at": CREATED}
    export(source, tmp_path / "alone", **how)
    export(source, tmp_path / "both", format="folder,zarr.zip", **how)
    assert file_bytes(tmp_path / "both") == file_bytes(tmp_path / "alone")
    assert (tmp_path / "both.zarr.zip").read_bytes() == ready(made, "zip").read_bytes()
    found = check(source)
    assert found.ok
    assert "embedding obsm/X_tsne as 2d" in found.discovered
