"""Columns that no ready file holds: all are named, each with what to do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from atlas import save
from ready_tables import survey

from cellucid_dask.errors import ReadError
from cellucid_dask.exporter.checks.ready.columns import describe_column
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.inputs.in_memory import wrap_anndata
from cellucid_dask.source.open import open_source

WHEN = pd.to_datetime(["2021-03-02", "2021-03-01", None])
TEXT = "convert it to text, with .astype(str)"
REFUSED: dict[str, tuple[Any, str, str]] = {
    "dates": (WHEN, "holds dates, which ready files do not hold", TEXT),
    "zoned": (WHEN.tz_localize("UTC"), "holds dates, which ready files do not hold", TEXT),
    "lags": (WHEN - WHEN[0], "holds durations, which", "with .dt.total_seconds()"),
    "complex": (np.array([1j, 2, 3]), "holds complex numbers", "real and imaginary parts"),
    "period": (WHEN.to_period("D"), "is of type period[D]", TEXT),
    "mixed": (np.array(["a", 1, "b"], object), "such as 1 in row 1", TEXT),
    "numbers": (np.array([1, 2, 3], object), "such as 1 in row 0", TEXT),
    "flags": (np.array([None, None, True], object), "such as True in row 2", TEXT),
    "decimals": (np.array([Decimal(1)] * 3, object), "such as Decimal('1') in row 0", TEXT),
    "bytes": (np.array([None, b"a", b"b"], object), "mixes text with other values", TEXT),
    "lists": (np.array([None, None, [1]], object), "such as [1] in row 2", TEXT),
    "infinite": (
        np.array([1, np.inf, -np.inf]),
        "holds 2 infinite values, the first in row 1",
        "NaN",
    ),
    "infinite4": (
        np.array([1, 2, np.inf], "f4"),
        "holds 1 infinite value, the first in row 2",
        "NaN",
    ),
    "nullable": (pd.array([1.0, None, np.inf], "Float32"), "holds 1 infinite value", "NaN"),
    "by_date": (pd.Categorical(WHEN), "has categories of type datetime64", "rename_categories"),
    "by_mix": (pd.Categorical(np.array(["a", 1, "a"], object)), "has categories of type", "(str)"),
    "by_range": (pd.cut(np.arange(3), 2), "has categories of type interval", "(str)"),
    "surrogate": (
        np.array(["\ud800", "a", "b"], object),
        "cannot be written as UTF-8",
        "leave it out",
    ),
}


def data(columns: dict[str, Any], **var: Any) -> ad.AnnData:
    obs = pd.DataFrame(columns, index=list("abc"))
    genes = pd.DataFrame(var, index=["G1", "G2"])
    return ad.AnnData(np.ones((3, 2), "f4"), obs=obs, var=genes)


def test_all_columns_that_cannot_be_stored_are_named() -> None:
    columns = {key: values for key, (values, _, _) in REFUSED.items()}
    catalog = survey(wrap_anndata(data({**columns, "good": [1, 2, 3]})))
    assert [column.layout.key for column in catalog.obs] == ["good"]
    assert [problem.where for problem in catalog.problems] == [f"obs['{key}']" for key in REFUSED]
    for problem, (_, what, fix) in zip(catalog.problems, REFUSED.values(), strict=True):
        assert what in problem.what
        assert fix in problem.fix
        assert problem.fix.endswith("leave it out by naming the others: --obs-key good")


def test_columns_that_are_not_asked_for_are_left_out() -> None:
    columns = {key: values for key, (values, _, _) in REFUSED.items()}
    source = wrap_anndata(data({**columns, "good": [1, 2, 3], "other": [1, 2, 3]}))
    catalog = survey(source, obs_keys=("good",))
    assert catalog.problems == []
    assert [column.layout.key for column in catalog.obs] == ["good", "other"]
    assert len(catalog.warnings) == len(REFUSED)
    assert catalog.warnings[0] == (
        "obs['dates'] is left out: it holds dates, which ready files do not hold"
    )
    asked = survey(source, obs_keys=("good", "mixed"))
    assert [problem.where for problem in asked.problems] == ["obs['mixed']"]


def test_records_of_a_file_are_refused(tmp_path: Path) -> None:
    path = save(data({"good": [1, 2, 3], "odd": [1, 2, 3]}), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["obs/odd"].attrs)
        del file["obs/odd"]
        file["obs/odd"] = np.zeros(3, [("a", "i4"), ("b", "f4")])
        file["obs/odd"].attrs.update(attributes)
    (problem,) = survey(open_source(path)).problems
    assert (problem.where, problem.what) == (
        "obs['odd']",
        "holds records, which ready files do not hold",
    )


@pytest.mark.parametrize(
    ("categories", "what"),
    [
        (np.array(["x", "y", "x"], object), "has the category 'x' twice"),
        (np.array([1.0, np.nan, 2.0]), "has a missing category"),
    ],
)
def test_categories_that_anndata_does_not_read_are_refused(
    tmp_path: Path, categories: np.ndarray, what: str
) -> None:
    odd = pd.Categorical(np.array(["x", "y", "z"], object))
    path = save(data({"good": [1, 2, 3], "odd": odd}), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["obs/odd/categories"].attrs)
        del file["obs/odd/categories"]
        file["obs/odd/categories"] = categories
        file["obs/odd/categories"].attrs.update(attributes)
    (problem,) = survey(open_source(path)).problems
    assert (problem.where, problem.what) == ("obs['odd']", what)


def test_columns_of_var_must_be_removed() -> None:
    catalog = survey(wrap_anndata(data({}, score=[1, np.inf], when=WHEN[:2])))
    assert [(p.where, p.fix.rpartition("; or ")[2]) for p in catalog.problems] == [
        ("var['score']", "remove the column"),
        ("var['when']", "remove the column"),
    ]


def test_names_of_columns_are_checked_in_both_tables() -> None:
    source = data({"a/b": [1, 2, 3], "Sex": [1, 2, 3], "sex": [1, 2, 3]}, **{"x:y": [1, 2]})
    wheres = [problem.where for problem in survey(wrap_anndata(source)).problems]
    assert wheres == ["obs columns", "obs columns", "var columns"]


def test_a_name_on_two_columns_is_refused() -> None:
    adata = data({"a": [1, 2, 3], "b": [1, 2, 3]})
    adata.obs.columns = ["a", "a"]
    problems = survey(wrap_anndata(adata)).problems
    assert [(p.where, p.what) for p in problems] == [("obs['a']", "stands on more than one column")]


def test_a_damaged_column_is_named_with_its_file(tmp_path: Path) -> None:
    path = save(data({"bad": [1, 2, 3], "good": [1, 2, 3]}), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        del file["obs/bad"]
        file["obs/bad"] = np.ones((3, 2))
    catalog = survey(open_source(path))
    assert [p.where for p in catalog.problems] == [f"{path}, obs/bad"]
    assert [column.layout.key for column in catalog.obs] == ["good"]
    assert survey(open_source(path), obs_keys=("good",)).problems == []


def test_codes_without_a_category_are_damage(tmp_path: Path) -> None:
    path = save(data({"k": pd.Categorical(["a", "b", "a"])}), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/k/codes"][1] = 7
    (column,) = survey(open_source(path)).obs
    with pytest.raises(ReadError, match="has codes from 0 to 7, but 2 categories"):
        column.column.read(0, 3)


@pytest.mark.parametrize("texts", [["a\0", "b", "c"], ["a\0", "b", "b"]])
def test_a_nul_character_is_refused_for_h5ad_alone(texts: list[str]) -> None:
    source = wrap_anndata(data({"t": texts}))
    assert survey(source).problems == []
    column = source.obs.columns["t"].typed()  # type: ignore[union-attr]
    assert ExportOptions(format="zarr,h5ad").formats == ("zarr", "h5ad")
    with pytest.raises(Exception, match="a text has a NUL character"):
        describe_column("t", column, in_hdf5=True)
