"""Outlier quantiles and centroids of one column, from the distances of all its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32, encode_values
from cellucid_dask.exporter.receipts import ColumnSummary
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.distances import distance_path
from cellucid_dask.exporter.stages.obs.outliers import outlier_quantiles, quantile_distances
from cellucid_dask.exporter.stages.obs.spaces import LATENT, Space, total_width
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
    spaces: Sequence[Space],
    means: tuple[str, int],
) -> ColumnSummary:
    """Write the outlier quantiles of a column, and its centroids to scratch.

    Parameters
    ----------
    number
        Of the column, in its distance files.
    spaces
        In which distances were measured: quantiles are of the latent space, centroids of others.
    means
        File of the means, and the first row of this column's categories.
    """
    codes = column.read(0, settings.n_cells)
    counts = np.bincount(codes, minlength=column.code.missing + 1)[: column.n_categories]
    path, base = means
    width = total_width(spaces) + 1  # the last column counts cells
    table = read_array(path, "float64", base * width, column.n_categories * width)
    centers, first = table.reshape(-1, width), 0
    receipt, arrays = None, dict[str, NDArray[Any]]()
    for space in spaces:
        mean = centers[:, first : first + space.width]
        first += space.width
        if space.name == LATENT:
            receipt = _write_outliers(settings, number, column, codes, counts)
            continue
        distance = read_array(distance_path(settings.scratch, number, space.name), "float32")
        position, n = _centroids(settings, space, codes, distance, counts, mean)
        arrays |= {f"position-{space.name}": position, f"n-{space.name}": n}
    if not arrays:
        return ColumnSummary(receipt)
    archive = str(Path(settings.scratch, f"centroids-{number}.npz"))
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    return ColumnSummary(receipt, archive)


def _write_outliers(
    settings: RankSettings,
    number: int,
    column: CodedColumn,
    codes: NDArray[Any],
    counts: NDArray[np.int64],
) -> Receipt:
    distance = read_array(distance_path(settings.scratch, number, LATENT), "float32")
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
