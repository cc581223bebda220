"""Files in the layouts of storage that the package reads."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import zarr
import zarr.codecs
from scipy import sparse

ZARR_KINDS = ("v2", "v3", "v3-sharded", "v3-blosc", "v2-small-chunks", "v3-small-chunks")


def write_h5ad(adata: anndata.AnnData, path: Path, **options: Any) -> Path:
    """Write an ``.h5ad`` file and return its path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.write_h5ad(path, **options)
    return path


def write_zarr(adata: anndata.AnnData, path: Path, kind: str = "v3") -> Path:
    """Write a zarr folder, or a zip archive where `path` ends so, and return its path.

    Parameters
    ----------
    kind
        One of `ZARR_KINDS`: the format of zarr, and how arrays are cut and compressed.
    """

    def write(write_element: Any, group: Any, key: str, element: Any, **more: Any) -> None:
        layout = {**more["dataset_kwargs"], **_layout(element, kind)}
        write_element(group, key, element, dataset_kwargs=layout)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.strings_to_categoricals()  # as AnnData.write_zarr does
        is_zip = path.suffix == ".zip"
        store = zarr.storage.ZipStore(path, mode="w") if is_zip else path
        version: Any = 2 if kind.startswith("v2") else 3
        root = zarr.open_group(store, mode="w", zarr_format=version)
        with anndata.settings.override(auto_shard_zarr_v3=False):
            anndata.experimental.write_dispatched(root, "/", adata, write)
        if is_zip:
            root.store.close()
        else:
            zarr.consolidate_metadata(root.store)
    return path


def _layout(element: Any, kind: str) -> dict[str, Any]:
    """Settings of the arrays of an element: chunks, shards and codecs."""
    if kind == "v3-blosc":
        return {"compressors": zarr.codecs.BloscCodec(cname="lz4")}
    is_table = isinstance(element, np.ndarray) and element.ndim and element.dtype.kind in "biuf"
    if kind.endswith("small-chunks"):
        if sparse.issparse(element):
            return {"chunks": (100,)}
        return {"chunks": tuple(max(1, min(n, 50)) for n in element.shape)} if is_table else {}
    if kind == "v3-sharded":
        if sparse.issparse(element):
            return {"chunks": (256,), "shards": (1024,)}
        if is_table and element.shape[0] > 64:
            chunks = (64, *(16,) * (element.ndim - 1))
            return {"chunks": chunks, "shards": tuple(2 * n for n in chunks)}
    return {}


def write_mudata(path: Path, modalities: dict[str, anndata.AnnData]) -> Path:
    """Write an ``.h5mu`` file or a ``.zarr`` folder as muon does, with an embedding of its own."""
    first = next(iter(modalities.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".h5mu":
            with h5py.File(path, "w", userblock_size=512) as file:
                _fill_mudata(file, modalities, first)
            with path.open("r+b") as raw:
                raw.write(b"MuData (format-version=0.1.0;creator=muon;creator-version=0.1.6)")
        else:
            root = zarr.open_group(path, mode="w", zarr_format=2)
            _fill_mudata(root, modalities, first)
    return path


def _fill_mudata(root: Any, modalities: dict[str, anndata.AnnData], first: anndata.AnnData) -> None:
    root.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0", "axis": 0})
    group = root.create_group("mod")
    group.attrs["mod-order"] = list(modalities)
    masks = {name: first.obs_names.isin(adata.obs_names) for name, adata in modalities.items()}
    rows = {
        name: (adata.obs_names.get_indexer(first.obs_names) + 1).astype(np.uint32)
        for name, adata in modalities.items()
    }
    for name, adata in modalities.items():
        anndata.io.write_elem(group, name, adata)
    points = first.obsm["X_umap_2d"] + 1
    parts = {"obs": first.obs, "obsm": {"X_umap": points, **masks}, "obsmap": rows, "uns": {}}
    for name, part in parts.items():
        anndata.io.write_elem(root, name, part)


def write_records(path: Path, adata: anndata.AnnData) -> Path:
    """Write an ``.h5ad`` file or ``.zarr`` folder of anndata 0.6: tables are structured arrays."""
    obs = np.zeros(adata.n_obs, [("index", "S12"), ("two", "i1"), ("depth", "f4")])
    obs["index"] = [name.encode() for name in adata.obs_names]
    obs["two"], obs["depth"] = np.arange(adata.n_obs) % 2, adata.obs["n_counts"]
    var = np.zeros(adata.n_vars, [("index", "S12")])
    var["index"] = [name.encode() for name in adata.var_names]
    obsm = np.zeros(adata.n_obs, [("X_umap", "f4", 2), ("X_pca", "f4", 6)])
    obsm["X_umap"], obsm["X_pca"] = adata.obsm["X_umap_2d"], adata.obsm["X_pca"]
    categories = np.array([b"ctrl", b"stim"])
    if path.suffix == ".h5ad":
        with h5py.File(path, "w") as file:
            file["X"] = adata.X.toarray()
            file["obs"], file["var"], file["obsm"] = obs, var, obsm
            file["uns/two_categories"] = categories
        return path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="w", zarr_format=2)
        root.create_array("X", data=adata.X.toarray(), chunks=(50, 7))
        for name, table in (("obs", obs), ("var", var)):
            root.create_array(name, shape=table.shape, dtype=table.dtype, fill_value=None)[:] = (
                table
            )
        group = root.create_group("obsm")
        for name in ("X_umap", "X_pca"):
            group.create_array(name, data=obsm[name])
        root.create_group("uns").create_array("two_categories", data=categories)
    return path


def edit_h5ad(path: Path, edit: Callable[[h5py.File], object]) -> Path:
    """Change an HDF5 file in place and return its path."""
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def remove_chunk(path: Path, key: str, *index: int) -> Path:
    """Remove one chunk of an array of a zarr folder, as a copy that ended early has none."""
    array: Any = zarr.open_group(path, mode="r")[key]
    (path / key / array.metadata.encode_chunk_key(index)).unlink()
    return path
