"""The inputs of the comparison: every layout that the package reads, and files that it refuses."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.compare_versions import stores
from benchmarks.compare_versions.atlases import CELLS, GENES, make_atlas, make_counts, make_untidy

Make = Callable[[Path], object]
DTYPES = ("float16", "float64", "int8", "int16", "int64", "uint8", "uint32", "bool")
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "dense": np.ascontiguousarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
}


def list_inputs() -> dict[str, Make]:
    """List the inputs: the file name of each, and the function that writes it to a path."""
    return {
        **_matrix_inputs(),
        **_zarr_inputs(),
        **_table_inputs(),
        **_container_inputs(),
        **_embedding_inputs(),
        **_refused_inputs(),
    }


def _matrix_inputs() -> dict[str, Make]:
    """Layouts and dtypes of the expression matrix in HDF5."""

    def write(layout: str, dtype: str, path: Path) -> None:
        _write(LAYOUTS[layout](make_counts().astype(dtype)), path)

    def write_large(layout: str, path: Path) -> None:
        _write(LAYOUTS[layout](make_counts(30_000, 120)), path)

    def write_untidy(layout: str, path: Path) -> None:
        _write(make_untidy(layout), path)

    inputs: dict[str, Make] = {}
    for layout in LAYOUTS:
        inputs[f"{layout}.h5ad"] = partial(write, layout, "float32")
        inputs[f"large-{layout}.h5ad"] = partial(write_large, layout)
        for dtype in DTYPES:
            if layout == "dense" or dtype != "float16":
                inputs[f"{layout}-{dtype}.h5ad"] = partial(write, layout, dtype)
        if layout != "dense":
            inputs[f"{layout}-untidy.h5ad"] = partial(write_untidy, layout)
    for filters in ("gzip", "lzf"):
        inputs[f"{filters}.h5ad"] = partial(_write, None, compression=filters)
    return inputs


def _write(matrix: Any, path: Path, **options: Any) -> None:
    stores.write_h5ad(make_atlas(matrix), path, **options)


def _zarr_inputs() -> dict[str, Make]:
    """Every layout of the matrix in every kind of zarr, as folders and as archives."""

    def write(layout: str, kind: str, path: Path) -> None:
        stores.write_zarr(make_atlas(LAYOUTS[layout](make_counts())), path, kind)

    inputs: dict[str, Make] = {}
    for layout in LAYOUTS:
        for kind in stores.ZARR_KINDS:
            inputs[f"{layout}-{kind}.zarr"] = partial(write, layout, kind)
        for kind in ("v2", "v3-sharded"):
            inputs[f"{layout}-{kind}.zarr.zip"] = partial(write, layout, kind)
    return inputs


def _table_inputs() -> dict[str, Make]:
    """Types of obs columns: text, bool, nullable, ordered; odd names and many categories."""
    text = np.array(["ctrl", "stim", "größer"], object)[np.arange(CELLS) % 3]
    gaps = np.arange(CELLS) % 5 == 0
    columns: dict[str, Any] = {
        "text": text,
        "flag": np.arange(CELLS) % 2 == 0,
        "nullable_int": pd.array(np.where(gaps, 0, np.arange(CELLS)), "Int64"),
        "nullable_bool": pd.array(np.arange(CELLS) % 2 == 0, "boolean"),
        "ordered": pd.Categorical(text, ordered=True),
        "numbers": pd.Categorical(np.arange(CELLS) % 4 / 2),
        "uint8": (np.arange(CELLS) % 200).astype("u1"),
        "age(days)": np.arange(CELLS, dtype="f8"),
        "all_nan": np.full(CELLS, np.nan),
    }
    columns["nullable_int"][gaps] = pd.NA
    columns["nullable_bool"][gaps] = pd.NA

    def write(path: Path, **more: Any) -> None:
        adata = make_atlas()
        for name, values in {**columns, **more}.items():
            adata.obs[name] = values
        (stores.write_zarr if path.suffix == ".zarr" else stores.write_h5ad)(adata, path)

    many = pd.Categorical.from_codes(np.arange(CELLS), [f"donor{i}" for i in range(300)])
    return {
        "columns.h5ad": write,
        "columns.zarr": write,
        "many-categories.h5ad": partial(write, many=many),
        "records.h5ad": lambda path: stores.write_records(path, make_atlas()),
        "records.zarr": lambda path: stores.write_records(path, make_atlas()),
    }


def _container_inputs() -> dict[str, Make]:
    """MuData, missing chunks, a user block, text attributes of a fixed length, no matrix."""

    def write_mudata(path: Path) -> None:
        proteins = make_atlas(genes=8)[20:].copy()
        proteins.var_names = [f"P{i}" for i in range(8)]
        del proteins.raw
        stores.write_mudata(path, {"rna": make_atlas(), "prot": proteins})

    def write_without_chunk(matrix: Any, path: Path, key: str, *index: int) -> None:
        stores.write_zarr(make_atlas(matrix), path, "v2-small-chunks")
        stores.remove_chunk(path, key, *index)

    def write_with_user_block(path: Path) -> None:
        plain = path.with_name("without-user-block")
        stores.write_h5ad(make_atlas(), plain)
        with h5py.File(plain) as source, h5py.File(path, "w", userblock_size=512) as target:
            target.attrs.update(source.attrs)
            for key in source:
                source.copy(key, target)
        plain.unlink()

    def write_without_matrix(path: Path) -> None:
        adata = make_atlas()
        del adata.raw
        adata.X = None
        stores.write_h5ad(adata, path)

    return {
        "mudata.h5mu": write_mudata,
        "mudata.zarr": write_mudata,
        "missing-x-chunk.zarr": lambda path: write_without_chunk(make_counts(), path, "X", 1, 0),
        "missing-values-chunk.zarr": lambda path: write_without_chunk(None, path, "X/data", 1),
        "missing-points-chunk.zarr": lambda path: write_without_chunk(
            None, path, "obsm/X_umap_2d", 1, 0
        ),
        "user-block.h5ad": write_with_user_block,
        "no-matrix.h5ad": write_without_matrix,
    }


def _embedding_inputs() -> dict[str, Make]:
    """Embeddings with NaN, float64 points, tables in obsm, one embedding, no graph."""

    def write(change: Callable[[Any], object], path: Path) -> None:
        adata = make_atlas()
        change(adata)
        (stores.write_zarr if path.suffix == ".zarr" else stores.write_h5ad)(adata, path)

    def add_nan(adata: Any) -> None:
        adata.obsm["X_umap_2d"][::9] = np.nan
        adata.obsm["X_umap_3d"][5, 2] = np.inf

    def use_tables(adata: Any) -> None:
        for key in ("X_umap_2d", "X_pca"):
            names = [f"axis{i}" for i in range(adata.obsm[key].shape[1])]
            adata.obsm[key] = pd.DataFrame(adata.obsm[key], adata.obs_names, names)

    def use_float64(adata: Any) -> None:
        for key in list(adata.obsm):
            adata.obsm[key] = adata.obsm[key].astype("f8") * 1.0001

    def keep_one(adata: Any) -> None:
        adata.obsm = {"X_umap": adata.obsm["X_umap_2d"]}
        adata.obsp = {}

    def add_1d(adata: Any) -> None:
        adata.obsm["X_umap_1d"] = adata.obsm["X_umap_2d"][:, :1]
        adata.obsm["T_fwd_umap"] = adata.obsm["velocity_umap_2d"]

    return {
        "nan-points.h5ad": partial(write, add_nan),
        "nan-points.zarr": partial(write, add_nan),
        "obsm-tables.h5ad": partial(write, use_tables),
        "float64-points.h5ad": partial(write, use_float64),
        "one-embedding.h5ad": partial(write, keep_one),
        "all-dimensions.h5ad": partial(write, add_1d),
    }


def _refused_inputs() -> dict[str, Make]:
    """Files that no version can export: the exit code is compared, and the message is reported."""

    def change_obs(change: Callable[[Any], object], path: Path) -> None:
        adata = make_atlas()
        change(adata)
        stores.write_h5ad(adata, path)

    def repeat_genes(adata: Any) -> None:
        adata.var_names = ["Same"] * 3 + list(adata.var_names[3:])
        del adata.raw

    def clash_columns(adata: Any) -> None:
        adata.obs["Cell_Type"] = adata.obs["cell_type"]
        adata.obs["a b"], adata.obs["a_b"] = 1.0, 2.0

    def spoil_gene(file: h5py.File) -> None:
        names = np.array([f"Gene{i}".encode() for i in range(GENES)], object)
        names[3] = "Köln".encode("latin1")
        del file["var/_index"]  # an array or a group, by the version of anndata
        ascii_text = h5py.string_dtype("ascii")
        index = file["var"].create_dataset("_index", data=names, dtype=ascii_text)
        index.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})

    def truncate(path: Path) -> None:
        stores.write_h5ad(make_atlas(), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def pack(path: Path) -> None:
        path.write_bytes(gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(100), mtime=0))

    return {
        "repeated-genes.h5ad": partial(change_obs, repeat_genes),
        "clashing-columns.h5ad": partial(change_obs, clash_columns),
        "no-embedding.h5ad": partial(change_obs, lambda adata: adata.obsm.clear()),
        "gene-not-utf8.h5ad": lambda path: stores.edit_h5ad(
            stores.write_h5ad(make_atlas(), path), spoil_gene
        ),
        "truncated.h5ad": truncate,
        "packed.h5ad.gz": pack,
        "empty.h5ad": lambda path: path.write_bytes(b""),
        "not-hdf5.h5ad": lambda path: path.write_text("gene,cell\n"),
    }
