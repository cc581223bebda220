"""Atlases of any size without values: real shapes, types, chunks and pointers.

A chunk that a zarr array does not store reads as its fill value. So a plan of 100 million cells
can be made on a laptop, without the values that such an atlas would hold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from anndata.io import write_elem
from zarr.codecs import BloscCodec

POINTERS = 1 << 20  # pointers of one chunk
VALUES = 1 << 22  # stored values of one chunk
ROWS = 1 << 17  # cells of one chunk of obs and obsm


@dataclass(frozen=True, slots=True)
class HollowAtlas:
    """A hollow atlas.

    Parameters
    ----------
    cells, genes
        Its size.
    per_cell
        Stored values of every cell.
    categorical, categories
        Categorical obs columns, and categories of each.
    continuous
        Float obs columns.
    latent
        Dimensions of ``X_pca``.
    neighbors
        Stored neighbours of every cell; 0 for no graph.
    """

    cells: int
    genes: int
    per_cell: int
    categorical: int = 10
    categories: int = 100
    continuous: int = 5
    latent: int = 50
    neighbors: int = 30

    @property
    def nnz(self) -> int:
        """Stored values of the expression matrix."""
        return self.cells * self.per_cell


ATLASES = {
    "10M x 30k": HollowAtlas(10_000_000, 30_000, 2_100),  # 7% of the genes are seen in a cell
    "100M x 60k": HollowAtlas(100_000_000, 60_000, 2_000),
}


def write_hollow_atlas(spec: HollowAtlas, path: Path) -> None:
    """Write the atlas as zarr of format 3; an existing folder is replaced."""
    root = zarr.open_group(path, mode="w", zarr_format=3)
    _set_encoding(root, "anndata", "0.1.0")
    for name in ("obsm", "obsp"):
        _set_encoding(root.create_group(name), "dict", "0.1.0")
    _write_matrix(root, "X", (spec.cells, spec.genes), spec.per_cell)
    for name, width in (("X_pca", spec.latent), ("X_umap_2d", 2)):
        _create_empty_array(root["obsm"], name, (spec.cells, width), (ROWS, width), "f4")
    if spec.neighbors:
        shape = (spec.cells, spec.cells)
        _write_matrix(root["obsp"], "connectivities", shape, spec.neighbors)
    _write_obs(root, spec)
    var = root.create_group("var")
    _write_strings(var, "_index", [f"GENE{i:06d}" for i in range(spec.genes)])
    _set_encoding(var, "dataframe", "0.2.0", **{"_index": "_index", "column-order": []})


def _set_encoding(item: Any, kind: str, version: str, **attrs: Any) -> Any:
    item.attrs.update({"encoding-type": kind, "encoding-version": version, **attrs})
    return item


def _write_strings(group: Any, name: str, texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what anndata will do in its next release
        write_elem(group, name, np.array(texts, object))


def _create_empty_array(
    group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any
) -> None:
    """Make an array that stores no chunk."""
    chunks = tuple(min(pair) for pair in zip(chunks, shape, strict=True))
    kind = "string-array" if dtype == "string" else "array"
    _set_encoding(group.create_array(name, shape=shape, chunks=chunks, dtype=dtype), kind, "0.2.0")


def _write_matrix(group: Any, name: str, shape: tuple[int, int], per_row: int) -> None:
    """Make a CSR matrix with true pointers, every row of the same length."""
    made = _set_encoding(group.create_group(name), "csr_matrix", "0.1.0", shape=list(shape))
    nnz = shape[0] * per_row
    wide = "i8" if nnz >= 2**31 else "i4"
    _create_empty_array(made, "data", (nnz,), (VALUES,), "f4")
    _create_empty_array(made, "indices", (nnz,), (VALUES,), wide)
    # A matrix that stores no index counts as one that lost its chunks: one chunk is stored.
    with zarr.config.set({"array.write_empty_chunks": True}):
        made["indices"][: min(nnz, VALUES)] = 0
    pointers = made.create_array(
        "indptr",
        shape=(shape[0] + 1,),
        chunks=(POINTERS,),
        dtype=wide,
        compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")],
    )
    for start in range(0, shape[0] + 1, POINTERS):
        stop = min(start + POINTERS, shape[0] + 1)
        pointers[start:stop] = np.arange(start, stop, dtype=np.int64) * per_row


def _write_obs(root: Any, spec: HollowAtlas) -> None:
    obs, names = root.create_group("obs"), []
    _create_empty_array(obs, "_index", (spec.cells,), (ROWS,), "string")
    for i in range(spec.categorical):
        names.append(f"label_{i}")
        column = _set_encoding(obs.create_group(names[-1]), "categorical", "0.2.0", ordered=False)
        _create_empty_array(column, "codes", (spec.cells,), (ROWS,), "i1")
        _write_strings(column, "categories", [f"category {i}" for i in range(spec.categories)])
    for i in range(spec.continuous):
        names.append(f"score_{i}")
        _create_empty_array(obs, names[-1], (spec.cells,), (ROWS,), "f4")
    _set_encoding(obs, "dataframe", "0.2.0", **{"_index": "_index", "column-order": names})
