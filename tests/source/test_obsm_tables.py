"""obsm that is a DataFrame: of nullable numbers, of truth values, of what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from atlas import atlas, save
from comparing import assert_alike
from oracle import file_bytes

from cellucid_dask import check, export
from cellucid_dask.verify import verify

FIXED = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z", "dataset_name": "a"}


def of_table(folder: Path, suffix: str, missing: int = 0, **columns: Any) -> tuple[Any, Path]:
    """An AnnData whose 2D embedding and latent space are DataFrames, and its file."""
    adata = atlas()
    del adata.obsm["X_umap_2d"], adata.obsm["X_umap_3d"], adata.obsm["X_pca"]
    table = pd.DataFrame(columns, index=adata.obs_names)
    table.iloc[:missing, 0] = pd.NA
    adata.obsm["X_umap_2d"] = table
    adata.obsm["X_pca"] = table.iloc[:, ::-1]
    return adata, save(adata, folder / f"a{suffix}")


COLUMNS = {
    "integers": lambda: pd.array(np.arange(60) ** 2, "Int64"),
    "small": lambda: pd.array(np.arange(60)[::-1], "UInt8"),
    "truth": lambda: pd.array(np.arange(60) % 3 == 0, "boolean"),
    "plain": lambda: np.arange(60) % 7 == 0,
    "floats": lambda: np.linspace(0, 1, 60),
}


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("names", [("integers", "small"), ("truth", "plain"), ("floats", "truth")])
def test_nullable_numbers_and_truth_are_shown_as_in_memory(
    tmp_path: Path, suffix: str, names: tuple[str, str]
) -> None:
    adata, path = of_table(tmp_path, suffix, **{name: COLUMNS[name]() for name in names})
    export(adata, tmp_path / "memory", **FIXED)
    export(path, tmp_path / "file", **FIXED)
    assert file_bytes(tmp_path / "file") == file_bytes(tmp_path / "memory")
    report = verify(tmp_path / "file", path)
    assert (report.problems, report.not_compared) == ((), ())


def test_they_are_served_as_exported(tmp_path: Path) -> None:
    _, path = of_table(tmp_path, ".h5ad", x=COLUMNS["integers"](), y=COLUMNS["truth"]())
    assert_alike(path, tmp_path, {})


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_missing_ones_are_nan(tmp_path: Path, suffix: str) -> None:
    _, path = of_table(tmp_path, suffix, 3, x=COLUMNS["integers"](), y=COLUMNS["small"]())
    found = [str(problem) for problem in check(path).problems]
    assert any("3 of 60 cells have NaN or Inf (rows 0, 1, 2)" in problem for problem in found)


def test_text_is_named(tmp_path: Path) -> None:
    _, path = of_table(tmp_path, ".h5ad", x=COLUMNS["integers"](), site=["a", "b"] * 30)
    found = [str(problem) for problem in check(path).problems]
    assert any("has columns that are not numbers: site" in problem for problem in found)
