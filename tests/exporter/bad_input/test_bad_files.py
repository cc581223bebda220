"""Files that are not an AnnData, or are damaged."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from atlas import atlas, finished, replace_array, run, spoil_hdf5, tree
from bad_inputs import Refuse, says
from versions import ZARR_KINDS, write_zarr


def test_missing_file_names_what_is_there(refuse: Refuse, data: Path) -> None:
    says(refuse("export", "god.h5ad", "-o", "out"), "god.h5ad", "no such file", "good.h5ad")
    says(refuse("check", "god.h5ad"), "god.h5ad", "good.h5ad")
    says(refuse("export", "nowhere/god.h5ad", "-o", "out"), "nowhere/god.h5ad")


def _text(path: Path) -> None:
    path.write_text("cell,gene\n1,2\n" * 99)


def _hdf5_of_something_else(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = np.arange(3)


def _hdf5_with_half_an_obs(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("obs")
        file.create_group("var")


def _zip_of_something_else(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "dear reader")


@pytest.mark.parametrize(
    ("name", "make", "parts"),
    [
        ("notes.h5ad", _text, ["neither HDF5 nor zarr", ".h5ad"]),
        ("empty.h5ad", Path.touch, ["neither HDF5 nor zarr"]),
        ("folder.h5ad", Path.mkdir, ["not a zarr group"]),
        ("other.h5", _hdf5_of_something_else, ["not an AnnData", "obs", "var", "matrix"]),
        ("half.h5ad", _hdf5_with_half_an_obs, ["obs"]),
        ("letter.zarr.zip", _zip_of_something_else, []),
        ("two.zarr", lambda p: zarr.create_array(p, data=np.ones(3), zarr_format=2), []),
        ("three.zarr", lambda p: zarr.create_array(p, data=np.ones(3), zarr_format=3), []),
        ("group.zarr", lambda p: zarr.create_group(p), ["not an AnnData", "nothing"]),
    ],
)
def test_not_an_anndata(
    refuse: Refuse, tmp_path: Path, name: str, make: Callable[[Path], Any], parts: list[str]
) -> None:
    make(tmp_path / name)
    says(refuse("export", name, "-o", "out"), name, *parts)


def test_a_path_longer_than_a_name_may_be(refuse: Refuse) -> None:
    says(refuse("export", "x" * 300 + ".h5ad", "-o", "out"), "xxx")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5ad")
    ended = run("check", "pipe.h5ad", cwd=tmp_path)
    assert ended.code == 2, ended.err


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_truncated_hdf5(refuse: Refuse, data: Path, share: float) -> None:
    os.truncate(data, int(data.stat().st_size * share))
    says(refuse("export", data.name, "-o", "out"), "good.h5ad", "copy or write it again")


@pytest.mark.parametrize("key", ["X/data", "X/indices", "obsm/X_umap_2d", "obsm/X_pca"])
def test_a_corrupt_gzip_chunk_is_named(refuse: Refuse, chunked: Path, key: str) -> None:
    rows = spoil_hdf5(chunked, key, 1)
    message = refuse("export", chunked.name, "-o", "out", "--workers", 1)
    says(message, "chunked.h5ad", key, rows, "copy or write it again")


@pytest.mark.parametrize(
    "key", ["obs/cell_type/codes", "obs/n_counts", "obsp/connectivities/indices"]
)
def test_corrupt_obs_and_graph_are_named(refuse: Refuse, chunked: Path, key: str) -> None:
    rows = spoil_hdf5(chunked, key, 0)
    message = refuse("export", chunked.name, "-o", "out", "--workers", 1)
    says(message, "chunked.h5ad", key, rows, "copy or write it again")


def test_a_corrupt_chunk_found_by_a_worker_process_is_named(chunked: Path, tmp_path: Path) -> None:
    rows = spoil_hdf5(chunked, "X/data", 2)
    before = tree(tmp_path)
    ended = run("export", chunked.name, "-o", "deep/out", "--workers", 2, cwd=tmp_path)
    assert ended.code == 2, ended.err
    says(ended.err, "X/data", rows, "copy or write it again")
    assert "Traceback" not in ended.err
    assert ended.err.count("error:") == 1, ended.err
    assert finished(tmp_path) == before


@pytest.mark.parametrize("layout", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ZARR_KINDS)
def test_a_corrupt_zarr_chunk_is_named(
    refuse: Refuse, tmp_path: Path, kind: str, layout: str
) -> None:
    adata = atlas(3000, 8)
    adata.X = adata.X if layout == "sparse" else adata.X.toarray()
    write_zarr(adata, tmp_path / "a.zarr", kind, chunks=(500, 4) if layout == "dense" else None)
    key = "X/data" if layout == "sparse" else "X"
    folder = tmp_path / "a.zarr" / key
    stored = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[-1].isdigit())
    stored[-1].write_bytes(stored[-1].read_bytes()[:7] + b"\xff" * 40)
    message = refuse("export", "a.zarr", "-o", "out", "--workers", 1)
    says(message, "a.zarr", key, "chunk", "copy or write it again")


@pytest.mark.parametrize(
    ("key", "spoil", "part"),
    [
        ("X/indptr", lambda a: a[::-1], "indptr does not rise"),
        ("X/indices", lambda a: a + 1000, "outside the matrix"),
        ("X/indices", lambda a: _with_nan(a), "outside the matrix"),
        ("X/indices", lambda a: a + 0.5 * (a == a.min()), "not a whole number"),
        ("X/data", lambda a: a[:-3], "lengths"),
        ("obsp/connectivities/indices", lambda a: a - 1000, "outside the matrix"),
        ("obsp/connectivities/indices", lambda a: _with_nan(a), "outside the matrix"),
    ],
)
def test_a_sparse_matrix_whose_parts_do_not_fit(
    refuse: Refuse, data: Path, key: str, spoil: Callable[[Any], Any], part: str
) -> None:
    with h5py.File(data) as file:
        values = file[key][:]
    replace_array(data, key, spoil(values))
    says(refuse("export", data.name, "-o", "out"), data.name, key.rpartition("/")[0], part)


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("n_strips", [1, 5])
def test_an_index_that_is_nan_is_refused_without_a_warning(
    refuse: Refuse, tmp_path: Path, layout: str, n_strips: int
) -> None:
    adata = atlas(4000 * n_strips, 40)
    adata.X = getattr(adata.X, f"to{layout}")()
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        values = file["X/indices"][:]
    replace_array(tmp_path / "a.h5ad", "X/indices", _with_nan(values))
    message = refuse("export", "a.h5ad", "-o", "out", "--workers", 1)
    says(message, "a.h5ad, X", "an index lies outside the matrix")
    assert "Warning" not in message


def _with_nan(indices: Any) -> Any:
    found = indices.astype(np.float64)
    found[found.size // 2] = np.nan
    return found


def test_codes_beyond_the_categories(refuse: Refuse, data: Path) -> None:
    with h5py.File(data) as file:
        codes = file["obs/cell_type/codes"][:]
    replace_array(data, "obs/cell_type/codes", codes + 3)
    says(refuse("export", data.name, "-o", "out"), "cell_type")
