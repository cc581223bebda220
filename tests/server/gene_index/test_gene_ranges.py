"""The range of each gene, for each type and layout of a matrix."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
from gene_index_data import (
    DTYPES,
    MiB,
    damage_data_chunk,
    make_dask_matrix,
    make_messy_entries,
    open_x,
    save_h5,
)
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import value_range
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.server.datasets.gene_ranges import gene_ranges
from cellucid_dask.source.arrays.matrix import Matrix, wrap_matrix


def assert_ranges(
    matrix: Matrix, genes: list[NDArray[np.float32]], memory_bytes: int = 16 * MiB
) -> None:
    """Ranges are those of the whole genes."""
    expected = [(span.lo, span.hi) for span in map(value_range, genes)]
    assert gene_ranges(matrix, memory_bytes, 2) == expected


@pytest.mark.parametrize("room", [1, 100_000, 16 * MiB])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_of_sparse_matrices(dtype: str, room: int) -> None:
    entries = make_messy_entries(dtype)
    genes = [entries.read_gene(i) for i in range(entries.n_genes)]
    assert_ranges(entries.matrix(), genes, room)
    kind = np.float32 if dtype == "f2" else entries.data.dtype.newbyteorder("=")
    parts = (entries.data.astype(kind), entries.indices, entries.indptr)
    turned = sparse.csr_array(parts, shape=entries.shape).tocsc()  # keeps duplicates
    assert_ranges(wrap_matrix(turned, "X"), genes, room)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_ranges_of_dense_matrices(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 12)) * 10
    values[:, 3], values[:, 4] = 7, 0
    if dtype.startswith("f"):
        values[5, :6], values[:, 8], values[9, 9] = np.nan, np.inf, 1e39
    with np.errstate(all="ignore"):
        dense = values.astype(dtype)
        genes = list(np.ascontiguousarray(dense.astype("f4").T))
    assert_ranges(wrap_matrix(dense, "X"), genes)
    assert_ranges(wrap_matrix(dense, "X"), genes, memory_bytes=1)
    assert_ranges(wrap_matrix(da.from_array(dense, chunks=(70, 5)), "X"), genes)
    for name, chunks in (("none", None), ("rows", (20, 12)), ("columns", (300, 2))):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("X", data=dense, chunks=chunks)
        assert_ranges(open_x(tmp_path / name), genes)
        assert_ranges(open_x(tmp_path / name), genes, memory_bytes=10_000)


def test_ranges_of_dask_arrays_of_sparse_blocks() -> None:
    matrix, dense = make_dask_matrix("sparse")
    assert_ranges(matrix, list(dense.T))


def test_ranges_of_damaged_data(tmp_path: Path) -> None:
    path = save_h5(make_messy_entries(), tmp_path / "a.h5ad", compression="gzip", chunks=(256,))
    matrix = open_x(path)
    damage_data_chunk(path)
    with pytest.raises(CellucidDaskError, match="chunk 2"):
        gene_ranges(matrix, 16 * MiB, 2)


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_ranges_can_be_stopped(layout: str) -> None:
    stopped = threading.Event()
    stopped.set()
    values = sparse.random_array((50, 20), density=0.5, format=layout)
    with pytest.raises(CancelledError):
        gene_ranges(wrap_matrix(values, "X"), MiB, 2, stopped)
