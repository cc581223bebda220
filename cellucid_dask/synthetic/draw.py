"""What a synthetic atlas holds, drawn chunk by chunk.

Cells come in clusters of heavy-tailed sizes, near one another in every embedding and in the
latent space, and share an expression program. Genes are detected in 0.1% to 95% of the cells,
counts are negative binomial, values are log-normalized. A file depends on its spec alone:
every chunk draws from its own seed. Memory is about 80 bytes a cell and 200 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cellucid_dask.errors import OptionError

if TYPE_CHECKING:
    pass

Layout = Literal["csr", "csc", "dense"]

PROGRAMS: Final = 16  # expression programs shared out among the clusters
DEPTHS: Final = 6  # classes of sequencing depth
DEPTH_ODDS: Final = 0.6 * special.ndtri((np.arange(DEPTHS) + 0.5) / DEPTHS)  # of each, in log odds
MISSED: Final = 0.01  # share of the cells with no label, and with no pct_mito
CELLS: Final = 1 << 16  # cells of one chunk, but for expression
DRAWS: Final = 1 << 22  # cells x genes of one chunk of expression
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


class Stream(IntEnum):
    """What a random number generator is for."""

    CLUSTER, GENE, EXPRESSION, POINT, COLUMN, SCORE, GRAPH = range(7)


class Rows(NamedTuple):
    """Consecutive rows of a sparse matrix."""

    lengths: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]


def _bits(spec: AtlasSpec, stream: Stream, part: int = 0) -> np.random.SFC64:
    return np.random.SFC64(np.random.SeedSequence((spec.seed, stream, part)))


def stream_rng(spec: AtlasSpec, stream: Stream, part: int = 0) -> np.random.Generator:
    """Generator of one part of one stream of random numbers."""
    return np.random.Generator(_bits(spec, stream, part))


def cluster_of_cells(spec: AtlasSpec) -> NDArray[np.int32]:
    """(cells,) cluster of each cell."""
    rng = stream_rng(spec, Stream.CLUSTER)
    share = rng.lognormal(0, 1.2, spec.clusters)
    return rng.choice(spec.clusters, spec.cells, p=share / share.sum()).astype(np.int32)


# --- expression ---------------------------------------------------------------------------


def _gene_ranks(spec: AtlasSpec) -> NDArray[np.int64]:
    """Rank of each gene by abundance, the last the most abundant."""
    return stream_rng(spec, Stream.GENE).permutation(spec.genes)


def gene_names(spec: AtlasSpec) -> list[str]:
    """Names of the genes: mostly numbered, some that are known."""
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
    rng = stream_rng(spec, Stream.GENE, 1)
    odds = 1.7 * special.ndtri((_gene_ranks(spec) + 0.5) / spec.genes)
    program = rng.normal(0, 0.4, (PROGRAMS, 1, spec.genes))
    program += 2.5 * (rng.random(program.shape) < 0.03)  # markers of the program
    odds = (odds + program + DEPTH_ODDS[:, None]).astype("f4").reshape(PROGRAMS * DEPTHS, -1)
    return fit_density(spec, odds, kinds)


def fit_density(
    spec: AtlasSpec, odds: NDArray[np.float32], kinds: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Turn log odds into probabilities, times 65536, so that X has the density of `spec`.

    Parameters
    ----------
    odds : (n_kinds, n_genes)
        Log odds that a gene is detected in a kind of cell, up to a constant.
    kinds : (n_cells,)
        Kind of each cell.
    """
    share = np.bincount(kinds, minlength=len(odds)) / spec.cells
    low, high = -30.0, 30.0
    for _ in range(20):
        shift = np.float32((low + high) / 2)
        detected = np.clip(special.expit(odds + shift), 0.001, 0.95)
        dense = share @ detected.mean(axis=1, dtype=np.float64) > spec.density
        low, high = (low, float(shift)) if dense else (float(shift), high)
    return np.rint(detected * 65536).astype(np.uint16)


def _draw_rows(bits: np.random.SFC64, limit: NDArray[np.uint16]) -> tuple[Rows, NDArray[np.int64]]:
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
    return Rows(lengths, indices, counts), totals.astype(np.int64)


def expression(
    spec: AtlasSpec, cluster: NDArray[np.int32], totals: NDArray[np.int64]
) -> Iterator[Rows]:
    """Log-normalized rows, in order; fills `totals`, the counts of each cell, on the way."""
    kinds = cluster.astype(np.int64) % PROGRAMS * DEPTHS + depth_of_cells(spec)
    yield from draw_expression(spec, kinds, _thresholds(spec, kinds), totals)


def depth_of_cells(spec: AtlasSpec) -> NDArray[np.int64]:
    """(cells,) class of sequencing depth of each cell."""
    return stream_rng(spec, Stream.EXPRESSION).integers(DEPTHS, size=spec.cells)


def draw_expression(
    spec: AtlasSpec,
    kinds: NDArray[np.int64],
    limits: NDArray[np.uint16],
    totals: NDArray[np.int64],
) -> Iterator[Rows]:
    """Log-normalized rows of cells of these kinds, with what `fit_density` made of them."""
    step = max(1, DRAWS // spec.genes)
    for start in range(0, spec.cells, step):
        chunk = slice(start, min(start + step, spec.cells))
        bits = _bits(spec, Stream.EXPRESSION, 1 + start)
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


def graph(spec: AtlasSpec, cluster: NDArray[np.int32]) -> Iterator[Rows]:
    """Rows of a symmetric graph: cells a few places apart once sorted by cluster, thinned out."""
    order = np.argsort(cluster, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(spec.cells)
    rng = stream_rng(spec, Stream.GRAPH)
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
        yield Rows(lengths, indices.astype(np.int32), values)
