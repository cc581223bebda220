"""A synthetic study of blood: healthy donors and patients, drawn chunk by chunk.

It is what a lab may ask questions of: which cells make a gene, and whether those of patients do.
Cells of a type lie along a path, near those of related types; some types are more frequent in
patients, one is rare, and genes of the interferon response are higher in patients.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cellucid_dask.synthetic.cell_types import (
    ABUNDANT,
    CONDITIONS,
    DONORS,
    INTERFERON,
    MILD,
    OUTLIER,
    RESPONSE,
    TYPES,
)
from cellucid_dask.synthetic.draw import (
    DEPTH_ODDS,
    DEPTHS,
    AtlasSpec,
    Stream,
    depth_of_cells,
    fit_density,
    stream_rng,
)

KINDS: Final = len(TYPES) * len(CONDITIONS)  # of cells, but for their depth
STEPS: Final = 1 << 12  # along the path of a type
DOUBLETS: Final = 0.003  # share of the cells that lie between two others
TURN: Final = np.pi * (3 - np.sqrt(5))


class Cells(NamedTuple):
    """Of each cell: its type, its condition, its donor, and how far along the path it is, 0 to 1.

    All are (n_cells,).
    """

    type: NDArray[np.int8]
    condition: NDArray[np.int8]
    donor: NDArray[np.int8]
    along: NDArray[np.float32]

    def part(self, start: int, stop: int) -> Cells:
        """Rows from `start` to before `stop`."""
        rows = slice(start, stop)
        return Cells(self.type[rows], self.condition[rows], self.donor[rows], self.along[rows])


def draw_cells(spec: AtlasSpec) -> Cells:
    """Draw the cells of donors, who differ in how many they gave and somewhat in their types."""
    rng = stream_rng(spec, Stream.CLUSTER)
    sizes = rng.uniform(0.6, 1.4, DONORS)
    donor = rng.choice(DONORS, spec.cells, p=sizes / sizes.sum()).astype(np.int8)
    condition = (donor // (DONORS // len(CONDITIONS))).astype(np.int8)
    folds = np.array([(1.0, *each.fold) for each in TYPES]).T
    shares = np.array([each.share for each in TYPES]) * np.repeat(
        folds, DONORS // len(CONDITIONS), axis=0
    )
    shares *= rng.lognormal(0, 0.2, shares.shape)
    limits = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    kind = np.empty(spec.cells, np.int8)
    draw = rng.random(spec.cells)
    for one in range(DONORS):
        own = donor == one
        kind[own] = np.minimum(np.searchsorted(limits[one], draw[own]), len(TYPES) - 1)
    # Cells of patients are further along the path of their type.
    shift = np.array([1.0, 0.85, 0.65])[condition]
    along = (rng.random(spec.cells) ** shift).astype(np.float32)
    return Cells(kind, condition, donor, along)


# --- genes ----------------------------------------------------------------------------------


def study_genes(spec: AtlasSpec) -> list[str]:
    """Names of the genes: those that have a role, the first ones by turns, then numbered ones."""
    marker_lists = [each.markers.split() for each in TYPES]
    first = ("CD3E", "ISG15", "LYZ", "MS4A1", "NKG7", OUTLIER, "MALAT1", "CD8A", "CD4")
    rest = [gene for genes in zip(*map(_padded, marker_lists), strict=True) for gene in genes]
    known = dict.fromkeys((*first, *INTERFERON, *ABUNDANT, *filter(None, rest)))
    names = [*known][: spec.genes]
    names += [f"GENE{i:05d}" for i in range(1, spec.genes - len(names) + 1)]
    return [names[i] for i in stream_rng(spec, Stream.GENE).permutation(spec.genes)]


def _padded(genes: list[str]) -> list[str]:
    return [*genes, *[""] * (10 - len(genes))]


def gene_ids(names: list[str]) -> list[str]:
    """Identifiers like those of Ensembl, from a range that it does not use."""
    return [f"ENSG9{i:010d}" for i in range(1, len(names) + 1)]


def detection(
    spec: AtlasSpec, cells: Cells, names: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Kind of each cell, and the detection probability, times 65536, of each gene in each kind."""
    kinds = cells.type.astype(np.int64) * len(CONDITIONS) + cells.condition
    kinds = kinds * DEPTHS + depth_of_cells(spec)
    known = _known_odds()
    limits = np.empty((KINDS * DEPTHS, spec.genes), np.uint16)
    numbered = np.array([name not in known for name in names])
    if numbered.any():
        odds = _numbered_odds(spec)[:, :, None, numbered] + DEPTH_ODDS[:, None].astype("f4")
        limits[:, numbered] = fit_density(spec, odds.reshape(KINDS * DEPTHS, -1), kinds)
    for i in np.flatnonzero(~numbered):
        seen = special.expit(known[names[i]][:, :, None] + DEPTH_ODDS).ravel()
        limits[:, i] = np.rint(65536 * np.clip(seen, 0.001, 0.97))
    return kinds, limits


def _numbered_odds(spec: AtlasSpec) -> NDArray[np.float32]:
    """(types, conditions, genes): log odds of genes of no known role; a few are markers."""
    rng = stream_rng(spec, Stream.GENE, 1)
    odds = rng.normal(0, 1.9, spec.genes) + rng.normal(0, 0.35, (len(TYPES), 1, spec.genes))
    odds = np.repeat(odds + 2.5 * (rng.random(odds.shape) < 0.03), len(CONDITIONS), axis=1)
    changes = rng.normal(0, 1, (len(CONDITIONS) - 1, spec.genes))  # of mild and severe cases
    odds[:, 1:] += changes * (rng.random(changes.shape) < 0.04)
    return odds.astype(np.float32)


def _known_odds() -> dict[str, NDArray[np.float64]]:
    """(types, conditions): log odds that a gene with a role is detected."""
    shape = (len(TYPES), len(CONDITIONS))
    known = {name: np.full(shape, 5.0) for name in ABUNDANT} | {OUTLIER: np.full(shape, -2.5)}
    for i, each in enumerate(TYPES):
        for name in each.markers.split():
            known.setdefault(name, np.full(shape, -4.5))[i] = 1.5
        response = RESPONSE[each.lineage] * np.array([0, MILD, 1])
        for name in INTERFERON:
            known.setdefault(name, np.empty(shape))[i] = response - 3.2
    return known


# --- embeddings -----------------------------------------------------------------------------


def draw_points(spec: AtlasSpec, cells: Cells, start: int) -> dict[str, NDArray[np.float32]]:
    """Points of consecutive cells, which begin at row `start`, in every embedding."""
    rng = stream_rng(spec, Stream.POINT, 1 + start)
    n = len(cells.type)
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Most cells of a type are within its width; a few are strays.
    offset = direction * rng.random((n, 1)) ** 0.5 + rng.normal(0, 0.05, (n, 3))
    middle = _on_paths(cells)
    width = np.array([each.width for each in TYPES])[cells.type, None]
    umap = _warp(middle + 1.15 * width * offset, 0.5)
    doublets = np.flatnonzero(rng.random(n) < DOUBLETS)
    others = rng.integers(n, size=len(doublets))
    umap[doublets] += rng.random((len(doublets), 1)) * (umap[others] - umap[doublets])
    found = {"X_umap_2d": umap[:, :2], "X_umap_3d": umap, "X_tsne": _tsne(cells, offset)}
    return {name: points.astype(np.float32) for name, points in found.items()}


def _on_paths(cells: Cells) -> NDArray[np.float64]:
    """(n, 3): where each cell would be if it were on the path of its type."""
    tables = np.empty((len(TYPES), STEPS, 3))
    for table, each in zip(tables, TYPES, strict=True):
        corners = np.array(each.path)
        lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        at = np.concatenate(([0], np.cumsum(lengths))) / lengths.sum()
        t = np.linspace(0, 1, STEPS)
        table[:, :2] = np.column_stack([np.interp(t, at, corner) for corner in corners.T])
        table[:, 2] = 1.6 * each.level + 0.8 * np.sin(3 * t + len(each.name))
    return tables[cells.type, (cells.along * (STEPS - 1)).astype(int)]


def _warp(points: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    """Bend space by a few waves, so that groups of cells have no simple outlines."""
    bent = points.copy()
    for length, part in ((5.0, 1.0), (2.1, 0.55), (0.9, 0.28)):
        for axis in range(points.shape[1]):
            for other in range(points.shape[1]):
                if other != axis:
                    phase = 1.7 * axis + 2.9 * other + length
                    wave = np.sin(2 * np.pi * bent[:, other] / length + phase)
                    bent[:, axis] += amount * part * length / 9 * wave
    return bent


def _tsne(cells: Cells, offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2): types as disks that fill a larger disk, as t-SNE packs them."""
    shares = np.array([each.share for each in TYPES])
    order = np.argsort(np.argsort(-shares))
    outward = np.cumsum(np.sort(shares)[::-1])[order] - shares / 2
    centers = 34 * np.sqrt(outward / shares.sum())[:, None]
    centers = centers * np.column_stack((np.cos(TURN * order), np.sin(TURN * order)))
    angle = 2 * np.pi * cells.along + 0.6 * offset[:, 0]
    reach = np.sqrt(np.abs(offset[:, 1]) * 0.6 + 0.4 * np.abs(offset[:, 2]))[:, None]
    disk = reach * np.column_stack((np.cos(angle), np.sin(angle)))
    radius = 33 * np.sqrt(np.maximum(shares, 0.003) / shares.sum())[cells.type, None]
    return 4 * _warp((centers[cells.type] + radius * disk) / 4, 0.4)
