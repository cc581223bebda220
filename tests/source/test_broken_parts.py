"""Parts of an element that are not what they should be are refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from atlas import atlas, here, replace_array, save

from cellucid_dask import check


def nullable(values: Any, mask: Any, encoding: str = "nullable-integer") -> Callable[..., None]:
    """Make obs/n_counts of a file a nullable column."""

    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file["obs/n_counts"]
            column = file.create_group("obs/n_counts")
            column.attrs.update({"encoding-type": encoding, "encoding-version": "0.1.0"})
            column["values"], column["mask"] = values, mask

    return spoil


def group_at(key: str) -> Callable[..., None]:
    """Put an empty group in the place of an array."""

    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[key]
            file.create_group(key)

    return spoil


def array_at(key: str, values: Any) -> Callable[..., None]:
    """Put other values in the place of an array, or an array in that of a group."""
    return lambda path: replace_array(path, key, values)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "mask too short": (
        nullable(np.arange(60), np.zeros(59, bool)),
        "obs/n_counts: has values of shape (60,) and a mask of shape (59,)",
    ),
    "mask of one value": (
        nullable(np.ones(60, bool), np.zeros(1, bool), "nullable-boolean"),
        "obs/n_counts: has values of shape (60,) and a mask of shape (1,)",
    ),
    "mask of text": (
        nullable(np.arange(60), np.full(60, b"False")),
        "obs/n_counts/mask: holds |S5, not true and false",
    ),
    "values of two axes": (
        nullable(np.zeros((60, 1)), np.zeros((60, 1), bool)),
        "obs/n_counts/values: has shape (60, 1), not one axis",
    ),
    "codes of two axes": (
        array_at("obs/cell_type/codes", np.zeros((60, 1), "i1")),
        "obs/cell_type/codes: has shape (60, 1), not one axis",
    ),
    "codes that are no whole numbers": (
        array_at("obs/cell_type/codes", np.full(60, 0.5)),
        "obs/cell_type/codes: holds float64, not whole numbers",
    ),
    "codes in a group": (
        group_at("obs/cell_type/codes"),
        "obs/cell_type/codes: is a group, not an array",
    ),
    "one category without an axis": (
        array_at("obs/cell_type/categories", b"a"),
        "obs/cell_type/categories: has shape (), not one axis",
    ),
    "indptr in a group": (group_at("X/indptr"), "X/indptr: is a group, not an array"),
    "data of two axes": (array_at("X/data", np.ones((5, 1))), "have lengths [(5, 1), "),
    "indptr of text": (
        array_at("X/indptr", np.full(61, b"0")),
        "X: indices and indptr are not numbers",
    ),
    "obsp as an array": (array_at("obsp", 1), "obsp: is an array, not a group"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_all_is_told_in_words(tmp_path: Path, capfd: Any, case: str) -> None:
    spoil, told = BROKEN[case]
    path = save(atlas(), tmp_path / "atlas.h5ad")
    spoil(path)
    done = here(capfd, "export", path, "-o", tmp_path / "out", "--workers", "1")
    assert done.code == 2, done.err
    assert told in done.err
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("way", ["layers", "obsm/X_loop"])
def test_what_nobody_asks_for_refuses_nothing(tmp_path: Path, way: str) -> None:
    path = save(atlas(), tmp_path / "atlas.h5ad")
    if way == "layers":
        replace_array(path, "layers", 1)
    else:
        with h5py.File(path, "r+") as file:
            file[way] = h5py.SoftLink(f"/{way}")
    found = check(path)
    assert not found.problems
    if way != "layers":
        (warning,) = found.warnings
        assert warning.startswith("obsm/X_loop is not used: it is a link to /obsm/X_loop, which")
