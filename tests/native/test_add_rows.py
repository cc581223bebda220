"""Sums by category in C against scipy: the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.means import add_cells, sum_by_category
from cellucid_dask.exporter.stages.obs.spaces import Space
from cellucid_dask.files import write_arrays
from cellucid_dask.format import U8, U16, Code
from cellucid_dask.native import library
from cellucid_dask.native.calls import NativeError
from cellucid_dask.source.arrays.row_array import RowArray

pytestmark = pytest.mark.skipif(library.load() is None, reason="the native library is not compiled")

RNG = np.random.default_rng(0)


def coded(path: Path, n_categories: int, code: Code, n_cells: int) -> CodedColumn:
    codes = RNG.integers(0, n_categories + 1, n_cells)
    codes[codes == n_categories] = code.missing
    write_arrays(path, [codes.astype(code.dtype)])
    return CodedColumn(path.name, n_categories, code, str(path))


@given(
    st.integers(0, 50), st.integers(1, 9), st.integers(1, 70), st.sampled_from([U8, U16]), st.data()
)
def test_rows_are_added_in_the_order_of_the_cells(
    n_cells: int, n_categories: int, width: int, code: Code, data: st.DataObject
) -> None:
    kinds = st.one_of(st.integers(0, n_categories - 1), st.just(code.missing))
    drawn = data.draw(st.lists(kinds, min_size=n_cells, max_size=n_cells))
    codes, rows = np.array(drawn, code.dtype), RNG.normal(size=(n_cells, width)) * 1e9
    sums = RNG.normal(size=(n_categories, width))
    expected = sums.copy()
    for kind, row in zip(codes, rows, strict=True):
        if kind != code.missing:
            expected[kind] += row
    add_cells(CodedColumn("", n_categories, code, ""), codes, rows, sums)
    np.testing.assert_array_equal(sums, expected)


def test_both_ways_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of cells that come in several pieces and blocks, with columns of both types of codes."""
    n, width = 300_000, 5
    kinds = ((3, U8), (900, U16))
    columns = [coded(tmp_path / code.ext, k, code, n) for k, code in kinds]
    space = Space("latent", width, RowArray.of(RNG.normal(size=(n, width)).astype(np.float32)))
    found: list[Any] = []
    for switch in ("1", "0"):
        monkeypatch.setenv(library.SWITCH, switch)
        out = tmp_path / f"sums-{switch}"
        assert sum_by_category(columns, [space], (100, n), str(out)) == 0
        found.append(out.read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("code", [U8, U16])
def test_a_code_without_category_is_refused(code: Code) -> None:
    codes = np.array([0, 2, 1], code.dtype)
    sums = np.zeros((2, 3))
    with pytest.raises(NativeError, match="outside"):
        add_cells(CodedColumn("", 2, code, ""), codes, np.ones((3, 3)), sums)
    np.testing.assert_array_equal(sums, [[1, 1, 1], [0, 0, 0]])
