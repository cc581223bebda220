"""Any sparse matrix: the virtual store holds what scipy makes of it."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse
from virtual_x import opened, save_store, with_points

from cellucid_dask.ready import layout

TYPES = ("f4", "f8", "i4", "u2", "i8")
SPECIAL = (0.0, -0.0, 1.0, 2.0**24, 2.0**24 + 1, 2.0**40 + 1, 1e-50, -3.5, 16777216.5)


@st.composite
def matrices(draw: st.DrawFn) -> Any:
    """CSR or CSC with unsorted indices, duplicates, stored zeros, empty rows and columns."""
    n_cells, n_genes = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    kind = draw(st.sampled_from(["csr", "csc"]))
    n_major, n_minor = (n_cells, n_genes) if kind == "csr" else (n_genes, n_cells)
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    lengths = draw(st.lists(st.integers(0, n_minor + 2), min_size=n_major, max_size=n_major))
    n = sum(lengths)
    indices = draw(npst.arrays(np.int32, n, elements=st.integers(0, n_minor - 1)))
    values: Any = st.sampled_from(SPECIAL) | st.floats(-1e6, 1e6, width=32)
    if dtype.kind in "iu":
        top = min(np.iinfo(dtype).max, 2**40)
        values = st.integers(0, 9) | st.integers(0, int(top))
    data = np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype)
    made = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[kind](
        (n_cells, n_genes), dtype=dtype
    )
    made.data, made.indices = data, indices
    made.indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return made


def expected(matrix: Any, cells: list[int], genes: list[int]) -> Any:
    """X of ready files, entry by entry; values of one place are summed in the order of the file."""
    sums: dict[tuple[int, int], Any] = {}
    with np.errstate(all="ignore"):
        for major in range(matrix.indptr.size - 1):
            for k in range(matrix.indptr[major], matrix.indptr[major + 1]):
                place = (int(matrix.indices[k]), major)
                place = place if matrix.format == "csr" else place[::-1]
                sums[place] = sums[place] + matrix.data[k] if place in sums else matrix.data[k]
    kept = {
        place: value for place, value in sums.items() if place[0] in genes and place[1] in cells
    }
    whole = all(value.dtype.kind != "f" or value == np.floor(value) for value in kept.values())
    large = matrix.dtype in ("f8", "i4", "i8") and any(abs(v) > 2**24 for v in kept.values())
    columns = [
        [
            (i, kept[gene, cell])
            for i, cell in enumerate(cells)
            if np.float32(kept.get((gene, cell), 0))
        ]
        for gene in genes
    ]
    entries = [entry for column in columns for entry in column]
    data = np.array([value for _, value in entries], "<f8" if whole and large else "<f4")
    pointers = np.cumsum([0, *map(len, columns)])
    return data, np.array([cell for cell, _ in entries], "<i4"), pointers


@pytest.mark.parametrize("index", [True, False])
@given(matrix=matrices(), data=st.data())
@settings(max_examples=60)
def test_any_sparse_matrix(
    matrix: Any, data: st.DataObject, index: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLICED", data.draw(st.integers(1, 9)))
    n_cells, n_genes = matrix.shape
    chosen = data.draw(st.permutations(range(n_genes)))[: data.draw(st.integers(1, n_genes))]
    dropped = data.draw(st.sets(st.integers(0, n_cells - 1), max_size=n_cells - 1))
    points = np.zeros((n_cells, 2), "f4")
    points[list(dropped)] = math.nan
    cells = [cell for cell in range(n_cells) if cell not in dropped]
    options = {"genes": [f"g{i}" for i in chosen], "drop_cells_without_embedding": True}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with opened(with_points(matrix, points), folder, index=index, **options) as expression:
            store = save_store(expression, folder / "store")
        found = zarr.open_group(store, mode="r")["X"]
        for key, wanted in zip(
            ("data", "indices", "indptr"), expected(matrix, cells, chosen), strict=True
        ):
            assert np.array_equal(found[key][:], wanted), key
            assert key == "indptr" or found[key].dtype == wanted.dtype
        assert list(found.attrs["shape"]) == [len(cells), len(chosen)]
