"""What differs between the versions of the libraries that make the inputs of the tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import zarr
from scipy import sparse

# anndata asks pandas for options that pandas 3 deprecates: nothing that users of ours can change.
IGNORED = tuple(
    f"ignore:The '{option}' option is deprecated:DeprecationWarning"
    for option in ("future.infer_string", "mode.chained_assignment")
)

ZARR_KINDS = ("v2", "v3", "v3 sharded")
DEFAULT_KIND = "v3 sharded"  # of anndata 0.13


def write_zarr(
    adata: anndata.AnnData,
    path: Path,
    kind: str = DEFAULT_KIND,
    *,
    chunks: tuple[int, int] | None = None,
    consolidated: bool = True,
) -> Path:
    """Write a zarr folder, or a zip where the ending of `path` says so, and return `path`.

    The settings of anndata for this differ between its versions and are deprecated in some. Shards
    of several chunks, which anndata makes of large arrays only, are made of small ones as well.

    Parameters
    ----------
    kind
        One of `ZARR_KINDS`, or ``v3 blosc``.
    chunks
        Those of a dense X.
    consolidated
        Whether the metadata of a folder are also in one place, which an array that is put into
        the store later is not.
    """

    def store(write: Any, group: Any, key: str, element: Any, **more: Any) -> None:
        own = chunks if key.strip("/") == "X" and not sparse.issparse(element) else None
        layout = {**more["dataset_kwargs"], **_layout(element, kind, own)}
        write(group, key, element, dataset_kwargs=layout)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.strings_to_categoricals()  # as AnnData.write_zarr does
        place = zarr.storage.ZipStore(path, mode="w") if path.suffix == ".zip" else path
        version: Any = 2 if kind == "v2" else 3
        root = zarr.open_group(place, mode="w", zarr_format=version)
        with anndata.settings.override(auto_shard_zarr_v3=False):
            anndata.experimental.write_dispatched(root, "/", adata, store)
        if path.suffix == ".zip":
            place.close()
        elif consolidated:
            zarr.consolidate_metadata(root.store)
    return path


def _layout(element: Any, kind: str, chunks: tuple[int, ...] | None) -> dict[str, Any]:
    """How the arrays of an element are cut and compressed."""
    how: dict[str, Any] = {"chunks": chunks} if chunks else {}
    rows = element.shape[0] if hasattr(element, "shape") and len(element.shape) else 0
    if kind == "v3 blosc":
        how["compressors"] = zarr.codecs.BloscCodec(cname="lz4")
    elif kind == "v3 sharded" and isinstance(element, np.ndarray) and rows > 64:
        inner = chunks or (max(64, rows // 7), *(16,) * (element.ndim - 1))
        how |= {"chunks": inner, "shards": tuple(2 * n for n in inner)}
    elif kind == "v3 sharded" and sparse.issparse(element):
        inner = (max(256, element.nnz // 15),)
        how |= {"chunks": inner, "shards": (4 * inner[0],)}
    return how
