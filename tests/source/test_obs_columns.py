"""Obs columns of every kind, against the reference exporter on the same data in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from layouts import columns
from oracle import assert_parity, make_atlas, silent
from versions import ZARR_KINDS, write_zarr

from cellucid_dask import check, export

Save = Callable[..., Path]


@pytest.mark.parametrize("where", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("key", columns())
def test_obs_column(tmp_path: Path, saved: Save, key: str, where: str) -> None:
    atlas = make_atlas_of_columns({key: columns()[key]})
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    assert_parity(tmp_path / "16bit", data, atlas, obs_quantization=16, categorical_dtype="uint16")
    if where == "memory":  # what was read the same is written the same
        assert_parity(tmp_path / "8bit", data, atlas)


@pytest.mark.parametrize("kind", ["v2", "v3", "as anndata writes it"])
def test_all_obs_columns_in_a_zarr(tmp_path: Path, kind: str) -> None:
    """Each column for itself is read from shards; here they are of the other kinds of zarr."""
    atlas = make_atlas_of_columns(columns())
    path = tmp_path / "atlas.zarr"
    with ad.settings.override(allow_write_nullable_strings=True):
        if kind in ZARR_KINDS:
            write_zarr(atlas, path, kind)
        else:
            silent(atlas.write_zarr, path)
    assert_parity(tmp_path, path, atlas, obs_quantization=None)


def make_atlas_of_columns(table: Mapping[str, Any]) -> AnnData:
    """An atlas without genes or graph and with the given obs columns only."""
    atlas = make_atlas()
    obs = pd.DataFrame(dict(table), index=atlas.obs_names)
    obsm = {key: atlas.obsm[key] for key in ("X_pca", "X_umap_2d")}
    return AnnData(obs=obs, obsm=obsm)


@pytest.mark.parametrize(
    ("where", "dtype"),
    [
        *((where, n) for where in ("h5ad", "zarr", "memory") for n in ("Int64", "Int8", "UInt16")),
        *(("memory", n) for n in ("Float32", "Float64")),  # anndata cannot write these
    ],
)
def test_nullable_numbers(tmp_path: Path, saved: Save, where: str, dtype: str) -> None:
    """The oracle may not take pd.NA: it gets NaN."""
    values = np.arange(220.0) % 120
    values[::9] = np.nan
    atlas = make_atlas_of_columns({"n": pd.Series(values).astype(dtype).array})
    data = atlas if where == "memory" else saved(atlas, f"atlas.{where}")
    assert_parity(tmp_path, data, atlas, change={"obs": pd.DataFrame({"n": values})})


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_large_nullable_integers_are_rounded_once(tmp_path: Path, saved: Save, where: str) -> None:
    """Through float64, 2**60 + 2**36 + 1 would become an even tie."""
    values = np.full(220, 2**60 + 2**36 + 1)
    atlas = make_atlas_of_columns({"n": pd.array(values, "Int64")})
    data = atlas if where == "memory" else saved(atlas)
    change = {"obs": pd.DataFrame({"n": values})}
    assert_parity(tmp_path, data, atlas, change=change, obs_quantization=None)


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020-01-01", periods=220, freq="h").to_series().dt.floor("D"),
        pd.date_range("2020-01-01", periods=220, freq="D", tz="Europe/Paris").to_series(),
        pd.Series(pd.to_timedelta(np.arange(220) % 3, "h")),
        pd.Series([None, "b", 3, 2.5] * 55, dtype=object),
        pd.Series([None] * 220, dtype=object),
        pd.Series([np.nan, True] * 110, dtype=object),
        pd.Series(pd.arrays.SparseArray(np.arange(220.0) % 7, fill_value=0)),
        pd.Series(pd.arrays.IntervalArray.from_breaks(np.arange(221))),
        pd.Series(pd.period_range("2020-01", periods=220, freq="M")),
        pd.Series(pd.Categorical(pd.date_range("2020-01-01", periods=220, freq="D"))),
    ],
    ids=[
        "datetime",
        "time zone",
        "timedelta",
        "mixed objects",
        "no objects",
        "bool objects",
        "sparse",
        "interval",
        "period",
        "dates as categories",
    ],
)
def test_obs_column_that_only_memory_holds(tmp_path: Path, column: pd.Series) -> None:
    atlas = make_atlas_of_columns(
        {"column": column.to_numpy() if column.dtype == object else column.array}
    )
    assert_parity(tmp_path, atlas)


def test_column_names_that_are_no_text(tmp_path: Path, atlas: AnnData) -> None:
    atlas.obs["n"] = 1.5
    frame = atlas.obs.rename(columns={"n": 7})
    change = {"obs": frame.rename(columns=str)}
    atlas = make_atlas_of_columns({})
    atlas._obs = frame
    assert_parity(tmp_path, atlas, change=change)


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_columns_with_slashes_in_their_names(tmp_path: Path, saved: Save, where: str) -> None:
    """In HDF5 they are groups within groups; zarr refuses them."""
    table = {"age/days": np.arange(220.0), "cell/type": pd.Categorical(["a/b", "c"] * 110)}
    atlas = make_atlas_of_columns(table)
    with ad.settings.override(disallow_forward_slash_in_h5ad=False):  # as releases before 0.13
        data = atlas if where == "memory" else saved(atlas)
    assert_parity(tmp_path, data, atlas)


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_sixty_thousand_categories(tmp_path: Path, saved: Save, where: str) -> None:
    n = 70_000
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 60_000, n)
    codes[:9_000] %= 5
    atlas = AnnData(
        obs=pd.DataFrame(
            {"barcode": pd.Categorical.from_codes(codes, [f"b{i}" for i in range(60_000)])},
            index=np.arange(n).astype(str),
        ),
        obsm={"X_umap_2d": rng.normal(size=(n, 2)), "X_pca": rng.normal(size=(n, 3))},
    )
    data = atlas if where == "memory" else saved(atlas)
    made = assert_categories_by_hand(tmp_path, data, codes)
    kept = [c["category"] for c in made]
    assert kept == [f"b{i}" for i in range(5)]


def assert_categories_by_hand(tmp_path: Path, data: Any, codes: np.ndarray) -> list[Any]:
    """The oracle walks through all cells for each category, which would take minutes."""
    from oracle import read_export

    export(data, tmp_path / "out", quiet=True, workers=1)
    made = read_export(tmp_path / "out")
    np.testing.assert_array_equal(made.arrays["obs/barcode.codes.u16"], codes)
    outliers = made.arrays["obs/barcode.outliers.u8"]
    np.testing.assert_array_equal(outliers == 255, codes >= 5)
    return made.categorical("barcode")[4]["2"]


def test_a_column_that_is_named_but_absent(atlas: AnnData, saved: Save) -> None:
    """The file says that obs has the column, and does not hold it: a problem, no crash."""
    path = saved(atlas)
    with h5py.File(path, "r+") as file:
        del file["obs/score"]
    assert ["score" in str(problem) for problem in check(path).problems] == [True]
    assert check(path, obs_keys=["group"]).ok
