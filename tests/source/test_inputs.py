"""Every way expression may be stored, against the reference exporter on the same data in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import h5py
import hdf5plugin
import numpy as np
import pytest
from anndata import AnnData
from layouts import laid_out, numbers, store_anew
from oracle import assert_parity, make_atlas_around
from scipy import sparse
from versions import write_zarr

Save = Callable[..., Path]
DTYPES = ["float32", "float64", *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)), "bool"]
LAYOUTS = ["csr", "csc", "dense"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_expression_dtype(tmp_path: Path, saved: Save, layout: str, dtype: str) -> None:
    atlas = make_atlas_around(laid_out(numbers(dtype, (220, 30)), layout))
    # Arrays of CSC lie in a zarr as those of CSR do.
    for name in ("atlas.h5ad", "atlas.zarr")[: 1 if layout == "csc" else 2]:
        path = saved(atlas, name)
        assert_parity(tmp_path / name[6:], path, atlas, var_quantization=None, obs_keys=[])
    assert_parity(tmp_path / "8bit", path, atlas, obs_keys=[])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    """Scipy has no float16: the oracle gets the same values as float32."""
    values = numbers("float16", atlas.shape)
    atlas.X = laid_out(values.astype(np.float32), layout)
    path = saved(atlas)
    with h5py.File(path, "r+") as file:
        key = "X" if layout == "dense" else "X/data"
        attributes, stored = dict(file[key].attrs), file[key][:].astype(np.float16)
        del file[key]
        file[key] = stored
        file[key].attrs.update(attributes)
    assert_parity(tmp_path, path, atlas, var_quantization=16)


@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "matrix"])
def test_lazy_expression_in_memory(tmp_path: Path, atlas: AnnData, kind: str) -> None:
    in_memory, x = atlas.copy(), atlas.X
    blocks = {
        "dense": lambda rows: rows.toarray(),
        "csr": sparse.csr_array,
        "csc": sparse.csc_array,
        "matrix": sparse.csr_matrix,
    }[kind]
    parts = [
        da.from_array(blocks(x[i : i + 64]), chunks=-1, asarray=False) for i in range(0, 220, 64)
    ]
    atlas.X = da.concatenate(parts)
    assert_parity(tmp_path / "all", atlas, in_memory)
    assert_parity(tmp_path / "some", atlas, in_memory, genes=["gene9", "gene4"])


FILTERS: dict[str, Any] = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "blosc": hdf5plugin.Blosc(),
    "zstd": hdf5plugin.Zstd(),
    "lz4": hdf5plugin.LZ4(),
}


def datasets_of_x(layout: str) -> list[str]:
    """The datasets of X."""
    return ["X"] if layout == "dense" else ["X/data", "X/indices", "X/indptr"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILTERS)
def test_compressed_h5ad(
    tmp_path: Path, atlas: AnnData, saved: Save, name: str, layout: str
) -> None:
    atlas.X = laid_out(atlas.X, layout)
    path = saved(atlas)
    others = ["obsm/X_pca", "obsm/X_umap_2d", "obs/score", "obs/depth", "obs/group/codes"]
    store_anew(path, *datasets_of_x(layout), *others, **FILTERS[name])
    assert_parity(tmp_path, path, atlas)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (50, 7)},
        {"chunks": (220, 1)},
        {"chunks": (1, 30), "compression": "gzip"},
        {"chunks": (64, 11), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (300, 40), "maxshape": (None, None), "compression": "gzip"},
    ],
    ids=["contiguous", "tiles", "columns", "rows", "checksums", "wider"],
)
def test_dense_h5ad_in_chunks(
    tmp_path: Path, atlas: AnnData, saved: Save, how: Mapping[str, Any]
) -> None:
    atlas.X = atlas.X.toarray()
    path = saved(atlas)
    store_anew(path, "X", **how)
    assert_parity(tmp_path / "all", path, atlas)
    assert_parity(tmp_path / "some", path, atlas, genes=["gene29", "gene0", "gene7"])


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
@pytest.mark.parametrize(
    "how", [{}, {"shuffle": True}, {"fletcher32": True}, {"shuffle": True, "fletcher32": True}]
)
def test_sparse_h5ad_in_small_gzip_chunks(
    tmp_path: Path, atlas: AnnData, saved: Save, how: Mapping[str, Any], dtype: str
) -> None:
    """The last chunk is not full."""
    atlas.X = sparse.csr_matrix(numbers(dtype, atlas.shape))
    path = saved(atlas)
    store_anew(path, *datasets_of_x("csr"), chunks=(97,), compression="gzip", **how)
    assert_parity(tmp_path, path, atlas)


def test_chunks_that_were_never_written(tmp_path: Path, atlas: AnnData, saved: Save) -> None:
    """They hold the fill value."""
    path = saved(atlas)
    x = atlas.X.copy()
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        data = file.create_dataset(
            "X/data", (x.nnz,), "f4", chunks=(100,), compression="gzip", fillvalue=1.5
        )
        data[100:200] = x.data[100:200]
    x.data[:100] = x.data[200:] = 1.5
    atlas.X = x
    assert_parity(tmp_path, path, atlas)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["v2", "v3", "v3 sharded", "v3 blosc"])
def test_zarr(tmp_path: Path, atlas: AnnData, layout: str, kind: str) -> None:
    atlas.X = laid_out(atlas.X, layout)
    write_zarr(atlas, tmp_path / "atlas.zarr", kind)
    assert_parity(tmp_path / "all", tmp_path / "atlas.zarr", atlas)
    some = {"genes": ["gene20", "gene2"]}
    assert_parity(tmp_path / "some", tmp_path / "atlas.zarr", atlas, **some)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["v2", "v3 sharded"])
def test_zarr_in_a_zip(tmp_path: Path, atlas: AnnData, layout: str, kind: str) -> None:
    atlas.X = laid_out(atlas.X, layout)
    write_zarr(atlas, tmp_path / "atlas.zarr.zip", kind)
    assert_parity(tmp_path, tmp_path / "atlas.zarr.zip", atlas)


def test_an_embedding_with_a_block_of_no_rows(tmp_path: Path, atlas: AnnData) -> None:
    theirs = atlas.copy()
    points = atlas.obsm["X_umap_2d"]
    atlas.obsm["X_umap_2d"] = da.from_array(points, chunks=((100, 0, 120), (2,)))
    assert_parity(tmp_path, atlas, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_backed(tmp_path: Path, atlas: AnnData, saved: Save, layout: str) -> None:
    """X and raw are on disk; obs may have changed since."""
    atlas.X = laid_out(atlas.X, layout)
    atlas.raw = atlas.copy()
    atlas.layers["twice"] = atlas.X * 2
    backed = ad.read_h5ad(saved(atlas), backed="r")
    with closing(backed.file):
        for table in (backed.obs, atlas.obs):
            table["new"] = np.arange(220) % 3 == 0
        assert_parity(tmp_path / "X", backed, atlas)
        assert_parity(tmp_path / "raw", backed, atlas, raw=True)
        change = {"gene_expression": atlas.layers["twice"]}
        assert_parity(tmp_path / "layer", backed, atlas, change=change, layer="twice")


def test_view_in_memory(tmp_path: Path, atlas: AnnData) -> None:
    view = atlas[40:190, ::-2]
    assert_parity(tmp_path, view, view.copy())
    assert view.is_view
