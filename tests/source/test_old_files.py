"""Files of anndata 0.6 and 0.7, against the reference exporter on the same data in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData
from oracle import assert_parity, read_anndata, silent
from versions import write_zarr


@pytest.mark.parametrize("where", ["h5ad", "zarr"])
def test_files_of_anndata_0_7(tmp_path: Path, atlas: AnnData, where: str) -> None:
    """Categories were in a group of their own, and codes pointed at them."""
    atlas.obs["numbers"] = pd.Categorical(np.arange(220) % 7 - 2)
    atlas.obs["gaps"] = pd.Categorical(np.where(np.arange(220) % 2, None, "x"))
    atlas.var["kind"] = pd.Categorical([f"k{j}" for j in range(30)])
    path = tmp_path / f"old.{where}"
    with ad.settings.override(allow_write_nullable_strings=False):
        if where == "zarr":
            write_zarr(atlas, path, "v2", consolidated=False)
        else:
            atlas.write_h5ad(path)
    rewrite_as_anndata_0_7(path)
    theirs = read_anndata(path)
    pd.testing.assert_frame_equal(theirs.obs, atlas.obs)  # anndata reads what was made old
    assert_parity(tmp_path / "X", path, theirs)
    assert_parity(tmp_path / "kind", path, theirs, gene_id_column="kind")


def rewrite_as_anndata_0_7(path: Path) -> None:
    """Turn the tables of a file into what anndata 0.7 wrote."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "r+") as root:
            rewrite_group(root, lambda categories: categories.ref)
    else:
        rewrite_group(
            zarr.open_group(path, mode="r+"),
            lambda categories: "__categories/" + categories.basename,
        )


def rewrite_group(root: Any, refer: Callable[[Any], Any]) -> None:
    for table in (root["obs"], root["var"]):
        table.attrs["encoding-version"] = "0.1.0"
        for name in [n for n in table if table[n].attrs.get("encoding-type") == "categorical"]:
            codes, categories = table[name]["codes"][:], table[name]["categories"][:]
            del table[name]
            group = table.require_group("__categories")
            if isinstance(root, h5py.Group):
                group[name] = categories
                table[name] = codes
            elif categories.dtype.kind in "OT":
                texts = group.create_array(name, shape=categories.shape, dtype=str)
                silent(texts.__setitem__, slice(None), categories)
                table.create_array(name, data=codes)
            else:
                group.create_array(name, data=categories)
                table.create_array(name, data=codes)
            table[name].attrs["categories"] = refer(group[name])
            group[name].attrs["ordered"] = False
        for name in list(table):
            for attribute in ("encoding-type", "encoding-version"):
                if attribute in table[name].attrs and name != "__categories":
                    del table[name].attrs[attribute]


def test_files_of_anndata_0_6(tmp_path: Path, atlas: AnnData) -> None:
    """Tables and obsm were compound datasets, sparse matrices had other attributes."""
    path = tmp_path / "ancient.h5ad"
    obs, x, pca = atlas.obs, atlas.X, atlas.obsm["X_pca"]
    cells = np.asarray([n.encode() for n in atlas.obs_names])
    groups = obs["group"].cat
    with h5py.File(path, "w") as file:
        file["obs"] = make_records(
            index=cells, group=groups.codes, score=obs["score"], depth=obs["depth"]
        )
        file["var"] = make_records(index=atlas.var_names.to_numpy().astype("S"))
        file["uns/group_categories"] = groups.categories.to_numpy().astype("S")
        file["obsm"] = make_records(X_pca=pca, X_umap_2d=atlas.obsm["X_umap_2d"])
        for key, matrix in (
            ("X", x),
            ("uns/neighbors/connectivities", atlas.obsp["connectivities"]),
        ):
            group = file.create_group(key)
            group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", matrix.shape
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)
    theirs = read_anndata(path)
    assert list(theirs.obs["group"].cat.categories) == list("abcde")
    assert_parity(tmp_path, path, theirs)


def make_records(**columns: Any) -> np.ndarray:
    """A compound array, whose fields may have a second axis."""
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    fields = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    made = np.zeros(len(next(iter(arrays.values()))), fields)
    for name, array in arrays.items():
        made[name] = array
    return made
