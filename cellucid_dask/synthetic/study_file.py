"""A synthetic study of blood as an .h5ad file, written out of core."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.synthetic.cell_types import CONDITIONS, DONORS, LINEAGES, OUTLIER, TYPES
from cellucid_dask.synthetic.draw import (
    CELLS,
    MISSED,
    AtlasSpec,
    Rows,
    Stream,
    draw_expression,
    graph,
    stream_rng,
)
from cellucid_dask.synthetic.hdf5 import (
    create_file,
    tag,
    tag_frame,
    write_array,
    write_categorical,
    write_sparse,
    write_strings,
)
from cellucid_dask.synthetic.study import (
    Cells,
    detection,
    draw_cells,
    draw_points,
    gene_ids,
    study_genes,
)

OUTLYING: Final = 48.0  # the value of one cell; the others have at most about 9
PARTS: Final = 3  # of the largest types in the clustering
LATENT: Final = 20


def write_study(path: str | Path, *, cells: int, genes: int, seed: int = 0) -> None:
    """Write a study to an h5ad file, which has its name only once it is complete.

    Equal arguments give equal files. A file there is replaced.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    spec = AtlasSpec(cells, genes, categoricals=(), latent=LATENT, seed=seed)
    drawn = draw_cells(spec)
    totals = np.zeros(cells, np.int64)
    try:
        with create_file(partial) as file:
            tag(file, "anndata", "0.1.0")
            for name in ("obsm", "obsp", "layers", "uns", "varm", "varp"):
                tag(file.create_group(name), "dict", "0.1.0")
            names = study_genes(spec)
            blocks = _expression(spec, drawn, names, totals)
            write_sparse(file, "X", (cells, genes), blocks)
            place = drawn.type.astype(np.int32) << 16 | (drawn.along * 65535).astype(np.int32)
            write_sparse(file["obsp"], "connectivities", (cells, cells), graph(spec, place))
            _write_points(file["obsm"], spec, drawn)
            _write_obs(file, spec, drawn, totals)
            var = file.create_group("var")
            write_strings(var, "_index", genes, names.__getitem__)
            write_strings(var, "gene_ids", genes, gene_ids(names).__getitem__)
            tag_frame(var, ["gene_ids"])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _expression(
    spec: AtlasSpec, cells: Cells, names: list[str], totals: NDArray[np.int64]
) -> Iterator[Rows]:
    """Rows of X; one cell has far more of one gene than all others."""
    kinds, limits = detection(spec, cells, names)
    outlier, is_set = names.index(OUTLIER) if OUTLIER in names else -1, False
    for rows in draw_expression(spec, kinds, limits, totals):
        found = np.flatnonzero(rows.indices == outlier)
        if len(found) and not is_set:
            rows.values[found[len(found) // 2]] = OUTLYING
            is_set = True
        yield rows


def _write_points(obsm: h5py.Group, spec: AtlasSpec, cells: Cells) -> None:
    """Write embeddings, and ``X_pca``."""
    n_types = len(TYPES)
    fading = 1 / np.sqrt(1 + np.arange(LATENT) / 4)  # as the variance of components does
    rng = stream_rng(spec, Stream.POINT)
    centers = fading * rng.normal(0, 4, (n_types, LATENT))
    ways = fading * rng.normal(0, 1.5, (n_types, LATENT))  # along the path of each type
    dimensions = {"X_pca": LATENT, "X_umap_2d": 2, "X_umap_3d": 3, "X_tsne": 2}
    for name, dimension in dimensions.items():
        tag(obsm.create_dataset(name, (spec.cells, dimension), "f4"), "array", "0.2.0")
    for start in range(0, spec.cells, CELLS):
        chunk = cells.part(start, start + CELLS)
        noise = stream_rng(spec, Stream.SCORE, 1 + start).standard_normal((len(chunk.type), LATENT))
        latent = centers[chunk.type] + ways[chunk.type] * chunk.along[:, None] + fading * noise
        for name, points in {"X_pca": latent, **draw_points(spec, chunk, start)}.items():
            obsm[name][start : start + len(chunk.type)] = points


def _write_obs(file: h5py.File, spec: AtlasSpec, cells: Cells, totals: NDArray[np.int64]) -> None:
    """Write ``obs``, and the colors that go with it into ``uns``."""
    obs = file.create_group("obs")
    write_strings(obs, "_index", spec.cells, barcode)
    by_name = sorted(range(len(TYPES)), key=lambda i: TYPES[i].name.lower())  # as pandas does
    type_code = np.argsort(by_name).astype(np.int8)[cells.type]
    lineages = [*LINEAGES]
    lineage_code = np.array([lineages.index(each.lineage) for each in TYPES], np.int8)[cells.type]
    clusters = _clusters(cells)
    n_clusters = int(clusters.max()) + 1
    conditions = [*CONDITIONS]
    write_categorical(obs, "cell_type", type_code, len(TYPES), lambda i: TYPES[by_name[i]].name)
    write_categorical(obs, "lineage", lineage_code, len(lineages), lineages.__getitem__)
    write_categorical(obs, "leiden", clusters, n_clusters, str)
    write_categorical(obs, "condition", cells.condition, len(conditions), conditions.__getitem__)
    write_categorical(obs, "donor", cells.donor, DONORS, _donor_name)
    rng = stream_rng(spec, Stream.COLUMN)
    percent = 100 * rng.beta(2, 40, spec.cells)
    percent[rng.random(spec.cells) < MISSED] = np.nan
    cycling = np.array(["MKI67" in each.markers for each in TYPES])[cells.type]
    score = rng.normal(-0.1, 0.12, spec.cells) + cycling * rng.uniform(0.3, 1.2, spec.cells)
    values: dict[str, NDArray[Any]] = {
        "n_counts": totals.astype(np.float32),
        "pct_mito": percent,
        "S_score": score.astype(np.float32),
    }
    for name, column in values.items():
        write_array(obs, name, column)
    tag_frame(obs, ["cell_type", "lineage", "leiden", "condition", "donor", *values])
    shades = {
        "cell_type": [TYPES[i].color for i in by_name],
        "lineage": [*LINEAGES.values()],
        "condition": [*CONDITIONS.values()],
    }
    for key, colors in shades.items():
        write_strings(file["uns"], f"{key}_colors", len(colors), colors.__getitem__)


def _clusters(cells: Cells) -> NDArray[np.int8]:
    """Clusters as an algorithm finds them: types or parts of them, the largest first."""
    shares = np.array([each.share for each in TYPES])
    parts = np.where(shares > 0.1, PARTS, np.where(shares > 0.03, PARTS - 1, 1))
    part = np.minimum((cells.along * parts[cells.type]).astype(int), parts[cells.type] - 1)
    found = cells.type.astype(int) * PARTS + part
    sizes = np.bincount(found, minlength=len(TYPES) * PARTS)
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    return rank[found].astype(np.int8)


def _donor_name(donor: int) -> str:
    per_condition = DONORS // len(CONDITIONS)
    return f"{[*CONDITIONS][donor // per_condition][0].upper()}{donor % per_condition + 1}"


def barcode(cell: int) -> str:
    """Barcode of a cell, as those of 10x Genomics: 16 bases; no two cells have the same."""
    mixed = (cell * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF  # odd factor: one to one
    mixed ^= mixed >> 16
    mixed = mixed * 0x85EBCA6B & 0xFFFFFFFF
    halves = _eight_bases()
    return f"{halves[mixed >> 16]}{halves[mixed & 0xFFFF]}-1"


@functools.cache
def _eight_bases() -> list[str]:
    return ["".join(bases) for bases in itertools.product("ACGT", repeat=8)]
