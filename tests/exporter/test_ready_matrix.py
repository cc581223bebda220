"""X of ready files: what scipy makes of the same matrix, to the bit, however the work is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ready_matrix import MatrixRun, run_matrix, with_points
from scipy import sparse

from cellucid_dask.exporter.planning import cuts, strips
from cellucid_dask.ready import layout


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiny chunks, and many strips, so that a small matrix has all that a large one has."""
    monkeypatch.setattr(layout, "SLICED", 64)
    monkeypatch.setattr(cuts, "CUT_NNZ", 700)
    monkeypatch.setattr(cuts, "CUT_LEAST_NNZ", 700)
    monkeypatch.setattr(strips, "STRIP_VALUES", 400)
    monkeypatch.setattr(strips, "ROW_VALUES", 1)
    monkeypatch.setattr(strips, "MIN_VALUES", 1)
    return


def random_matrix(n_cells: int = 130, n_genes: int = 37, seed: int = 0) -> sparse.csr_array:
    """Genes of very different counts, some without a value."""
    rng = np.random.default_rng(seed)
    chance = rng.random(n_genes) ** 4
    dense = rng.normal(size=(n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < chance)
    return sparse.csr_array(dense.astype("f4"))


def expected_csc(matrix: Any, dtype: str = "f4") -> sparse.csc_array:
    """X as ready files have it, by scipy."""
    found = sparse.csc_array(matrix)
    found.sum_duplicates()
    found = sparse.csc_array((found.data.astype(dtype), found.indices, found.indptr), found.shape)
    found.eliminate_zeros()
    found.sort_indices()
    return found


def check_csc(run: MatrixRun, expected: sparse.csc_array) -> None:
    """All three arrays are equal, to the bit."""
    found = run.read()
    assert run.written.layout.nnz == expected.nnz
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.dtype == expected.data.dtype
    assert found.data.tobytes() == expected.data.tobytes()


def test_rows_become_columns(tmp_path: Path) -> None:
    matrix = random_matrix()
    path = tmp_path / "a.h5ad"
    with_points(matrix).write_h5ad(path)
    check_csc(run_matrix(path, tmp_path / "run"), expected_csc(matrix))
