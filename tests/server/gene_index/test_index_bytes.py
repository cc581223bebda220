"""The files of a gene index: the same with and without the library, and read by zarr as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from atlas import tree
from gene_index_data import (
    DTYPES,
    Entries,
    assert_genes,
    build_complete_index,
    list_blocks,
    make_dask_matrix,
    make_messy_entries,
    open_x,
    save_h5,
)

from cellucid_dask.native.library import SWITCH, load
from cellucid_dask.server.gene_index import block_files
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.source.arrays.matrix import Matrix

needs_library = pytest.mark.skipif(load() is None, reason="there is no native library here")


def build_both(
    matrix: Matrix, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str], dict[str, str]]:
    """The files of an index built with the library, and without it."""
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 1000)
    trees = []
    for switch in ("1", "0"):
        monkeypatch.setenv(SWITCH, switch)
        assert (load() is None) == (switch == "0")
        build_complete_index(matrix, folder / switch / "index")
        trees.append(tree(folder / switch / "index"))
    assert len(trees[0]) > 20
    return trees[0], trees[1]


@needs_library
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bytes_with_and_without_the_library(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = open_x(save_h5(make_messy_entries(dtype), tmp_path / "a.h5ad"))
    native, plain = build_both(matrix, tmp_path, monkeypatch)
    assert native == plain


@needs_library
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_same_bytes_of_dask_arrays(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native, plain = build_both(make_dask_matrix(kind)[0], tmp_path, monkeypatch)
    assert native == plain


@needs_library
def test_a_matrix_of_a_user_is_left_as_it_is(tmp_path: Path) -> None:
    entries = make_messy_entries()
    matrix: Any = entries.matrix()
    before = [array.copy() for array in (matrix.data, matrix.indices, matrix.indptr)]
    build_complete_index(matrix, tmp_path / "index")
    for array, old in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        assert array.tobytes() == old.tobytes()


@pytest.mark.parametrize("chunk", [7, 1 << 15])
@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_zarr_reads_the_index(
    dtype: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_files, "CHUNK", chunk)
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 1000)
    entries = make_messy_entries(dtype)
    if dtype == "u1":
        entries.data[:] = 1  # else sums of duplicates are large
    found = build_complete_index(entries.matrix(), tmp_path / "index")
    assert_genes(found, entries)
    blocks = sorted(list_blocks(tmp_path / "index"), key=lambda path: int(path.name))
    assert len(blocks) > 3
    columns = [column for path in blocks for column in _read_by_zarr(path, entries)]
    assert len(columns) == entries.n_genes
    for column, values in enumerate(columns):
        assert values.tobytes() == entries.read_gene(column).tobytes()


def _read_by_zarr(block: Path, entries: Entries) -> list[Any]:
    group: Any = zarr.open_group(block, mode="r")
    pointers, cells, values = (group[name][:] for name in ("indptr", "indices", "data"))
    assert values.dtype == (np.uint8 if entries.data.dtype == np.uint8 else np.float32)
    vectors = np.zeros((pointers.size - 1, entries.shape[0]), np.float32)
    for vector, low, high in zip(vectors, pointers[:-1], pointers[1:], strict=True):
        vector[cells[low:high]] = values[low:high]
    return list(vectors)


def test_an_empty_gene_alone_in_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", 1)
    entries = make_messy_entries()
    assert_genes(build_complete_index(entries.matrix(), tmp_path / "index"), entries)
    assert len(list_blocks(tmp_path / "index")) == entries.n_genes
