"""Names of cells and genes in ready files: found to repeat, made unique, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.utils import make_index_unique
from atlas import save
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import silent
from ready_tables import read, store, survey

from cellucid_dask.exporter.checks.ready import row_names
from cellucid_dask.exporter.checks.ready.row_names import find_repeats, read_names
from cellucid_dask.source.arrays.columns import SeriesColumn
from cellucid_dask.source.arrays.typed_column import STEP, TypedColumn
from cellucid_dask.source.inputs.in_memory import wrap_anndata
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source


def column(names: Any) -> TypedColumn:
    return SeriesColumn(pd.Series(names, dtype=object)).typed()


def unique(names: list[str]) -> list[str]:
    """As anndata makes them unique."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(make_index_unique(pd.Index(names, dtype=object)))


def renamed(names: list[str]) -> list[str]:
    typed = column(names)
    repeats = find_repeats(typed)
    found = read_names(typed, 0, typed.length)
    if repeats is None:
        return list(found)
    half = len(names) // 2
    return [*repeats.rename(0, found[:half]), *repeats.rename(half, found[half:])]


def cells(names: list[Any], genes: list[str] | None = None) -> Source:
    genes = genes or ["G1"]
    adata = silent(
        ad.AnnData,
        np.ones((len(names), len(genes)), "f4"),
        obs=pd.DataFrame(index=pd.Index(names)),
        var=pd.DataFrame({"id": [f"id{i}" for i in range(len(genes))]}, index=genes),
    )
    return wrap_anndata(adata)


NAMES = st.builds(
    "".join,
    st.lists(st.sampled_from(["a", "b", "-", "-1", "-2", "1", "0"]), min_size=1, max_size=4),
)


@settings(max_examples=400)
@given(st.lists(NAMES, min_size=1, max_size=14))
def test_names_are_made_unique_as_anndata_does(names: list[str]) -> None:
    assert renamed(names) == unique(names)
    assert (find_repeats(column(names)) is None) == (len(set(names)) == len(names))


def test_names_repeat_across_pieces() -> None:
    """The first and the last of more names than are read at a time."""
    names = [f"c{i}" for i in range(STEP + 5)]
    assert find_repeats(column(names)) is None
    names[-1] = "c0"
    repeats = find_repeats(column(names))
    assert repeats is not None
    assert list(np.flatnonzero(repeats.ordinals)) == [STEP + 4]


def test_two_names_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of 8 bytes is not believed."""
    exact = row_names._hash

    def short(names: Any, number: int = 1) -> Any:
        found = exact(names, number)
        return found % np.uint64(3) if number == 1 else found

    monkeypatch.setattr(row_names, "_hash", short)
    names = [f"c{i}" for i in range(50)]
    assert find_repeats(column(names)) is None
    assert renamed([*names, "c7", "c9", "c7", "c7-1"]) == unique([*names, "c7", "c9", "c7", "c7-1"])


def test_cells_are_renamed_only_when_asked(tmp_path: Path) -> None:
    names = ["a", "b", "a", "a-1", "a"]
    refused = survey(cells(names))
    assert [str(problem) for problem in refused.problems] == [
        "obs index: 2 cells have the name of another, such as 'a'\n    use --rename-duplicates"
    ]
    catalog = survey(cells(names), rename_duplicates=True)
    assert catalog.warnings == [
        "obs index: 2 cells have the name of another, such as 'a'; -1, -2, ... is appended"
    ]
    assert catalog.rename_cells
    found = read(store(cells(names), tmp_path, rename_duplicates=True))
    assert list(found.obs_names) == ["a", "b", "a-2", "a-1", "a-3"]


def test_all_genes_are_renamed_before_some_are_chosen() -> None:
    source = cells(["c"], ["A", "B", "A", "A-1"])
    with_id = {"gene_id_column": "id", "genes": ("id2", "id0")}
    found = survey(source, rename_duplicates=True, **with_id)
    assert (found.gene_names, found.problems) == (["A-2", "A"], [])
    assert "var index: 1 gene has the name of another, such as 'A'" in found.warnings[-1]
    refused = survey(source, **with_id)
    assert [(p.where, p.fix) for p in refused.problems] == [
        ("var index", "use --rename-duplicates")
    ]
    one = survey(source, gene_id_column="id", genes=("id2", "id1"))
    assert (one.gene_names, one.problems) == (["A", "B"], [])


def test_repeated_genes_are_told_once() -> None:
    source = cells(["c"], ["A", "B", "A"])
    assert len(survey(source).problems) == 1
    found = survey(source, rename_duplicates=True)
    assert (found.gene_names, len(found.warnings)) == (["A", "B", "A-1"], 1)


@pytest.mark.parametrize("index", [[3, 1, 2], [0.5, 1.0, 2.0]])
def test_numbers_become_names_as_anndata_makes_them(index: list[Any], tmp_path: Path) -> None:
    path = save(ad.AnnData(obs=pd.DataFrame(index=list("abc"))), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        name = file["obs"].attrs["_index"]
        del file[f"obs/{name}"]
        ad.io.write_elem(file["obs"], name, np.array(index))
    expected = list(silent(ad.read_h5ad, path).obs_names)
    assert list(read(store(open_source(path), tmp_path)).obs_names) == expected


@pytest.mark.parametrize("names", [["a", "", "b", ""], ["a", None, "b", np.nan]])
def test_each_row_needs_a_name(names: list[Any]) -> None:
    index = SeriesColumn(pd.Series(names, dtype=object))
    source = cells(list("abcd"))
    object.__setattr__(source.obs, "index", index)
    assert [str(problem) for problem in survey(source).problems] == [
        "obs index: has no text in 2 of 4 rows, the first of which is 1\n    give each row a name"
    ]
