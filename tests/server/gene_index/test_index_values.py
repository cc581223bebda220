"""Genes from the index, from a scan and from plain scipy are the same, for each type and store."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from gene_index_data import (
    DTYPES,
    Entries,
    MiB,
    assert_genes,
    build_complete_index,
    fill_csr_group,
    find_leftovers,
    make_dask_matrix,
    make_messy_entries,
    open_x,
    save_h5,
    wait_for_end,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cellucid_dask.encode import encode_gene
from cellucid_dask.server.cache_folder import index_folder
from cellucid_dask.server.gene_index import build as index_build
from cellucid_dask.server.gene_index import lookup as index
from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.storage.fingerprint import take_fingerprint


@pytest.mark.parametrize("dtype", DTYPES)
def test_genes_of_every_type_are_right(dtype: str, tmp_path: Path) -> None:
    entries = make_messy_entries(dtype)
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad"))
    assert_genes(GeneIndex(matrix, None, memory_bytes=16 * MiB, threads=2), entries)
    found = GeneIndex(matrix, tmp_path / "index", memory_bytes=16 * MiB, threads=2)
    assert_genes(found, entries, [0, 3, 5, 7])  # before it is started
    found.start()
    assert_genes(found, entries)
    assert wait_for_end(found) == "ready"
    assert_genes(found, entries)
    assert find_leftovers(tmp_path) == []


def _writers_of_stores() -> dict[str, Callable[[Path, Entries], Path]]:
    def hdf5(**options: Any) -> Callable[[Path, Entries], Path]:
        return lambda folder, entries: save_h5(entries, folder / "a.h5ad", **options)

    def group(
        zarr_format: Any, consolidated: bool = False, **options: Any
    ) -> Callable[[Path, Entries], Path]:
        def save(folder: Path, entries: Entries) -> Path:
            root = zarr.create_group(folder / "a.zarr", zarr_format=zarr_format)
            fill_csr_group(root.create_group("X"), entries, **options)
            if consolidated:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # format 3 does not have it yet
                    zarr.consolidate_metadata(folder / "a.zarr")
            return folder / "a.zarr"

        return save

    def archive(folder: Path, entries: Entries) -> Path:
        made = group(3, chunks=(256,))(folder, entries)
        with zipfile.ZipFile(folder / "a.zarr.zip", "w") as packed:
            for path in sorted(made.rglob("*")):
                packed.write(path, path.relative_to(made))
        return folder / "a.zarr.zip"

    return {
        "h5ad": hdf5(),
        "h5ad gzip": hdf5(compression="gzip", chunks=(256,)),
        "h5ad shuffle": hdf5(compression="gzip", shuffle=True, chunks=(256,)),
        "v2": group(2, chunks=(256,)),
        "v2 consolidated": group(2, consolidated=True, chunks=(256,)),
        "v3": group(3, chunks=(256,)),
        "v3 consolidated": group(3, consolidated=True, chunks=(256,)),
        "v3 sharded": group(3, chunks=(64,), shards=(512,)),
        "zip": archive,
    }


@pytest.mark.parametrize("kind", _writers_of_stores())
def test_genes_of_every_store_are_right(kind: str, tmp_path: Path) -> None:
    entries = make_messy_entries()
    matrix = open_x(_writers_of_stores()[kind](tmp_path, entries))
    assert_genes(GeneIndex(matrix, None, memory_bytes=16 * MiB, threads=2), entries, [0, 3, 5, 7])
    folder = index_folder(tmp_path / "cache", take_fingerprint(matrix.data.store.path, "X"))
    assert_genes(build_complete_index(matrix, folder), entries)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (70, 0), (3, 1)])
def test_genes_of_tiny_matrices_are_right(shape: tuple[int, int], tmp_path: Path) -> None:
    n_cells, n_genes = shape
    if n_genes:
        entries = make_messy_entries(n_cells=n_cells, n_genes=n_genes)
    else:
        none = np.zeros(0, np.float32)
        entries = Entries(none, none.astype("i4"), np.zeros(n_cells + 1, np.int64), 0)
    matrix = open_x(save_h5(entries, tmp_path / "a.h5ad"))
    assert_genes(build_complete_index(matrix, tmp_path / "index"), entries)
    assert_genes(GeneIndex(matrix, None, memory_bytes=MiB, threads=2), entries)


def test_indices_of_64_bits(tmp_path: Path) -> None:
    entries = make_messy_entries()
    entries.indices = entries.indices.astype(np.int64)
    assert_genes(
        build_complete_index(open_x(save_h5(entries, tmp_path / "a.h5ad")), tmp_path / "i"), entries
    )


def test_a_column_out_of_range_raises_index_error(tmp_path: Path) -> None:
    found = GeneIndex(make_messy_entries().matrix(), None, memory_bytes=MiB, threads=1)
    for column in (-1, 40):
        with pytest.raises(IndexError):
            found.pieces(column)


@pytest.mark.parametrize("kind", ["dense", "whole", "sparse"])
def test_genes_of_dask_arrays_are_right(kind: str, tmp_path: Path) -> None:
    matrix, dense = make_dask_matrix(kind)
    assert matrix.layout == "rows"
    kept = build_complete_index(matrix, tmp_path / "index")
    for found in (kept, GeneIndex(matrix, None, memory_bytes=MiB, threads=2)):
        for column in range(30):
            raw = encode_gene(found.pieces(column), 500, None, 0).payload
            assert raw == dense[:, column].tobytes()


@st.composite
def draw_entries(draw: st.DrawFn) -> Entries:
    """Small matrices, with values that add up to something else in another order."""
    n_cells, n_genes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from(["f4", "f8", "f2", "i2", "u1", "?"]))
    cells = [
        draw(st.lists(st.integers(0, n_genes - 1), max_size=2 * n_genes)) for _ in range(n_cells)
    ]
    values = {"f": [0.0, -0.0, 1.5, 255.0, 1e8, -1e8, 3e38, 1e-45, np.nan, np.inf]}
    pool = values.get(np.dtype(dtype).kind, [0, 1, 2, 200])
    size = sum(map(len, cells))
    with np.errstate(all="ignore"):
        data = np.array([draw(st.sampled_from(pool)) for _ in range(size)], float).astype(dtype)
    indptr = np.concatenate([[0], np.cumsum([len(genes) for genes in cells])])
    return Entries(data, np.array([*chain(*cells)], np.int32), indptr.astype(np.int64), n_genes)


@settings(max_examples=30, derandomize=True)
@given(entries=draw_entries(), share=st.integers(1, 400), block=st.integers(1, 30))
def test_index_scan_and_plain_agree(
    monkeypatch: pytest.MonkeyPatch, entries: Entries, share: int, block: int
) -> None:
    monkeypatch.setattr(index, "MIN_TASK_BYTES", share)  # a cell or a few for each chunk
    monkeypatch.setattr(index_build, "MIN_BLOCK_NNZ", block)
    monkeypatch.setattr(index_build, "MAX_BLOCK_GENES", 4)
    with tempfile.TemporaryDirectory() as folder:
        found = GeneIndex(entries.matrix(), Path(folder, "i"), memory_bytes=0, threads=2)
        assert_genes(found, entries)
        found.start()
        assert wait_for_end(found) == "ready", found.error
        assert_genes(found, entries)
