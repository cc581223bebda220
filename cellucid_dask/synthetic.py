"""A realistic synthetic atlas of any size, written out of core.

Cells come in clusters of heavy-tailed sizes, near one another in every embedding and in the
latent space, and share an expression program. Genes are detected in 0.1% to 95% of the cells,
counts are negative binomial, values are log-normalized. A file depends on its spec alone:
every chunk draws from its own seed. Memory is about 80 bytes a cell and 200 MB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from cellucid_dask.errors import OptionError

if TYPE_CHECKING:
    import anndata

Layout = Literal["csr", "csc", "dense"]

PROGRAMS: Final = 16  # expression programs shared out among the clusters
DEPTHS: Final = 6  # classes of sequencing depth
MISSED: Final = 0.01  # share of the cells with no label, and with no pct_mito
CELLS: Final = 1 << 16  # cells of one chunk, but for expression
DRAWS: Final = 1 << 22  # cells x genes of one chunk of expression
HDF5_CHUNK: Final = 1 << 18  # elements
CSC_LIMIT: Final = 150_000_000  # non-zeros; CSC is sorted in memory, about 35 bytes of it each
GOLDEN: Final = np.pi * (3 - np.sqrt(5))
ABUNDANT: Final = ("MALAT1", "MT-CO1", "B2M", "MT-ND1", "ACTB", "RPLP0", "TMSB4X", "MT-CYB")
MARKERS: Final = ("CD3E", "MS4A1", "HLA-DRA", "CD8A", "NKG7", "LYZ", "CD79A", "FCGR3A", "PPBP")
COLUMNS: Final = ("cell_type", "leiden", "sample", "donor", "tissue", "batch")
SCORES: Final = ("n_counts", "pct_mito", "S_score", "G2M_score")


@dataclass(frozen=True, slots=True)
class AtlasSpec:
    """What the atlas is like.

    Parameters
    ----------
    cells, genes
        Its size; 0 genes makes a file with no ``X``.
    density
        Mean share of the cells a gene is detected in, 0.002 to 0.9.
    categoricals
        Number of categories of each categorical obs column.
    continuous
        Number of float obs columns.
    latent
        Dimensions of ``X_pca``.
    dimensions
        Embeddings ``X_umap_<d>d``, of 1, 2 and 3.
    neighbors
        Mean neighbours of a cell in ``obsp["connectivities"]``; 0 for no graph.
    layout
        How ``X`` lies on disk; ``csc`` is sorted in memory, so it is for small atlases.
    seed
        Equal specs give equal files.
    """

    cells: int
    genes: int
    density: float = 0.07
    categoricals: tuple[int, ...] = (100, 100, 100)
    continuous: int = 2
    latent: int = 20
    dimensions: tuple[int, ...] = (2, 3)
    neighbors: int = 15
    layout: Layout = "csr"
    seed: int = 0

    def __post_init__(self) -> None:
        nonzeros = self.cells * self.genes * self.density
        wrong = {
            "cells": self.cells < 1,
            "genes": self.genes < 0,
            "density": not 0.002 <= self.density <= 0.9,
            "categoricals": any(n < 1 for n in self.categoricals),
            "continuous": self.continuous < 0,
            "latent": self.latent < 1,
            "dimensions": not set(self.dimensions) <= {1, 2, 3},
            "neighbors": self.neighbors < 0,
            "layout": self.layout not in ("csr", "csc", "dense")
            or (self.layout == "csc" and nonzeros > CSC_LIMIT),
            "seed": self.seed < 0,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise OptionError(f"no synthetic atlas has {name} {getattr(self, name)!r}", where=name)

    @property
    def clusters(self) -> int:
        """Number of clusters: the finest categorical column has one category for each."""
        return max(self.categoricals, default=20)


class _Stream(IntEnum):
    """What a random number generator is for."""

    CLUSTER, GENE, EXPRESSION, POINT, COLUMN, SCORE, GRAPH = range(7)


class _Rows(NamedTuple):
    """Consecutive rows of a sparse matrix."""

    lengths: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]


def _bits(spec: AtlasSpec, stream: _Stream, part: int = 0) -> np.random.SFC64:
    return np.random.SFC64(np.random.SeedSequence((spec.seed, stream, part)))


def _rng(spec: AtlasSpec, stream: _Stream, part: int = 0) -> np.random.Generator:
    return np.random.Generator(_bits(spec, stream, part))


def _cluster_of_cells(spec: AtlasSpec) -> NDArray[np.int32]:
    rng = _rng(spec, _Stream.CLUSTER)
    share = rng.lognormal(0, 1.2, spec.clusters)
    return rng.choice(spec.clusters, spec.cells, p=share / share.sum()).astype(np.int32)


# --- expression ---------------------------------------------------------------------------


def _gene_ranks(spec: AtlasSpec) -> NDArray[np.int64]:
    """Rank of each gene by abundance, the last the most abundant."""
    return _rng(spec, _Stream.GENE).permutation(spec.genes)


def _gene_names(spec: AtlasSpec) -> list[str]:
    names = [f"GENE{i:05d}" for i in range(1, spec.genes + 1)]
    falling = np.argsort(-_gene_ranks(spec))
    for gene, name in zip(falling, ABUNDANT, strict=False):
        names[gene] = name
    for gene, name in zip(falling[max(len(ABUNDANT), spec.genes // 5) :], MARKERS, strict=False):
        names[gene] = name
    return names


def _thresholds(spec: AtlasSpec, kinds: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Find the detection probability, times 65536, of each gene in each kind of cell.

    Parameters
    ----------
    kinds : (n_cells,)
        Program x DEPTHS + depth class of each cell.
    """
    rng = _rng(spec, _Stream.GENE, 1)
    odds = 1.7 * special.ndtri((_gene_ranks(spec) + 0.5) / spec.genes)
    program = rng.normal(0, 0.4, (PROGRAMS, 1, spec.genes))
    program += 2.5 * (rng.random(program.shape) < 0.03)  # markers of the program
    depth = 0.6 * special.ndtri((np.arange(DEPTHS) + 0.5) / DEPTHS)
    odds = (odds + program + depth[:, None]).astype("f4").reshape(PROGRAMS * DEPTHS, -1)
    share = np.bincount(kinds, minlength=len(odds)) / spec.cells
    low, high = -30.0, 30.0
    for _ in range(20):  # shift the log odds until the matrix has the density asked for
        shift = np.float32((low + high) / 2)
        detected = np.clip(special.expit(odds + shift), 0.001, 0.95)
        dense = share @ detected.mean(axis=1, dtype=np.float64) > spec.density
        low, high = (low, float(shift)) if dense else (float(shift), high)
    return np.rint(detected * 65536).astype(np.uint16)


def _draw_rows(bits: np.random.SFC64, limit: NDArray[np.uint16]) -> tuple[_Rows, NDArray[np.int64]]:
    """Rows of integer counts, and their totals.

    A negative binomial of dispersion 1 is at least k with probability p ** k, where p is that of
    being detected at all: one uniform number decides both whether a gene is seen and how often.
    """
    draw = bits.random_raw(-(-limit.size // 4)).view(np.uint16)[: limit.size].reshape(limit.shape)
    seen = draw < limit
    lengths = np.count_nonzero(seen, axis=1)
    at = np.flatnonzero(seen)
    log_draw = np.log((draw.ravel()[at].astype(np.float32) + np.float32(0.5)) / np.float32(65536))
    log_limit = np.log(limit.ravel()[at].astype(np.float32) / np.float32(65536))
    counts = np.floor(log_draw / log_limit)
    starts = np.arange(len(limit)) * limit.shape[1]
    indices = (at - np.repeat(starts, lengths)).astype(np.int32)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    totals = np.diff(np.concatenate(([0], np.cumsum(counts, dtype=np.float64)))[ends])
    return _Rows(lengths, indices, counts), totals.astype(np.int64)


def _expression(
    spec: AtlasSpec, cluster: NDArray[np.int32], totals: NDArray[np.int64]
) -> Iterator[_Rows]:
    """Log-normalized rows, in order; fills `totals`, the counts of each cell, on the way."""
    depth = _rng(spec, _Stream.EXPRESSION).integers(DEPTHS, size=spec.cells)
    kinds = cluster.astype(np.int64) % PROGRAMS * DEPTHS + depth
    limits = _thresholds(spec, kinds)
    step = max(1, DRAWS // spec.genes)
    for start in range(0, spec.cells, step):
        chunk = slice(start, min(start + step, spec.cells))
        bits = _bits(spec, _Stream.EXPRESSION, 1 + start)
        rows, totals[chunk] = _draw_rows(bits, limits[kinds[chunk]])
        scale = (1e4 / np.maximum(totals[chunk], 1)).astype(np.float32)
        values = np.log(1 + rows.values * np.repeat(scale, rows.lengths))
        yield rows._replace(values=values)


# --- graph --------------------------------------------------------------------------------


def _edge_bits(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.uint64]:
    """32 random bits of each undirected edge, the same from both its ends."""
    low, high = np.minimum(a, b).astype(np.uint64), np.maximum(a, b).astype(np.uint64)
    mixed = (low * np.uint64(0x9E3779B97F4A7C15)) ^ (high * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    bits: NDArray[np.uint64] = mixed >> np.uint64(32)
    return bits


def _graph(spec: AtlasSpec, cluster: NDArray[np.int32]) -> Iterator[_Rows]:
    """Rows of a symmetric graph: cells a few places apart once sorted by cluster, thinned out."""
    order = np.argsort(cluster, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(spec.cells)
    rng = _rng(spec, _Stream.GRAPH)
    furthest = (spec.cells - 1) // 2  # beyond it an offset meets another one's end of the ring
    steps = rng.permutation(np.arange(1, min(4 * spec.neighbors, furthest) + 1))
    steps = steps[: -(-3 * spec.neighbors // 4)]
    if len(steps) and furthest > 100 * spec.neighbors:
        steps[-1] = rng.integers(50 * spec.neighbors, furthest)  # a link between clusters
    steps = np.concatenate((steps, -steps))
    keep = int(min(1, spec.neighbors / max(len(steps), 1)) * 65536)
    for start in range(0, spec.cells, CELLS):
        cell = np.arange(start, min(start + CELLS, spec.cells))[:, None]
        other = order[(place[cell] + steps) % spec.cells]
        other[(_edge_bits(cell, other) & np.uint64(0xFFFF)) >= keep] = spec.cells
        other.sort(axis=1)
        kept = other < spec.cells
        lengths = np.count_nonzero(kept, axis=1)
        indices = other[kept]
        weight = _edge_bits(np.repeat(cell[:, 0], lengths), indices) >> np.uint64(16)
        values = ((weight + np.uint64(1)) / 65536).astype(np.float32)
        yield _Rows(lengths, indices.astype(np.int32), values)


# --- the file -----------------------------------------------------------------------------


def _tag(item: Any, kind: str, version: str, **attrs: Any) -> Any:
    """Say what an HDF5 item is, the way anndata reads it back."""
    item.attrs.update({"encoding-type": kind, "encoding-version": version, **attrs})
    return item


def _write_array(group: h5py.Group, name: str, values: Any, **storage: Any) -> None:
    _tag(group.create_dataset(name, data=values, **storage), "array", "0.2.0")


def _write_strings(group: h5py.Group, name: str, pattern: str, count: int) -> None:
    """``pattern`` formatted with each of ``range(count)``, a chunk at a time."""
    strings = group.create_dataset(name, count, h5py.string_dtype())
    for start in range(0, count, CELLS):
        stop = min(start + CELLS, count)
        strings[start:stop] = np.array([pattern.format(i) for i in range(start, stop)], object)
    _tag(strings, "string-array", "0.2.0")


def _write_sparse(
    parent: h5py.Group,
    name: str,
    shape: tuple[int, int],
    blocks: Iterable[_Rows],
    kind: str = "csr_matrix",
    **storage: Any,
) -> None:
    """Append blocks of rows (columns if `kind` is ``csc_matrix``) as they are made."""
    group = _tag(parent.create_group(name), kind, "0.1.0", shape=shape)
    storage |= {"shape": (0,), "maxshape": (None,), "chunks": HDF5_CHUNK}
    indices = group.create_dataset("indices", dtype="i4", **storage)
    values = group.create_dataset("data", dtype="f4", **storage)
    lengths = []
    for block in blocks:
        start, stop = len(indices), len(indices) + len(block.indices)
        for target, part in ((indices, block.indices), (values, block.values)):
            target.resize(stop, axis=0)
            target[start:stop] = part
        lengths.append(block.lengths)
    indptr = np.concatenate(([0], np.cumsum(np.concatenate(lengths), dtype=np.int64)))
    group["indptr"] = indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64)


def _write_expression(
    file: h5py.File, spec: AtlasSpec, blocks: Iterator[_Rows], **storage: Any
) -> None:
    shape = (spec.cells, spec.genes)
    if spec.layout == "csr":
        _write_sparse(file, "X", shape, blocks, **storage)
    elif spec.layout == "csc":
        lengths, indices, values = map(np.concatenate, zip(*blocks, strict=True))
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        csc = sparse.csr_array((values, indices, indptr), shape=shape).tocsc()
        columns = _Rows(np.diff(csc.indptr), csc.indices, csc.data)
        _write_sparse(file, "X", shape, [columns], "csc_matrix", **storage)
    else:
        dense = _tag(file.create_dataset("X", shape, "f4", **storage), "array", "0.2.0")
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
    centres = {"X_pca": fading * _rng(spec, _Stream.POINT).normal(0, 4, (len(share), spec.latent))}
    spread: dict[str, NDArray[np.float64]] = {"X_pca": fading}
    for dim in spec.dimensions:
        centres[f"X_umap_{dim}d"] = _centres(share, dim)
        spread[f"X_umap_{dim}d"] = 4 * share[:, None] ** (1 / dim)
    for name, centre in centres.items():
        shape = (spec.cells, centre.shape[1])
        _tag(file["obsm"].create_dataset(name, shape, "f4", **storage), "array", "0.2.0")
    for start in range(0, spec.cells, CELLS):
        chunk = cluster[start : start + CELLS]
        rng = _rng(spec, _Stream.POINT, 1 + start)
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
    rng = _rng(spec, _Stream.COLUMN, column)
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
    rng = _rng(spec, _Stream.SCORE, column)
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
    _write_strings(obs, "_index", "CELL{:08d}", spec.cells)
    for column, count in enumerate(spec.categoricals):
        names.append(COLUMNS[column] if column < len(COLUMNS) else f"annotation_{column}")
        group = _tag(obs.create_group(names[-1]), "categorical", "0.2.0", ordered=False)
        _write_array(group, "codes", _labels(spec, cluster, column))
        _write_strings(group, "categories", "{}" if column == 1 else names[-1] + " {}", count)
    for column in range(spec.continuous):
        names.append(SCORES[column] if column < len(SCORES) else f"score_{column}")
        _write_array(obs, names[-1], _score(spec, column, totals))
    var = file.create_group("var")
    genes = var.create_dataset("_index", data=_gene_names(spec), dtype=h5py.string_dtype())
    _tag(genes, "string-array", "0.2.0")
    for frame, columns in ((obs, names), (var, [])):
        order = np.array(columns, h5py.string_dtype())
        _tag(frame, "dataframe", "0.2.0", **{"_index": "_index", "column-order": order})


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
    cluster = _cluster_of_cells(spec)
    totals = np.zeros(spec.cells, np.int64)
    try:
        with h5py.File(partial, "w", rdcc_nbytes=1 << 23) as file:
            _tag(file, "anndata", "0.1.0")
            for name in ("obsm", "obsp", "layers", "uns", "varm", "varp"):
                _tag(file.create_group(name), "dict", "0.1.0")
            if spec.genes:
                blocks = _expression(spec, cluster, totals)
                _write_expression(file, spec, blocks, compression=compression)
            if spec.neighbors:
                shape, rows = (spec.cells, spec.cells), _graph(spec, cluster)
                _write_sparse(file["obsp"], "connectivities", shape, rows, compression=compression)
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
