"""What ready files hold of obs and var, from every kind of input, as anndata reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import save
from hypothesis import given, settings
from hypothesis import strategies as st
from multimodal import write_mudata
from oracle import silent
from ready_tables import N, as_stored, assert_same, read, store, survey, table

from cellucid_dask.exporter.checks.ready.columns import category_codes, n_categories
from cellucid_dask.exporter.stages.ready import tables as stage
from cellucid_dask.source.inputs.in_memory import wrap_anndata
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.select_cells import select_cells

VAR = pd.DataFrame(
    {"symbol": ["x", "y", "x"], "values": [1.0, np.nan, 3.0], "mask": [True, False, True]},
    index=["G1", "G2", "G3"],
)


def data(obs: pd.DataFrame, var: pd.DataFrame = VAR) -> ad.AnnData:
    return ad.AnnData(np.ones((len(obs), len(var)), "f4"), obs=obs, var=var)


def stored_as(kind: str, adata: ad.AnnData, folder: Path) -> Source:
    """The data in memory, or in a file of a kind; text stays text there."""
    if kind == "memory":
        return wrap_anndata(adata)
    path = folder / ("in.h5ad" if kind == "h5ad" else "in.zarr")
    if kind == "h5ad":
        silent(adata.write_h5ad, path, convert_strings_to_categoricals=False)
    else:
        root = zarr.open_group(path, mode="w", zarr_format=3 if kind == "zarr3" else 2)
        silent(ad.io.write_elem, root, "/", adata)
    return open_source(path)


KINDS = ["memory", "h5ad", "zarr2", "zarr3"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_keep_their_types(kind: str, tmp_path: Path) -> None:
    source = stored_as(kind, data(table()), tmp_path)
    found = read(store(source, tmp_path, 3 if kind == "zarr3" else 2))
    assert_same(found.obs, table())
    assert_same(found.var, VAR)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_text_makes_a_categorical(kind: str, tmp_path: Path) -> None:
    """Also where no text repeats."""
    labels = ["b", None, "a", "c"]
    obs = pd.DataFrame({"t": pd.array(labels, dtype="string")}, index=list("1234"))
    with ad.settings.override(allow_write_nullable_strings=True):
        source = stored_as(kind, data(obs), tmp_path)
    found = read(store(source, tmp_path)).obs["t"]
    assert list(found.cat.categories) == ["a", "b", "c"]
    assert list(found.cat.codes) == [1, -1, 0, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_selected_cells_keep_their_types(kind: str, tmp_path: Path) -> None:
    """Categories that no selected cell has are left out, as anndata leaves them out."""
    rows = np.flatnonzero(np.arange(N) % 3 == 1)
    source = stored_as(kind, data(table()), tmp_path)
    selected = select_cells(source, RowSelection(N, np.setdiff1d(np.arange(N), rows)))
    expected = table().iloc[rows]
    for key in expected.columns[expected.dtypes == "category"]:
        expected[key] = expected[key].cat.remove_unused_categories()
    assert_same(read(store(selected, tmp_path, expression=False)).obs, expected)


@pytest.mark.parametrize("ending", [".h5mu", ".zarr"])
def test_columns_of_a_whole_mudata_keep_their_types(ending: str, tmp_path: Path) -> None:
    """Cells of the modality are others than those of the whole, in another order."""
    rows = np.random.default_rng(1).permutation(N)[: N - 9]
    adata = data(pd.DataFrame({"own": np.arange(rows.size)}, index=table().index[rows]))
    path = write_mudata(tmp_path / f"in{ending}", {"rna": adata}, table())
    found = read(store(open_source(path, "rna"), tmp_path)).obs
    assert list(found.pop("own")) == list(range(rows.size))
    assert_same(found, table().iloc[rows])


@settings(max_examples=40)
@given(data=st.data())
def test_any_table_is_stored_as_anndata_would(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    n = data.draw(st.integers(1, 12))
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4)
    kinds: dict[str, Callable[[], Any]] = {
        "text": lambda: data.draw(st.lists(st.none() | texts, min_size=n, max_size=n)),
        "category": lambda: pd.Categorical(
            data.draw(st.lists(st.none() | texts, min_size=n, max_size=n)),
            ordered=data.draw(st.booleans()),
        ),
        "Int8": lambda: pd.array(
            data.draw(st.lists(st.none() | st.integers(-128, 127), min_size=n, max_size=n)), "Int8"
        ),
        "boolean": lambda: pd.array(
            data.draw(st.lists(st.none() | st.booleans(), min_size=n, max_size=n)), "boolean"
        ),
        "float": lambda: np.array(
            data.draw(st.lists(st.floats(allow_infinity=False), min_size=n, max_size=n))
        ),
        "float32": lambda: np.array(
            data.draw(st.lists(st.floats(allow_infinity=False, width=32), min_size=n, max_size=n)),
            "f4",
        ),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(kinds)), max_size=4))
    columns = {f"{kind}{i}": kinds[kind]() for i, kind in enumerate(chosen)}
    frame = pd.DataFrame(columns, index=[f"c{i}" for i in range(n)])
    for key in frame:
        if key.startswith("text"):
            frame[key] = pd.Series(columns[key], index=frame.index, dtype=object)
    folder = tmp_path_factory.mktemp("any")
    kind = data.draw(st.sampled_from(KINDS))
    adata = ad.AnnData(obs=frame)
    if kind != "memory":  # anndata writes no missing text
        frame = frame[
            [key for key in frame if not key.startswith("text") or frame[key].notna().all()]
        ]
        adata = ad.AnnData(obs=frame)
    source = stored_as(kind, adata, folder)
    found = read(store(source, folder, data.draw(st.sampled_from([2, 3])))).obs
    assert_same(found, frame)


@pytest.mark.parametrize("n", [126, 127, 32_766, 32_767])
def test_codes_are_as_wide_as_those_of_pandas(n: int, tmp_path: Path) -> None:
    labels = pd.Categorical([f"k{i}" for i in range(n)])
    path = save(
        data(pd.DataFrame({"k": labels}, index=[f"c{i}" for i in range(n)])), tmp_path / "a.h5ad"
    )
    for i, source in enumerate((open_source(path), wrap_anndata(ad.read_h5ad(path)))):
        codes = zarr.open(store(source, tmp_path / str(i)) / "obs/k/codes", mode="r")
        assert codes.dtype == labels.codes.dtype
        assert np.array_equal(codes[:], read(tmp_path / str(i) / "out.zarr").obs["k"].cat.codes)


def test_categories_are_those_that_the_viewer_colors_by() -> None:
    catalog = survey(wrap_anndata(data(table())))
    for column in catalog.obs:
        key = column.layout.key
        values = as_stored(table()[key])
        if isinstance(values.dtype, pd.CategoricalDtype):
            n, codes = len(values.cat.categories), values.cat.codes
        elif values.dtype == object:
            n, codes = N, pd.Series(range(N))
        elif values.dtype in (bool, "boolean"):
            n, codes = 2, values.astype("Int64").fillna(-1)
        else:
            assert n_categories(column) == 0
            continue
        assert n_categories(column) == n, key
        pieces = [category_codes(column, *rows) for rows in ((0, 7), (7, N))]
        assert np.array_equal(np.concatenate(pieces), codes), key


# ------------------------------------------------------------------------------------- genes


def test_var_has_the_chosen_genes_alone(tmp_path: Path) -> None:
    """Texts that repeat among other genes do not among these."""
    source = stored_as("h5ad", data(table()), tmp_path)
    found = read(store(source, tmp_path, genes=("G3", "G2")))
    assert_same(found.var, VAR.loc[["G3", "G2"]])
    assert as_stored(VAR.loc[["G3", "G2"]]["symbol"]).dtype == object


def test_var_is_that_of_raw(tmp_path: Path) -> None:
    adata = data(table())
    adata.raw = adata
    adata = adata[:, ["G2"]].copy()
    for kind in ("memory", "h5ad"):
        source = stored_as(kind, adata, tmp_path)
        found = read(store(source, tmp_path / kind, raw=True))
        assert_same(found.var, VAR)


def test_without_genes_var_is_empty(tmp_path: Path) -> None:
    found = read(store(wrap_anndata(data(table())), tmp_path, expression=False))
    assert found.var.shape == (0, 0)


# ------------------------------------------------------------------------------------- units


def test_names_of_many_cells_are_written_by_several_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "NAME_CHUNKS", 1)
    names = [f"c{i}" for i in range(600_000)]
    adata = ad.AnnData(obs=pd.DataFrame({"n": np.arange(600_000)}, index=names))
    source = wrap_anndata(adata)
    found = read(store(source, tmp_path)).obs
    assert list(found.index) == names
    keys = [unit.key for unit in stage.table_units(survey(source), Any)]  # type: ignore[arg-type]
    assert keys == ["obs/_index/0-1", "obs/_index/1-2", "obs/_index/2-3", "obs/n", "var"]
