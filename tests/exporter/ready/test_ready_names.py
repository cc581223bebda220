"""Names of columns and arrays in ready files: which are refused, and that others can be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.exporter.checks.ready.names import key_problems

REFUSED = {
    "a/b": "has the character '/'",
    "a\\b": "has the character",
    "a:b": "has the character ':'",
    "a\tb": r"has the character '\t'",
    "": "there is an empty name",
    ".": "zarr needs",
    "..": "zarr needs",
    ".zattrs": "zarr needs",
    "zarr.json": "zarr needs",
    "n ": "ends with a space or a dot",
    "n.": "ends with a space or a dot",
    "con": "device on Windows",
    "LPT9.counts": "device on Windows",
    "x" * 256: "too long for a file name (256 bytes)",
    "é" * 128: "too long for a file name (256 bytes)",
    "\ud800": "cannot be written as UTF-8",
}


@pytest.mark.parametrize("key", REFUSED, ids=ascii)
def test_a_name_that_cannot_be_used_is_refused(key: str) -> None:
    (problem,) = key_problems(["good", key], "obs columns")
    assert REFUSED[key] in problem.what
    assert (problem.where, problem.fix) == ("obs columns", "rename it")


def test_every_problem_is_told_up_to_a_number() -> None:
    assert len(key_problems(REFUSED, "obsm arrays")) == 11
    rest = key_problems(REFUSED, "obsm arrays")[-1]
    assert rest.what == f"and {len(REFUSED) - 10} more names that cannot be used"


def test_names_that_are_one_without_case_are_refused() -> None:
    (problem,) = key_problems(["Sex", "age", "sex"], "obs columns")
    assert "'Sex' and 'sex' differ in upper and lower case alone" in problem.what
    (problem,) = key_problems(["straße", "STRASSE"], "obs columns")
    assert "differ in upper and lower case" in problem.what
    (problem,) = key_problems(["sex", "sex"], "obs columns")
    assert problem.what == "'sex' is there twice"


def test_a_name_that_the_file_uses_is_refused_where_it_is_used() -> None:
    (problem,) = key_problems(["_index"], "obs columns", taken=("_index",))
    assert "is the name of the rows" in problem.what
    assert not key_problems(["_index"], "obsm arrays")


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_name_without_problem_is_a_folder(key: str) -> None:
    if not key_problems([key], "obs columns"):
        assert Path("/", key).parts == ("/", key)
        assert len(key.encode()) <= 255


@pytest.mark.parametrize("key", ["n_genes", "HLA-A 1", "percent.mt", "室", ".hidden", "console"])
def test_usual_names_are_written(key: str) -> None:
    assert not key_problems([key], "var columns")
