"""A synthetic atlas as an .h5ad file, written out of core."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.synthetic.draw import (
    CELLS,
    COLUMNS,
    GOLDEN,
    MISSED,
    SCORES,
    AtlasSpec,
    Rows,
    Stream,
    cluster_of_cells,
    expression,
    gene_names,
    graph,
    stream_rng,
)
from cellucid_dask.synthetic.hdf5 import (
    tag,
    tag_frame,
    write_array,
    write_categorical,
    write_sparse,
    write_strings,
)

if TYPE_CHECKING:
    import anndata


def _write_expression(
    file: h5py.File, spec: AtlasSpec, blocks: Iterator[Rows], **storage: Any
) -> None:
    shape = (spec.cells, spec.genes)
    if spec.layout == "csr":
        write_sparse(file, "X", shape, blocks, **storage)
    elif spec.layout == "csc":
        lengths, indices, values = map(np.concatenate, zip(*blocks, strict=True))
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        csc = sparse.csr_array((values, indices, indptr), shape=shape).tocsc()
        columns = Rows(np.diff(csc.indptr), csc.indices, csc.data)
        write_sparse(file, "X", shape, [columns], "csc_matrix", **storage)
    else:
        dense = tag(file.create_dataset("X", shape, "f4", **storage), "array", "0.2.0")
        start = 0
        for lengths, indices, values in blocks:
            rows = np.zeros((len(lengths), spec.genes), np.float32)
            rows[np.repeat(np.arange(len(rows)), lengths), indices] = values
            dense[start : start + len(rows)] = rows
            start += len(rows)


def _centres(share: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Pack clusters into a ball along a golden spiral, each on space for its `share` of the cells.

    Returns
    -------
    (n_clusters, dim), embedding units; the ball has radius 10.
    """
    outward = np.cumsum(share) - share / 2
    turn = GOLDEN * np.arange(len(share))
    if dim == 1:
        return 20 * outward[:, None] - 10
    height = np.zeros_like(turn) if dim == 2 else 2 * (0.754877 * np.arange(len(share)) % 1) - 1
    level = np.sqrt(1 - height**2)
    unit = np.column_stack((level * np.cos(turn), level * np.sin(turn), height))[:, :dim]
    return 10 * unit * outward[:, None] ** (1 / dim)


def _write_points(
    file: h5py.File, spec: AtlasSpec, cluster: NDArray[np.int32], **storage: Any
) -> None:
    """``X_pca`` and embeddings; an outlier of one is an outlier of all."""
    share = np.maximum(np.bincount(cluster, minlength=spec.clusters), 1) / spec.cells
    fading = 1 / np.sqrt(1 + np.arange(spec.latent) / 4)  # as the variance of components does
    centres = {
        "X_pca": fading * stream_rng(spec, Stream.POINT).normal(0, 4, (len(share), spec.latent))
    }
    spread: dict[str, NDArray[np.float64]] = {"X_pca": fading}
    for dim in spec.dimensions:
        centres[f"X_umap_{dim}d"] = _centres(share, dim)
        spread[f"X_umap_{dim}d"] = 4 * share[:, None] ** (1 / dim)
    for name, centre in centres.items():
        shape = (spec.cells, centre.shape[1])
        tag(file["obsm"].create_dataset(name, shape, "f4", **storage), "array", "0.2.0")
    for start in range(0, spec.cells, CELLS):
        chunk = cluster[start : start + CELLS]
        rng = stream_rng(spec, Stream.POINT, 1 + start)
        offset = rng.standard_normal((len(chunk), max(spec.latent, 3)), np.float32)
        offset[rng.random(len(chunk)) < 0.02] *= 3
        for name, centre in centres.items():
            scale = spread[name] if name == "X_pca" else spread[name][chunk]
            points = centre[chunk] + scale * offset[:, : centre.shape[1]]
            file["obsm"][name][start : start + len(chunk)] = points


def _labels(
    spec: AtlasSpec, cluster: NDArray[np.int32], column: int
) -> NDArray[np.signedinteger[Any]]:
    """Category codes of a column: clusters merged and renamed, some of them wrong or missing."""
    rng = stream_rng(spec, Stream.COLUMN, column)
    count = spec.categoricals[column]
    rare = min(3, count // 10)  # categories of fewer than 10 cells
    names = rng.permutation(count)
    codes = names[cluster.astype(np.int64) * (count - rare) // spec.clusters]
    wrong = np.flatnonzero(rng.random(spec.cells) < 0.03)
    codes[wrong] = codes[rng.permutation(wrong)]
    if column % 3 == 1:
        codes[rng.random(spec.cells) < MISSED] = -1
    for name in names[count - rare :]:
        codes[rng.integers(spec.cells, size=rng.integers(2, 10))] = name
    return codes.astype(np.int8 if count < 128 else np.int16 if count < 32768 else np.int32)


def _score(spec: AtlasSpec, column: int, totals: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    rng = stream_rng(spec, Stream.SCORE, column)
    if SCORES[column : column + 1] == ("n_counts",):
        counts = totals if spec.genes else np.floor(rng.lognormal(8, 0.6, spec.cells))
        return counts.astype(np.float32)
    if SCORES[column : column + 1] == ("pct_mito",):
        percent = 100 * rng.beta(2, 40, spec.cells)
        percent[rng.random(spec.cells) < MISSED] = np.nan
        return percent
    return rng.standard_normal(spec.cells, np.float32)


def _write_frames(
    file: h5py.File, spec: AtlasSpec, cluster: NDArray[np.int32], totals: NDArray[np.int64]
) -> None:
    """``obs``, a column at a time, and ``var``."""
    obs, names = file.create_group("obs"), []
    write_strings(obs, "_index", spec.cells, "CELL{:08d}".format)
    for column, count in enumerate(spec.categoricals):
        names.append(COLUMNS[column] if column < len(COLUMNS) else f"annotation_{column}")
        name_of = "{}".format if column == 1 else f"{names[-1]} {{}}".format
        write_categorical(obs, names[-1], _labels(spec, cluster, column), count, name_of)
    for column in range(spec.continuous):
        names.append(SCORES[column] if column < len(SCORES) else f"score_{column}")
        write_array(obs, names[-1], _score(spec, column, totals))
    var, genes = file.create_group("var"), gene_names(spec)
    write_strings(var, "_index", len(genes), genes.__getitem__)
    tag_frame(obs, names)
    tag_frame(var, [])


def write_h5ad(
    spec: AtlasSpec, path: str | Path, *, compression: Literal["gzip", "lzf"] | None = None
) -> None:
    """Write the atlas to an h5ad file, which has its name only once it is complete.

    Parameters
    ----------
    spec
        What to make.
    path
        Where to; a file there is replaced.
    compression
        HDF5 filter of ``X``, the graph, embeddings and latent space.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    cluster = cluster_of_cells(spec)
    totals = np.zeros(spec.cells, np.int64)
    try:
        with h5py.File(partial, "w", rdcc_nbytes=1 << 23) as file:
            tag(file, "anndata", "0.1.0")
            for name in ("obsm", "obsp", "layers", "uns", "varm", "varp"):
                tag(file.create_group(name), "dict", "0.1.0")
            if spec.genes:
                blocks = expression(spec, cluster, totals)
                _write_expression(file, spec, blocks, compression=compression)
            if spec.neighbors:
                shape, rows = (spec.cells, spec.cells), graph(spec, cluster)
                write_sparse(file["obsp"], "connectivities", shape, rows, compression=compression)
            _write_points(file, spec, cluster, compression=compression)
            _write_frames(file, spec, cluster, totals)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def make_anndata(spec: AtlasSpec) -> anndata.AnnData:
    """Make what `write_h5ad` writes, in memory."""
    import anndata

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "atlas.h5ad"
        write_h5ad(spec, path)
        return anndata.read_h5ad(path)
