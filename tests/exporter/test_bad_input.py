"""Inputs, options and output folders that cannot be used, given to the real command.

Each is refused with one message that holds every problem and says what to do; the exit code is 2
and the disk is as it was before.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import (
    atlas,
    command,
    finished,
    here,
    leftovers,
    replace_array,
    run,
    save,
    save_large,
    script,
    spoil_hdf5,
    tree,
    unfinished,
)
from forks import can_mount, fork, forks
from scipy import sparse
from versions import ZARR_KINDS, write_zarr

from cellucid_dask import CellucidDaskError, check, export

Refuse = Callable[..., str]


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def refuse(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command that must be refused; returns its message."""

    def check(*arguments: object) -> str:
        before = finished(tmp_path)
        ended = here(capfd, *arguments)
        assert ended.code == 2, ended.err or ended.out
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err
        assert len(re.findall(r"^error:", ended.err, re.MULTILINE | re.IGNORECASE)) == 1
        assert finished(tmp_path) == before
        if unfinished(tmp_path):
            assert "the same command resumes from there" in ended.err
        return ended.err[ended.err.lower().index("error:") :]

    return check


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file with nothing wrong."""
    return save(atlas(), tmp_path / "good.h5ad")


def says(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in:\n{message}"


# ------------------------------------------------------------------------- not an AnnData


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


# ------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_truncated_hdf5(refuse: Refuse, data: Path, share: float) -> None:
    os.truncate(data, int(data.stat().st_size * share))
    says(refuse("export", data.name, "-o", "out"), "good.h5ad", "copy or write it again")


@pytest.fixture
def chunked(tmp_path: Path) -> Path:
    """A file with several compressed chunks in X, in an embedding and in the obs columns."""
    return save(atlas(30_000, 8), tmp_path / "chunked.h5ad", compression="gzip")


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
        ("X/data", lambda a: a[:-3], "lengths"),
        ("obsp/connectivities/indices", lambda a: a - 1000, "outside the matrix"),
    ],
)
def test_a_sparse_matrix_whose_parts_do_not_fit(
    refuse: Refuse, data: Path, key: str, spoil: Callable[[Any], Any], part: str
) -> None:
    with h5py.File(data) as file:
        values = file[key][:]
    replace_array(data, key, spoil(values))
    says(refuse("export", data.name, "-o", "out"), data.name, key.rpartition("/")[0], part)


def test_codes_beyond_the_categories(refuse: Refuse, data: Path) -> None:
    with h5py.File(data) as file:
        codes = file["obs/cell_type/codes"][:]
    replace_array(data, "obs/cell_type/codes", codes + 3)
    says(refuse("export", data.name, "-o", "out"), "cell_type")


# ------------------------------------------------------------------------- unknown keys

UNKNOWN = [
    (["--obs-key", "cell_typ"], ["--obs-key", "'cell_typ'", "'cell_type'"]),
    (["--gene", "Gene1O"], ["--gene", "'Gene1O'", "'Gene1'"]),
    (["--latent-key", "X_pcaa"], ["--latent-key", "'X_pcaa'", "'X_pca'"]),
    (["--embedding", "2d=X_umap2d"], ["--embedding", "'X_umap2d'", "'X_umap_2d'"]),
    (["--graph", "connectivity"], ["--graph", "'connectivity'", "'connectivities'"]),
    (["--layer", "count"], ["--layer", "'count'", "'counts'"]),
    (["--gene-id-column", "symbl"], ["--gene-id-column", "'symbl'", "'symbol'"]),
    (["--raw"], ["no raw", "--raw"]),
]


@pytest.mark.parametrize(("options", "parts"), UNKNOWN)
@pytest.mark.parametrize("what", ["export", "check"])
def test_an_unknown_key_and_the_nearest_one(
    refuse: Refuse, tmp_path: Path, what: str, options: list[str], parts: list[str]
) -> None:
    adata = atlas()
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    save(adata, tmp_path / "a.h5ad")
    to = ["-o", "out"] if what == "export" else []
    says(refuse(what, "a.h5ad", *to, *options), *parts)


def test_all_problems_are_told_at_once(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas(300, columns={"a b": 1.0, "a_b": 2.0, "many": [f"k{i}" for i in range(300)]})
    adata.obsm["X_umap_2d"][7, 1] = np.nan
    adata.var_names = [*adata.var_names[:-1], "Gene0"]
    save(adata, tmp_path / "a.h5ad")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("mine")
    options = ["--obs-key", "a b", "--obs-key", "a_b", "--obs-key", "many", "--obs-key", "manny"]
    options += ["--categorical-dtype", "uint8", "--latent-key", "pca", "--graph", "distances"]
    message = refuse("export", "a.h5ad", "-o", "out", *options)
    says(
        message,
        *("8 problems", "1 of 300 cells", "'a b', 'a_b'", "300 categories", "'manny'", "'pca'"),
        *("'Gene0'", "'distances'", "exists and is not empty"),
    )
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", message, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_bad_options_and_a_bad_input_are_told_together(refuse: Refuse, data: Path) -> None:
    """One message holds the problems of options, of input and of the output folder."""
    (data.parent / "file").touch()
    message = refuse(
        *("export", data.name, "-o", "file", "--centroid-quantile", 2, "--workers", 0),
        *("--obs-key", "cell_typ"),
    )
    says(message, "--centroid-quantile", "--workers", "'cell_typ'", "is a file")


def test_bad_options_and_a_missing_file_are_told_together(refuse: Refuse) -> None:
    message = refuse("export", "none.h5ad", "-o", "/", "--centroid-quantile", 2)
    says(message, "--centroid-quantile", "none.h5ad", "root, home or current")


# ------------------------------------------------------------------------- genes and names


def test_duplicate_gene_ids(
    refuse: Refuse, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adata = atlas()
    adata.var_names = ["A", "A", "B", "A-1", "B", *adata.var_names[5:]]
    adata.var["ensembl"] = [f"ENSG{i:03}" for i in range(adata.n_vars)]
    adata.var["chromosome"] = "1"
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "'A'", "'B'", "2 times", "ensembl", "--gene-id-column", "--rename-duplicates")
    assert "chromosome" not in message
    ended = here(capfd, "export", "a.h5ad", "-o", "renamed", "--rename-duplicates", "--quiet")
    assert ended.code == 0, ended.err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that "A-1" was there before
        adata.var_names_make_unique()
    fields = json.loads((tmp_path / "renamed" / "var_manifest.json").read_text())["fields"]
    assert [field[0] for field in fields] == list(adata.var_names)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"a b": 1.0, "a_b": 2.0, "a/b": 3.0}, ["'a b'", "'a_b'", "'a/b'"]),
        ({"Age": 1.0, "age": 2.0}, ["'Age'", "'age'"]),
        ({"été": 1.0, "t": 2.0}, ["'été'", "'t'"]),
        ({"数": 1.0, "field": 2.0}, ["'数'", "'field'"]),
    ],
)
def test_obs_columns_with_one_file_name(
    refuse: Refuse, tmp_path: Path, columns: dict[str, float], named: list[str]
) -> None:
    adata = atlas()
    for name, value in columns.items():
        adata.obs[name] = value
    adata.obs = adata.obs.rename(columns={name: name.replace("/", "|") for name in columns})
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, *(name.replace("/", "|") for name in named), "file name")


def test_every_gene_with_a_shared_file_name_is_named(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.var_names = ["HLA-A", "hla-a", "x:y", "x_y", *adata.var_names[4:]]
    save(adata, tmp_path / "a.h5ad")
    says(refuse("export", "a.h5ad", "-o", "out"), "'HLA-A'", "'hla-a'", "'x:y'", "'x_y'")


def test_a_name_too_long_for_a_file(refuse: Refuse, tmp_path: Path) -> None:
    save(atlas(columns={"long " * 60: 1.0}), tmp_path / "a.h5ad")
    says(refuse("export", "a.h5ad", "-o", "out"), "long long", "300 characters")


def test_genes_files(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "binary.txt").write_bytes(b"\x80\x81\xff\x00" * 20)
    (tmp_path / "twice.txt").write_text("Gene1\nGene2\nGene1\n")
    (tmp_path / "folder.txt").mkdir()
    base = ("export", data.name, "-o", "out", "--genes-file")
    says(refuse(*base, "none.txt"), "none.txt")
    says(
        refuse(*base, "empty.txt"),
        "empty.txt",
        "holds no gene id",
        "write one gene id on each line",
    )
    says(refuse(*base, "binary.txt"), "binary.txt", "cannot be read")
    says(refuse(*base, "twice.txt"), "'Gene1'", "twice")
    says(refuse(*base, "folder.txt"), "folder.txt")


# ------------------------------------------------------------------------- categories


@pytest.fixture(scope="module")
def many_categories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns at and just over both limits."""
    labels = np.arange(65_535)
    columns = {
        name: pd.Categorical([f"k{i}" for i in labels % n])
        for name, n in {"over": 65_535, "most": 65_534, "over8": 255, "most8": 254}.items()
    }
    folder = tmp_path_factory.mktemp("categories")
    return save(atlas(65_535, 2, columns=columns), folder / "many.h5ad")


def test_too_many_categories(
    refuse: Refuse, many_categories: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refuse("check", many_categories)
    says(message, "'over'", "65535 categories", "65534", "--obs-key most")
    assert "'most'" not in message
    others = ("--obs-key", "most", "--obs-key", "over8")
    assert here(capfd, "check", many_categories, *others).code == 0


def test_forced_uint8_over_254(
    refuse: Refuse, many_categories: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forced = ("--categorical-dtype", "uint8")
    message = refuse("check", many_categories, *forced, "--obs-key", "over8", "--obs-key", "most8")
    says(message, "'over8'", "255 categories", "254", "--categorical-dtype auto")
    assert "'most8'" not in message
    assert here(capfd, "check", many_categories, *forced, "--obs-key", "most8").code == 0


# ------------------------------------------------------------------------- shapes and values


def test_nan_and_inf_in_embeddings(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["X_umap_2d"][3:27:2, 0] = np.nan
    adata.obsm["X_umap_3d"][[5, 41], [0, 2]] = np.inf, -np.inf
    save(adata, tmp_path / "a.h5ad")
    says(
        refuse("export", "a.h5ad", "-o", "out"),
        "obsm/X_umap_2d: 12 of 60 cells have NaN or Inf (rows 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,",
        "obsm/X_umap_3d: 2 of 60 cells have NaN or Inf (rows 5, 41)",
    )


def test_a_transposed_dense_matrix(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.X = adata.X.toarray()
    save(adata, tmp_path / "a.h5ad")
    replace_array(tmp_path / "a.h5ad", "X", adata.X.T)
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "X", "(12, 60)", "(60, 12)", "transposed")


def test_a_transposed_sparse_matrix(refuse: Refuse, data: Path) -> None:
    with h5py.File(data, "r+") as file:
        matrix = sparse.csr_array(atlas().X.T)
        for part in ("data", "indices", "indptr"):
            del file[f"X/{part}"]
            file[f"X/{part}"] = getattr(matrix, part)
        file["X"].attrs["shape"] = matrix.shape
    says(refuse("export", data.name, "-o", "out"), "(12, 60)", "(60, 12)", "transposed")


def test_a_matrix_of_another_shape_is_not_called_transposed(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.X = adata.X.toarray()
    save(adata, tmp_path / "a.h5ad")
    replace_array(tmp_path / "a.h5ad", "X", adata.X[:-1])
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "(59, 12)", "(60, 12)")
    assert "transposed" not in message


def test_row_counts_that_differ_are_told_together(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["velocity_umap"] = np.ones((60, 2), "f4")
    path = save(adata, tmp_path / "a.h5ad")
    replace_array(path, "obsm/X_pca", np.ones((59, 5), "f4"))
    replace_array(path, "obsm/X_umap_3d", np.ones((3, 60), "f4"))
    replace_array(path, "obsm/velocity_umap", np.ones((61, 2), "f4"))
    replace_array(path, "obs/n_counts", np.ones(58, "f4"))
    with h5py.File(path, "r+") as file:
        graph = sparse.csr_array((60, 61), dtype="f4")
        for part in ("data", "indices", "indptr"):
            del file[f"obsp/connectivities/{part}"]
            file[f"obsp/connectivities/{part}"] = getattr(graph, part)
        file["obsp/connectivities"].attrs["shape"] = graph.shape
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "5 problems", "(59, 5)", "(3, 60)", "transposed", "(61, 2)", "58", "(60, 61)")


def test_an_empty_dataset(refuse: Refuse, tmp_path: Path) -> None:
    save(atlas()[:0].copy(), tmp_path / "none.h5ad")
    says(refuse("export", "none.h5ad", "-o", "out"), "none.h5ad", "no cells")


def test_no_embedding_lists_what_obsm_holds(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["X_tsne"] = adata.obsm["X_umap_2d"]
    del adata.obsm["X_umap_2d"], adata.obsm["X_umap_3d"]
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "no embedding", "X_tsne (60, 2)", "X_pca (60, 5)", "--embedding 2d=X_tsne")


def test_an_embedding_of_the_wrong_width(refuse: Refuse, data: Path) -> None:
    message = refuse("export", data.name, "-o", "out", "--embedding", "2d=X_umap_3d")
    says(message, "X_umap_3d", "(60, 3)", "(60, 2)")


def test_text_where_numbers_belong(refuse: Refuse, data: Path) -> None:
    replace_array(data, "X/data", np.array([b"x"] * atlas().X.nnz))
    says(refuse("export", data.name, "-o", "out"), "X", "not real numbers")


def test_a_vector_field_id_that_is_no_path(refuse: Refuse, tmp_path: Path) -> None:
    adata = atlas()
    adata.obsm["my velocity_umap"] = np.ones((60, 2), "f4")
    save(adata, tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    says(message, "'my velocity_umap'", "'my_velocity_umap'", "--no-vectors")


# ------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--centroid-quantile", "0.5"], ["--centroid-quantile", "0.5", "(0.5, 1)"]),
        (["--centroid-quantile", "1"], ["--centroid-quantile", "(0.5, 1)"]),
        (["--centroid-quantile", "nan"], ["--centroid-quantile"]),
        (["--centroid-min-points", "0"], ["--centroid-min-points"]),
        (["--compression", "10"], ["--compression"]),
        (["--var-quantization", "7"], ["--var-quantization"]),
        (["--obs-quantization", "32"], ["--obs-quantization"]),
        (["--categorical-dtype", "int8"], ["--categorical-dtype"]),
        (["--workers", "0"], ["--workers", "1 or more"]),
        (["--workers", "two"], ["--workers"]),
        (["--memory", "lots"], ["--memory", "'lots'", "8GB"]),
        (["--memory", "-3GB"], ["--memory"]),
        (["--memory", "inf"], ["--memory"]),
        (["--memory", "1e999GB"], ["--memory"]),
        (["--embedding", "X_umap"], ["--embedding", "2d=KEY"]),
        (["--embedding", "4d=X_umap"], ["--embedding", "2d=KEY"]),
        (["--embedding", "2d=X_umap_2d", "--embedding", "2d=X_pca"], ["--embedding", "2d"]),
        (["--layer", "counts", "--raw"], ["--layer", "--raw"]),
        (["--graph", "connectivities", "--no-graph"], ["--graph", "--no-graph"]),
        (["--obs-key", "n_counts", "--obs-key", "n_counts"], ["--obs-key", "twice", "'n_counts'"]),
        (["--gene", "Gene1", "--gene", "Gene1"], ["--gene", "twice", "'Gene1'"]),
        (["--created-at", "yesterday"], ["--created-at", "2026-01-31T12:00:00Z"]),
        (["--created-at", "2026-02-30T12:00:00Z"], ["--created-at"]),
        (["--dataset-id", "my id"], ["--dataset-id", "'my_id'"]),
        (["--dataset-id", ""], ["--dataset-id"]),
        (["--scratch", "nowhere"], ["--scratch", "'nowhere'"]),
        (["--scratch", "good.h5ad"], ["--scratch", "'good.h5ad'"]),
        (["--scratch", "/proc"], ["--scratch"]),
        (["--report", "."], ["--report", "folder"]),
        (["--report", "nowhere/r.json"], ["--report", "nowhere"]),
        (["--report", "/proc/r.json"], ["--report", "/proc"]),
        (["--report", "good.h5ad"], ["--report", "good.h5ad"]),
        (["--memry", "1GB"], ["--memry", "--memory"]),
    ],
)
def test_a_bad_option(refuse: Refuse, data: Path, options: list[str], parts: list[str]) -> None:
    says(refuse("export", data.name, "-o", "deep/out", *options), *parts)


def test_bad_options_are_told_together(refuse: Refuse, data: Path) -> None:
    options = ["--centroid-quantile", "2", "--workers", "0", "--memory", "x", "--report", "."]
    message = refuse("export", data.name, "-o", "out", *options, "--dataset-id", "a/b")
    says(message, "5 problems", "--centroid-quantile", "--workers", "--memory", "--report")


@pytest.mark.parametrize("epoch", ["soon", "-1", "99999999999999999999", "\N{SUPERSCRIPT TWO}"])
def test_a_bad_source_date_epoch(
    refuse: Refuse, data: Path, monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    says(refuse("export", data.name, "-o", "out"), "SOURCE_DATE_EPOCH")


# ------------------------------------------------------------------------- output folders


def test_an_output_that_is_not_empty(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".hidden").touch()
    says(refuse("export", data.name, "-o", "out"), "out", "not empty", "--force")


def _file(path: Path) -> None:
    path.write_text("mine")


def _link(path: Path) -> None:
    path.with_name("target").mkdir()
    path.symlink_to("target")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("make", "to", "part"),
    [
        (_file, "thing", "is a file"),
        (_file, "thing/out", "is a file"),
        (_file, "thing/deep/out", "is a file"),
        (_link, "thing", "symbolic link"),
        (_link, "thing/", "symbolic link"),
        (_dangling, "thing", "symbolic link"),
        (_dangling, "thing/out", "thing"),
        (Path.mkdir, ".", "current"),
        (Path.mkdir, "", "current"),
        (Path.mkdir, "thing/..", "current"),
        (Path.mkdir, "..", "current"),
        (Path.mkdir, "/", "root"),
        (Path.mkdir, "//", "root"),
    ],
)
def test_outputs_that_are_always_refused(
    refuse: Refuse,
    data: Path,
    tmp_path: Path,
    make: Callable[[Path], Any],
    to: str,
    part: str,
    force: tuple[str, ...],
) -> None:
    make(tmp_path / "thing")
    says(refuse("export", data.name, "-o", to, *force), part)


def test_home_is_refused(
    refuse: Refuse, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "elsewhere").symlink_to("user")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    says(refuse("export", data.name, "-o", "user", "--force"), "home")
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))  # where home itself is a link
    says(refuse("export", data.name, "-o", "user", "--force"), "home")


def test_a_folder_above_home_is_refused(
    refuse: Refuse, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users" / "me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "users" / "me"))
    says(refuse("export", data.name, "-o", "users", "--force"), "home")


@pytest.mark.parametrize("out", ["a.zarr", "a.zarr/out", "all"])
def test_an_output_that_is_or_holds_the_data(refuse: Refuse, tmp_path: Path, out: str) -> None:
    """The data would be moved away under the feet of the run, or get strange files in it."""
    save(atlas(), tmp_path / "a.zarr")
    (tmp_path / "all").mkdir()
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "all" / "a.zarr")
    source = "all/a.zarr" if out == "all" else "a.zarr"
    says(refuse("export", source, "-o", out, "--force"), out)


def test_a_folder_that_cannot_be_written(refuse: Refuse, data: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        says(refuse("export", data.name, "-o", "/proc/out"), "--out")
        return
    (tmp_path / "locked").mkdir(mode=0o500)
    says(refuse("export", data.name, "-o", "locked/out"), "locked", "permissions")


@pytest.mark.parametrize("length", [245, 300])
def test_an_output_name_that_is_too_long(refuse: Refuse, data: Path, length: int) -> None:
    says(refuse("export", data.name, "-o", "n" * length), "nnn")


# ------------------------------------------------------------------------- memory and disk


def test_the_memory_that_is_said_to_work_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both numbers of the message: for the workers asked for, and for one."""
    save_large(tmp_path / "a.h5ad", cells=20_000, genes=300)
    before = tree(tmp_path)
    base = ("export", tmp_path / "a.h5ad", "-o", tmp_path / "out", "--quiet")
    refused = here(capfd, *base, "--workers", 2, "--memory", "300MB")
    assert refused.code == 2, refused.err
    assert tree(tmp_path) == before
    found = re.search(
        r"use --memory (\w+), or --workers 1 with at least --memory (\w+)", refused.err
    )
    assert found, refused.err
    for workers, size in ((2, found[1]), (1, found[2])):
        how = ("--workers", workers, "--memory", size)
        ended = run(*base, *how, "--force", "--report", "report.json", cwd=tmp_path)
        assert ended.code == 0, ended.err
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["peak_memory_bytes"] <= int(size.removesuffix("MB")) * 10**6, how
        slightly_less = f"{int(size.removesuffix('MB')) - 60}MB"
        how = ("--workers", workers, "--memory", slightly_less)
        assert here(capfd, *base, *how, "--force", "--dry-run").code == 2, how


def test_hopelessly_little_memory(refuse: Refuse, data: Path) -> None:
    says(refuse("export", data.name, "-o", "deep/out", "--memory", "1kB"), "--memory", "too little")


needs_mount = pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")


def _refused_by_a_disk(size: str, *words: object, cwd: Path, before: str = "") -> str:
    """Export with a disk of `size` at ``disk``, on which nothing may be left; what is said.

    With `before`, a script that runs it first.
    """
    disk = cwd / "disk"
    disk.mkdir(exist_ok=True)
    forks().shell(f"mount -t tmpfs -o size={size} tmpfs {disk}")
    try:
        if before:
            arguments = ["export", *map(str, words)]
            ended = script(
                f"{before}; from cellucid_dask.commands.main import main; main({arguments})", cwd
            )
        else:
            ended = run("export", *words, cwd=cwd)
        assert list(forks().seen(disk).iterdir()) == []
    finally:
        forks().shell(f"umount -l {disk}")
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    return ended.err


@needs_mount
def test_too_small_a_disk_is_refused_before_any_work(chunked: Path, tmp_path: Path) -> None:
    words = (chunked.name, "--workers", 1)
    said = _refused_by_a_disk("64k", *words, "-o", "disk/out", cwd=tmp_path)
    says(said, "--out", "free", "needs", "make room")
    said = _refused_by_a_disk("64k", *words, "-o", "out", "--scratch", "disk", cwd=tmp_path)
    says(said, "--scratch", "free", "needs")
    assert not (tmp_path / "out").exists()


@needs_mount
def test_a_disk_that_fills_up_meanwhile(chunked: Path, tmp_path: Path) -> None:
    """As when others write to it: here nobody looks beforehand whether it all fits."""
    words = (chunked.name, "--workers", 1, "-o", "disk/out")
    blind = "import cellucid_dask.exporter.resources as r; r.disk_problems = lambda *_: []"
    said = _refused_by_a_disk("128m,nr_inodes=12", *words, cwd=tmp_path, before=blind)
    says(said, "error:", "No space left")


@needs_mount
def test_a_read_only_disk(chunked: Path, tmp_path: Path) -> None:
    says(_refused_by_a_disk("1m,ro", chunked.name, "-o", "disk/deep/out", cwd=tmp_path), "disk")


# ------------------------------------------------------------------------- schedulers


def test_schedulers_that_do_not_answer(
    data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A closed port and one that listens but never speaks; about ten seconds, both at once."""
    logs_of = tmp_path_factory.mktemp("logs")
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        ports = [s.getsockname()[1] for s in (silent, closed)]
        (tmp_path / "scheduler.json").write_text(
            json.dumps({"address": f"tcp://127.0.0.1:{ports[1]}"})
        )
        before = tree(tmp_path)
        addresses = [*(f"tcp://127.0.0.1:{port}" for port in ports), "scheduler.json"]
        began = time.monotonic()
        words = ("export", data.name, "-o", "deep/out", "--scheduler")
        logs = [logs_of / f"{i}.txt" for i in range(3)]
        started = [
            fork(*words, address, cwd=tmp_path, err=log)
            for address, log in zip(addresses, logs, strict=True)
        ]
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, began + 25 - time.monotonic()))
            process.kill()
    for process, log, address in zip(started, logs, addresses, strict=True):
        message = log.read_text()
        assert process.wait() == 2, message
        says(message, "--scheduler", address, "answer", "10 s")
        assert "Traceback" not in message
        assert message.count("error:") == 1, message
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x80\xff\x00", b"[]", b"{}", b'{"address": 5}', b'"tcp://x"']
)
def test_a_scheduler_file_that_is_garbage(
    refuse: Refuse, data: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "scheduler.json").write_bytes(content)
    began = time.monotonic()
    message = refuse("export", data.name, "-o", "out", "--scheduler", "scheduler.json")
    says(message, "--scheduler", "scheduler.json")
    assert time.monotonic() - began < 5, "a file is read at once"
    assert "10 s" not in message, "nothing was asked that could have answered"


@pytest.mark.parametrize(
    "address", ["nowhere.json", "localhost:8786", "http://localhost:1", "tcp://"]
)
def test_an_address_that_is_none(refuse: Refuse, data: Path, address: str) -> None:
    message = refuse("export", data.name, "-o", "out", "--scheduler", address)
    says(message, "--scheduler", address)


# ------------------------------------------------------------------------- the message


def test_debug_shows_where(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("export", data.name, "-o", "out", "--obs-key", "x"),
        ("check", "none.h5ad"),
        ("catalog", "nowhere"),
    ):
        ended = here(capfd, *arguments, "--debug")
        assert ended.code == 2
        says(ended.err, "Traceback (most recent call last)", "cellucid_dask", "error: ")
    assert leftovers(tmp_path) == []


def test_control_characters_of_a_key_do_not_reach_the_terminal(
    refuse: Refuse, tmp_path: Path
) -> None:
    save(atlas(columns={"red\x1b[31m": 1.0, "red [31m": 1.0}), tmp_path / "a.h5ad")
    message = refuse("export", "a.h5ad", "-o", "out")
    assert "\x1b" not in message


def test_the_message_is_on_stderr_and_nothing_on_stdout(data: Path, tmp_path: Path) -> None:
    ended = run("export", data.name, "-o", "out", "--obs-key", "cell_typ", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(("error:", "check:"))
    assert ended.err.count("error:") == 1


def test_python_raises_one_error_with_all_problems(data: Path) -> None:
    from cellucid_dask import CellucidDaskError, export

    with pytest.raises(CellucidDaskError) as caught:
        export(data, "out", quiet=True, obs_keys=["cell_typ"], latent_key="pca", graph="g")
    assert len(caught.value.problems) == 3
    with pytest.raises(CellucidDaskError, match=r"centroid_quantile") as caught:
        export(data, "out", centroid_quantle=0.9, workers=0)
    assert len(caught.value.problems) == 2


def test_no_python_warning_on_stderr(data: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command("check", data.name)[1:]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# ----------------------------------------------------------- what a second round of breaking found


def test_a_dask_array_whose_blocks_are_not_what_it_declares(tmp_path: Path) -> None:
    adata = atlas()
    dense = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    lying = da.from_array(dense, chunks=(20, -1)).map_blocks(
        lambda block: block[:15], dtype=dense.dtype, meta=dense[:0]
    )
    adata.X = lying
    with pytest.raises(CellucidDaskError, match="blocks"):
        export(adata, tmp_path / "never" / "made", quiet=True)
    assert not (tmp_path / "never").exists()


def test_a_report_goes_through_a_link_and_not_over_it(data: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("{}")
    link.symlink_to(target)
    assert run("export", data.name, "-o", "o", "--report", link.name, cwd=tmp_path).code == 0
    assert link.is_symlink()
    assert '"n_cells"' in target.read_text()


def test_an_obs_column_of_lists_is_named() -> None:
    adata = atlas()
    adata.obs["listed"] = [[1]] * adata.n_obs
    assert "obs['listed']" in str(check(adata).problems[0])


def test_obsm_that_nothing_asks_for_stops_nothing() -> None:
    adata = atlas()
    adata.obsm["clones"] = pd.DataFrame({"clone": ["a"] * adata.n_obs}, index=adata.obs_names)
    assert check(adata).ok
