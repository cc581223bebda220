"""X of ready files: what scipy makes of the same matrix, to the bit, however the work is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas import tree
from ready_matrix import check_csc, expected_csc, random_matrix, run_matrix, save, with_points
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.exporter.planning import plan
from cellucid_dask.ready import facts, layout

pytestmark = pytest.mark.usefixtures("small_pieces")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("kind", ["h5ad", "zarr", "memory"])
def test_sparse_matrices_become_columns(tmp_path: Path, layout_of: Any, kind: str) -> None:
    matrix = layout_of(random_matrix())
    before = matrix.copy()
    check_csc(run_matrix(save(matrix, tmp_path, kind), tmp_path / "run"), expected_csc(matrix))
    assert (matrix != before).nnz == 0, "the user's matrix is changed"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array])
def test_zeros_repeats_and_order(tmp_path: Path, layout_of: Any) -> None:
    """Stored zeros, sums that are zero and values that are zero as float32 are left out."""
    rng = np.random.default_rng(3)
    n_cells, n_genes, n = 60, 9, 900
    rows, genes = rng.integers(0, n_cells, n), rng.integers(0, n_genes, n)
    values = rng.choice([0.0, -0.0, 1.0, -1.0, 0.5, 1e-60, 1e-45, 3e37], n)
    major, minor = (rows, genes) if layout_of is sparse.csr_array else (genes, rows)
    n_major = n_cells if layout_of is sparse.csr_array else n_genes
    order = np.argsort(major, kind="stable")
    pointers = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=n_major))])
    matrix = layout_of((values[order], minor[order], pointers), shape=(n_cells, n_genes))
    expected = expected_csc(matrix.copy())
    assert 0 < expected.nnz < len(set(zip(rows.tolist(), genes.tolist(), strict=True)))
    path = save(matrix, tmp_path, "h5ad")
    check_csc(run_matrix(path, tmp_path / "run"), expected)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array, np.asarray])
def test_genes_in_any_order(tmp_path: Path, layout_of: Any) -> None:
    dense = random_matrix(seed=5).toarray()
    chosen = [30, 31, 2, 36, 0, 12, 11]
    path = save(layout_of(dense), tmp_path, "h5ad")
    run = run_matrix(path, tmp_path / "run", genes=[f"g{i}" for i in chosen])
    if layout_of is np.asarray:
        np.testing.assert_array_equal(run.read(), dense[:, chosen])
    else:
        check_csc(run, expected_csc(dense[:, chosen]))


TYPES = [("i2", "f4"), ("i4", "f8"), ("u8", "f8"), ("i8", "f8"), ("f8", "f8"), ("f4", "f4")]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array, np.asarray])
@pytest.mark.parametrize(("dtype", "expected"), TYPES)
def test_large_whole_numbers_stay_exact(
    tmp_path: Path, layout_of: Any, dtype: str, expected: str
) -> None:
    """Few cells have one; the other chunks are spilled as small numbers."""
    dense = np.round(np.abs(random_matrix(seed=1).toarray()) * 9).astype(dtype)
    if dtype != "i2":
        dense[77, 5] = 2**24 + 1
        dense[78, 6] = 2**30
    path = save(layout_of(dense), tmp_path, "h5ad")
    run = run_matrix(path, tmp_path / "run")
    assert run.written.layout.dtype == f"<{expected}"
    if layout_of is np.asarray:
        np.testing.assert_array_equal(run.read(), dense.astype(expected))
    else:
        check_csc(run, expected_csc(dense, expected))
    few = run_matrix(path, tmp_path / "few", genes=["g3", "g4"])
    assert few.written.layout.dtype == "<f4", "only the genes that are written decide"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array, np.asarray])
def test_a_fraction_anywhere_keeps_float32(tmp_path: Path, layout_of: Any) -> None:
    dense = np.round(np.abs(random_matrix(seed=1).toarray()) * 9).astype("f8")
    dense[2, 5], dense[120, 30] = 2**24 + 1, 0.1
    run = run_matrix(save(layout_of(dense), tmp_path, "h5ad"), tmp_path / "run")
    assert run.written.layout.dtype == "<f4"
    found = run.read() if layout_of is np.asarray else run.read().toarray()
    assert found.tobytes() == dense.astype("f4").tobytes()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layout_of", [sparse.csr_array, sparse.csc_array, np.asarray])
@pytest.mark.parametrize(
    ("value", "told"), [(np.nan, "1 NaN"), (-np.inf, "1 infinite"), (1e39, "1 beyond float32")]
)
def test_values_that_are_not_finite_are_refused(
    tmp_path: Path, layout_of: Any, value: float, told: str
) -> None:
    dense = random_matrix(seed=2).toarray().astype("f8")
    dense[70, 13] = value
    path = save(layout_of(dense), tmp_path, "h5ad")
    with pytest.raises(InputError, match=f"{told} .*column 13") as caught:
        run_matrix(path, tmp_path / "run", genes=["g30", "g13", "g2"])
    assert "X" in str(caught.value)
    run_matrix(path, tmp_path / "other", genes=["g30", "g2"])


def test_infinite_float16_is_told_with_its_column(tmp_path: Path) -> None:
    """The largest float32 is infinite as float16."""
    dense = random_matrix(seed=2).toarray().astype("f2")
    dense[70, 13] = np.inf
    with pytest.raises(InputError, match=r": 1 infinite \(.*, column 13\)"):
        run_matrix(save(dense, tmp_path, "h5ad"), tmp_path / "run")


@pytest.mark.parametrize("kind", ["h5ad", "zarr", "memory"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "?"])
def test_a_dense_matrix_stays_dense(
    tmp_path: Path, kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "WHOLE", 60)
    dense = (random_matrix().toarray() * 3).astype(dtype)
    run = run_matrix(save(dense, tmp_path, kind), tmp_path / "run")
    assert run.read().tobytes() == dense.astype("f4").tobytes()
    monkeypatch.setattr(layout, "WHOLE", 700)
    run = run_matrix(save(dense, tmp_path, kind), tmp_path / "wide")
    assert run.read().tobytes() == dense.astype("f4").tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("whole", [60, 700])
def test_a_dense_matrix_is_read_by_rows_where_columns_are_wide(
    tmp_path: Path, dtype: str, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "WHOLE", whole)
    monkeypatch.setattr(plan, "choose_gene_access", lambda *_, **__: "transpose")
    dense = (random_matrix().toarray() * 3).astype(dtype)
    dense[:, 4] = 7
    dense[3, 2] = -0.0
    run = run_matrix(save(dense, tmp_path, "h5ad"), tmp_path / "run")
    assert run.read().tobytes() == dense.astype("f4").tobytes()
    if dtype != "f4":
        dense = np.round(dense)
        dense[9, 9] = 2**24 + 1
        run = run_matrix(save(dense, tmp_path, "h5ad"), tmp_path / "exact")
        assert run.read().tobytes() == dense.astype("f8").tobytes()


@pytest.mark.parametrize("blocks", ["dense", "sparse", "mixed"])
def test_a_dask_array(tmp_path: Path, blocks: str) -> None:
    dask_array = pytest.importorskip("dask.array")
    dense = random_matrix(n_cells=90).toarray()
    lazy = dask_array.from_array(dense, chunks=(40, -1))
    if blocks != "dense":
        meta = sparse.csr_matrix((0, 0), dtype="f4")

        def convert(block: Any) -> Any:
            is_first = block.size and block[0, 0] == dense[0, 0]
            return block if blocks == "mixed" and is_first else sparse.csr_matrix(block)

        lazy = lazy.map_blocks(convert, meta=meta, dtype="f4")
    adata = with_points(random_matrix(n_cells=90))
    adata.X = lazy
    run = run_matrix(adata, tmp_path / "run")
    if blocks == "dense":
        np.testing.assert_array_equal(run.read(), dense)
    else:
        check_csc(run, expected_csc(dense))


def test_no_gene_has_a_value(tmp_path: Path) -> None:
    for name, layout_of in (("r", sparse.csr_array), ("c", sparse.csc_array)):
        matrix = layout_of(np.zeros((20, 5), "f4"))
        run = run_matrix(save(matrix, tmp_path, "memory"), tmp_path / name)
        check_csc(run, expected_csc(matrix))
        assert run.written.layout.dtype == "<f4"


def test_many_processes_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers do not see smaller chunks: here they have their true size."""
    monkeypatch.setattr(layout, "SLICED", facts.SLICED)
    matrix = sparse.random_array((3000, 150), density=0.5, rng=np.random.default_rng(0), dtype="f4")
    path = save(matrix.tocsr(), tmp_path, "h5ad")
    runs = [run_matrix(path, tmp_path / f"run{n}", workers=n) for n in (1, 2)]
    for run in runs:
        check_csc(run, expected_csc(matrix))
    assert tree(runs[0].store) == tree(runs[1].store)
