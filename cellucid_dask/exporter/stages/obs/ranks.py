"""Outlier quantiles and centroids of one column, from the distances of all its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32, encode_values
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.distances import distance_path
from cellucid_dask.exporter.stages.obs.outliers import outlier_quantiles, quantile_distances
from cellucid_dask.exporter.stages.obs.spaces import Space
from cellucid_dask.files import Receipt, read_array, write_file
from cellucid_dask.format import Resource, safe, value_ext
from cellucid_dask.source.storage.file_array import ROWS_PER_READ


@dataclass(frozen=True, slots=True)
class RankSettings:
    """What ranking needs to know of the run.

    Parameters
    ----------
    folder, scratch
        The export being made, and its scratch.
    n_cells
        Length of every vector.
    quantile, min_points
        As in `cellucid_dask.options.ExportOptions`.
    bits, level
        Quantization and gzip level of the outlier quantiles.
    """

    folder: str
    scratch: str
    n_cells: int
    quantile: float | None
    min_points: int
    bits: int | None
    level: int


def rank_column(
    settings: RankSettings,
    number: int,
    column: CodedColumn,
    points: Sequence[Space],
    means: tuple[str, int, int],
) -> tuple[Receipt, str]:
    """Write the outlier quantiles of a column, and its centroids to scratch.

    Parameters
    ----------
    number
        Of the column, in its distance files.
    points
        Embeddings, in the order their coordinates have at the end of the means.
    means
        File of the means, its number of columns, and the first row of this column's categories.

    Returns
    -------
    The receipt of the quantiles, and an .npz of ``position-D`` (K, d) and ``n-D`` (K,), where
    a category without centroid has 0 points.
    """
    codes = column.read(0, settings.n_cells)
    counts = np.bincount(codes, minlength=column.code.missing + 1)[: column.n_categories]
    receipt = _write_outliers(settings, number, column, codes, counts)
    path, width, base = means
    table = read_array(path, "float64", base * width, column.n_categories * width)
    centers = table.reshape(-1, width)[:, :-1]
    first = centers.shape[1] - sum(space.width for space in points)
    arrays: dict[str, NDArray[Any]] = {}
    for space in points:
        distance = read_array(distance_path(settings.scratch, number, space.name), "float32")
        mean = centers[:, first : first + space.width]
        first += space.width
        position, n = _centroids(settings, space, codes, distance, counts, mean)
        arrays |= {f"position-{space.name}": position, f"n-{space.name}": n}
    archive = str(Path(settings.scratch, f"centroids-{number}.npz"))
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    return receipt, archive


def _write_outliers(
    settings: RankSettings,
    number: int,
    column: CodedColumn,
    codes: NDArray[Any],
    counts: NDArray[np.int64],
) -> Receipt:
    distance = read_array(distance_path(settings.scratch, number, "latent"), "float32")
    ranks = outlier_quantiles(codes, distance, counts, settings.min_points)
    # Ranks are spread evenly: to search all of them for repeats takes time and finds none.
    encoded = encode_values(ranks, settings.bits, settings.level, runs=settings.bits is not None)
    ext, gz = value_ext(settings.bits), settings.level > 0
    resource = Resource("outliers", safe(column.key), ext=ext, gz=gz)
    return write_file(settings.folder, resource, [encoded.payload], encoded.span)


def _centroids(
    settings: RankSettings,
    space: Space,
    codes: NDArray[Any],
    distance: Float32,
    counts: NDArray[np.int64],
    mean: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Means over the cells of each category that are not its outliers, and how many they are.

    Returns
    -------
    (K, d) positions, and (K,) numbers of cells; 0 where a category has no centroid.
    """
    k, least = counts.size, settings.min_points
    quantile = float(settings.quantile or 0)
    limits = np.append(quantile_distances(codes, distance, counts, quantile), -1.0)
    kept, sums = np.zeros(k, np.int64), np.zeros((k, space.width))
    for start in range(0, codes.size, ROWS_PER_READ):
        stop = min(start + ROWS_PER_READ, codes.size)
        chosen = np.minimum(codes[start:stop], k)
        chosen[~(distance[start:stop] <= limits[chosen])] = k  # cells that do not count
        kept += np.bincount(chosen, minlength=k + 1)[:k]
        rows = space.read_points(start, stop)
        for axis in range(space.width):
            sums[:, axis] += np.bincount(chosen, weights=rows[:, axis], minlength=k + 1)[:k]
    enough = (kept >= least) & (counts > least)
    used = np.where(counts >= least, np.where(enough, kept, counts), 0)
    return np.where(enough[:, None], sums / np.maximum(kept, 1)[:, None], mean), used
