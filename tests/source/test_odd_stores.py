"""Stores that are not as anndata writes them, and files that are none: what each of them is."""

from __future__ import annotations

import bz2
import gzip
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from atlas import atlas, here, save, tree
from serving import Client, serving
from versions import write_zarr

from cellucid_dask import check, export
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.verify import verify

FIXED = {"dataset_id": "a", "dataset_name": "a", "created_at": "2026-01-31T12:00:00Z"}


def assert_exported_as(path: Path, expected: Path, folder: Path) -> None:
    """`path` and `expected` give the same files, and both are what `verify` finds in `path`."""
    for name, data in (("found", path), ("expected", expected)):
        export(data, folder / name / "a", quiet=True, workers=1, **FIXED)
    assert tree(folder / "found") == tree(folder / "expected")
    report = verify(folder / "found" / "a", path)
    assert (report.problems, report.not_compared) == ((), ())
    assert report.genes_compared or check(expected).warnings


# --------------------------------------------------------------------------------- user blocks


@pytest.mark.parametrize(("size", "note"), [(512, b"a note of the lab"), (4096, b"PK\x03\x04")])
def test_hdf5_may_begin_with_a_user_block(tmp_path: Path, size: int, note: bytes) -> None:
    plain, path = save(atlas(), tmp_path / "plain.h5ad"), tmp_path / "a.h5ad"
    with h5py.File(plain) as source, h5py.File(path, "w", userblock_size=size) as file:
        for key in source:
            source.copy(key, file)
        file.attrs.update(source.attrs)
    with path.open("r+b") as raw:
        raw.write(note)
    assert_exported_as(path, plain, tmp_path)


# ---------------------------------------------------------------------------------- attributes


def fix_attributes(path: Path, *, scalars: bool = True) -> Path:
    """Write texts of attributes with a fixed length; as HDF5.jl, or single ones as arrays, as R."""

    def fix(_: str, element: Any) -> None:
        for name, value in dict(element.attrs).items():
            if isinstance(value, str):
                text = np.bytes_(value.encode())
                element.attrs.create(name, text if scalars else np.array([text]))
            elif isinstance(value, np.ndarray) and value.dtype.kind == "O" and value.size:
                element.attrs.create(name, np.array([text.encode() for text in value]))

    with h5py.File(path, "r+") as file:
        fix("", file)
        file.visititems(fix)
    return path


def with_everything() -> anndata.AnnData:
    adata = atlas()
    adata.obs["yes"] = pd.array([True, None] * 30, dtype="boolean")
    adata.obs["text"] = [f"t{i % 3}" for i in range(60)]
    adata.raw = adata
    table = pd.DataFrame(adata.obsm["X_umap_2d"], columns=["x", "y"], index=adata.obs_names)
    adata.obsm["X_umap_2d"] = table
    return adata


def dense() -> anndata.AnnData:
    adata = with_everything()
    adata.X = adata.X.toarray()
    return adata


def no_x() -> anndata.AnnData:
    adata = with_everything()
    adata.X = None
    return adata


@pytest.mark.parametrize("make", [with_everything, dense, no_x])
def test_attributes_of_a_fixed_length(tmp_path: Path, make: Callable[[], anndata.AnnData]) -> None:
    plain = save(make(), tmp_path / "plain.h5ad")
    path = fix_attributes(Path(shutil.copy(plain, tmp_path / "a.h5ad")))
    assert_exported_as(path, plain, tmp_path)


def test_attributes_of_one_text_in_an_array(tmp_path: Path) -> None:
    """As R writes them, which has no single values; anndata cannot read those itself."""
    plain = save(atlas(), tmp_path / "plain.h5ad")
    path = fix_attributes(Path(shutil.copy(plain, tmp_path / "a.h5ad")), scalars=False)
    for name, data in (("found", path), ("expected", plain)):
        export(data, tmp_path / name / "a", quiet=True, workers=1, **FIXED)
    assert tree(tmp_path / "found") == tree(tmp_path / "expected")


# ------------------------------------------------------------------------------------ archives


def zipped(path: Path, folder: Path, inner: str) -> Path:
    """Zip a `folder` so that it is at `inner` in the archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inner}{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize(("kind", "inner"), [("v2", "a.zarr/"), ("v3 sharded", "x/y/")])
def test_a_store_in_a_folder_of_an_archive(tmp_path: Path, kind: str, inner: str) -> None:
    plain = write_zarr(atlas(), tmp_path / "a.zarr", kind)
    path = zipped(tmp_path / "a.zarr.zip", plain, inner)
    assert_exported_as(path, plain, tmp_path)
    if kind == "v2":
        how = {"cache_dir": tmp_path / "cache", "backed": False}
        with serving(path, **how) as server, Client(server) as get:
            served = get("/_cellucid/zarr/.zgroup").body
        assert served == (plain / ".zgroup").read_bytes()


# ---------------------------------------------------------------- what is no AnnData, and is said


def spatial(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="w", zarr_format=2)
        for name in ("images", "points", "shapes", "tables"):
            root.create_group(name)
        anndata.io.write_elem(root["tables"], "cells", atlas())
    return path


def hdf5(path: Path, *keys: str) -> Path:
    with h5py.File(path, "w") as file:
        for key in keys:
            file[key] = [0]
    return path


def packed(path: Path, pack: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(pack(save(atlas(), path.with_name("plain.h5ad")).read_bytes()))
    return path


def archive_of(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return path


def folder_of(path: Path, name: str) -> Path:
    path.mkdir()
    (path / name).write_bytes(b"")
    return path


LOOM = ("matrix", "row_attrs/Gene", "col_attrs/CellID")
SAID: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "gzip": (
        lambda p: packed(p / "a.h5ad.gz", gzip.compress),
        ("is compressed with gzip", "gunzip it first"),
    ),
    "bzip2": (lambda p: packed(p / "a.h5ad.bz2", bz2.compress), ("bzip2", "bunzip2 it first")),
    "tar": (lambda p: packed(p / "a.tar.gz", gzip.compress), ("tar -xf it first",)),
    "loom": (lambda p: hdf5(p / "a.loom", *LOOM), ("is a loom file", "scanpy.read_loom")),
    "10x": (
        lambda p: hdf5(p / "a.h5", "matrix/shape", "matrix/barcodes"),
        ("is a matrix of 10x", "scanpy.read_10x_h5"),
    ),
    "10x of old": (
        lambda p: hdf5(p / "a.h5", "GRCh38/shape", "GRCh38/barcodes", "GRCh38/genes"),
        ("is a matrix of 10x", "scanpy.read_10x_h5"),
    ),
    "10x folder": (
        lambda p: folder_of(p / "filtered", "matrix.mtx.gz"),
        ("is a folder of 10x", "scanpy.read_10x_mtx"),
    ),
    "h5seurat": (
        lambda p: hdf5(p / "a.h5seurat", "assays/RNA", "cell.names", "meta.data/x"),
        ("is an h5Seurat file", "SeuratDisk::Convert"),
    ),
    "R": (lambda p: packed(p / "a.rds", gzip.compress), ("is an object of R", "anndataR")),
    "SpatialData": (
        lambda p: spatial(p / "a.zarr"),
        ("is a SpatialData", "\n    its table is /", "a.zarr/tables/cells"),
    ),
    "SpatialData in a zip": (
        lambda p: zipped(p / "a.zip", spatial(p / "a.zarr"), "a.zarr/"),
        ("is a SpatialData", "unzip it first: its table is a.zarr/tables/cells"),
    ),
    "folder above": (
        lambda p: folder_of(p / "data", "b.h5ad"),
        ("is a folder, but not a zarr group", "in that folder: b.h5ad"),
    ),
    "zipped h5ad": (
        lambda p: archive_of(p / "a.zip", "notes.txt", "in/b.h5ad"),
        ("is an archive of in/b.h5ad", "unzip it, and give in/b.h5ad"),
    ),
    "several in a zip": (
        lambda p: archive_of(p / "a.zip", "a.zarr/.zgroup", "b.zarr/.zgroup"),
        ("holds several zarr groups", "unzip it, and give one of them: a.zarr, b.zarr"),
    ),
    "nothing in a zip": (
        lambda p: archive_of(p / "a.zip", "notes.txt"),
        ("is an archive without a zarr group", ".zarr.zip"),
    ),
    "http": (lambda _: "https://a.org/b.h5ad", ("is a URL", "download it")),
    "s3": (lambda _: "s3://bucket/b.zarr", ("is a URL", "download it")),
    "gs": (lambda _: "gs://bucket/b.zarr", ("is a URL", "download it")),
    "file": (lambda _: "file:///b.h5ad", ("is a URL", "without file://")),
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_no_anndata_says_what_it_is(tmp_path: Path, what: str, capfd: Any) -> None:
    make, words = SAID[what]
    path = make(tmp_path)
    with pytest.raises(CellucidDaskError) as refused:
        check(path)
    ended = here(capfd, "export", path, "-o", tmp_path / "out")
    assert ended.code == 2
    for said in (str(refused.value), ended.err):
        assert [word for word in words if word not in said] == [], said
        assert "corrupt" not in said
    assert not (tmp_path / "out").exists()


def test_the_table_of_a_spatialdata_is_exported_by_its_path(tmp_path: Path) -> None:
    path = spatial(tmp_path / "a.zarr") / "tables" / "cells"
    assert_exported_as(path, write_zarr(atlas(), tmp_path / "plain.zarr", "v2"), tmp_path)


def test_raw_without_x_is_named(tmp_path: Path, capfd: Any) -> None:
    adata = atlas()
    adata.raw = adata
    adata.X = None
    path = save(adata, tmp_path / "a.h5ad")
    (warning,) = check(path).warnings
    assert "raw has 12 genes: use --raw" in here(capfd, "check", path).out
    assert "raw has 12 genes" in warning
    assert here(capfd, "check", path, "--raw").out.count("warning") == 1  # of the summary
    told = here(capfd, "check", path, "--gene", "Gene1")
    assert told.code == 2
    assert "use --raw" in told.err
    adata = atlas()
    adata.layers["raw counts"], adata.X = adata.layers.pop("counts"), None
    path = save(adata, tmp_path / "b.h5ad")
    (warning,) = check(path).warnings
    assert warning.endswith("; layers has 'raw counts': use layer=\"raw counts\"")
    told = here(capfd, "check", path, "--gene", "Gene1").err
    assert told.endswith("layers has 'raw counts': use --layer 'raw counts'\n")
