"""The atlases of the benchmark ``export`` in their storage, made once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import anndata
import click
import zarr
import zarr.codecs

from benchmarks.shared.atlases import find_or_make_atlas, make_once
from cellucid_dask.synthetic import AtlasSpec

Storage = Literal["plain", "gzip", "sharded"]

CHUNK, SHARD = 1 << 15, 1 << 20  # values of the arrays of a sparse matrix


def find_or_make_store(name: str, spec: AtlasSpec, storage: Storage, work: Path) -> Path:
    """Return the path of an atlas in a storage; the h5ad file it is made from stays as well."""
    plain = find_or_make_atlas(name, spec, work)
    if storage == "plain":
        return plain
    path = plain.with_suffix(".gzip.h5ad" if storage == "gzip" else ".sharded.zarr")
    if not path.exists():
        click.echo(f"making {path} from {plain.name}", err=True)
        adata = anndata.read_h5ad(plain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make_once(path, lambda new: WRITERS[storage](adata, new))
    return path


def write_gzip(adata: anndata.AnnData, path: Path) -> None:
    """Write an h5ad file with the compression that users of anndata choose most."""
    adata.write_h5ad(path, compression="gzip")


def write_sharded(adata: anndata.AnnData, path: Path) -> None:
    """Write a zarr store of format 3, its sparse matrices in shards of chunks of zstd."""

    def write(write_element: Any, group: Any, key: str, element: Any, **more: Any) -> None:
        layout = dict(more["dataset_kwargs"])
        if hasattr(element, "indptr"):
            layout |= {"chunks": (CHUNK,), "shards": (SHARD,)}
            layout["compressors"] = zarr.codecs.ZstdCodec()
        write_element(group, key, element, dataset_kwargs=layout)

    root = zarr.open_group(path, mode="w", zarr_format=3)
    with anndata.settings.override(auto_shard_zarr_v3=False):
        anndata.experimental.write_dispatched(root, "/", adata, write)
    zarr.consolidate_metadata(root.store)


WRITERS = {"gzip": write_gzip, "sharded": write_sharded}
