"""Outlier quantiles of a ready file: how far a cell is from the mean of its category.

All sums are float64 and are added in the order of the cells, and squares in that of the columns, so
that the quantiles are those of the public writer, and cells at one distance get one quantile.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.columns import category_codes, n_categories
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.ready.layout import vector_node
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.source.arrays.block_reader import BlockReader
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.row_blocks import RowBlocks

PATH: Final = "uns/cellucid/outlierQuantiles/fields"
STEP: Final = 1 << 15  # cells of a step of arithmetic, unless there are more categories
CELL_BYTES: Final = 40  # of a cell while its distance is ranked: code, place, distances, rank
STEP_BYTES: Final = 40  # of a cell of a step


def outlier_units(catalog: ReadyCatalog, stores: ChunkStores) -> list[Unit]:
    """One unit for each column with outlier quantiles."""
    units = []
    for number in catalog.outliers:
        column = catalog.obs[number]
        node = vector_node(f"{PATH}/{column.layout.key}", catalog.n_cells, "<f4")
        key = f"uns/outliers/{column.layout.key}"
        latent = catalog.source.obsm[catalog.latent]
        arguments = (stores, key, node, column, latent, catalog.min_points)
        units.append(Unit(key, write_outliers, arguments))
    return units


def outlier_bytes(catalog: ReadyCatalog) -> int:
    """Memory of the largest of these units.

    That of the cells while they are ranked; or their codes and distances, a block of the latent
    space, and the sums and means of the categories.
    """
    if not catalog.outliers:
        return 0
    latent = catalog.source.obsm[catalog.latent]
    assert isinstance(latent, RowArray)  # survey_outliers() refused what cannot be read
    blocks = RowBlocks.of(latent)
    columns = [catalog.obs[number] for number in catalog.outliers]
    most = max((n_categories(c) for c in columns if c.layout.kind != "text"), default=0)
    sums = 2 * 8 * (most + 1) * blocks.width
    measured = 16 * catalog.n_cells + blocks.n_bytes + sums + STEP_BYTES * max(STEP, most)
    return max(CELL_BYTES * catalog.n_cells, measured)


def write_outliers(
    stores: ChunkStores,
    key: str,
    node: ArrayNode,
    column: ReadyColumn,
    latent: RowArray,
    min_points: int,
) -> ReadyWork:
    """Write the outlier quantiles of a column."""
    if column.layout.kind == "text":  # every cell is all of its category, and so its mean
        quantiles = np.ones(node.shape, np.float32)
    else:
        quantiles = find_quantiles(column, latent, min_points)
    with ChunkWriter(stores) as writer:
        for chunk in range(node.n_chunks):
            writer.write(node, chunk, quantiles[node.region(chunk)])
        return writer.work(key)


def find_quantiles(column: ReadyColumn, latent: RowArray, min_points: int) -> NDArray[np.float32]:
    """(n_cells,) share of the category that is as near to its mean; NaN where there is none.

    Parameters
    ----------
    latent
        (n_cells, d) finite numbers.
    min_points
        Cells of a category that has quantiles, at least.
    """
    groups, counts = _read_groups(column, min_points)
    if not counts.size:
        return np.full(groups.size, np.nan, np.float32)
    means = _sum_groups(groups, counts.size, latent)
    means[:, :-1] /= counts
    return _rank(groups, counts, _measure(groups, means, latent))


def _read_groups(column: ReadyColumn, min_points: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Number the categories that have quantiles; cells of no such category get the next number.

    Returns
    -------
    (n_cells,) numbers in the smallest type, which sorts fastest; and (K,) cells of each.
    """
    n = n_categories(column)
    groups = np.empty(column.column.length, np.min_scalar_type(n))
    counts = np.zeros(n + 1, np.int64)
    for start, stop in column.column.steps():
        codes = category_codes(column, start, stop)
        codes[codes < 0] = n
        counts += np.bincount(codes, minlength=n + 1)
        groups[start:stop] = codes
    scored = counts[:n] >= min_points
    k = int(scored.sum())
    numbers = np.full(n + 1, k, groups.dtype)
    numbers[:n][scored] = np.arange(k)
    for start, stop in column.column.steps():
        groups[start:stop] = numbers[groups[start:stop]]
    return groups, counts[:n][scored]


def _step(n_groups: int) -> int:
    """Cells of a step: a step takes a walk through the sums of all groups."""
    return max(STEP, n_groups)


def _sum_groups(groups: NDArray[Any], n_groups: int, latent: RowArray) -> NDArray[np.float64]:
    """(d, n_groups + 1) sums of the coordinates of each group, added cell by cell."""
    sums = np.zeros((latent.shape[1], n_groups + 1))
    reader, step = BlockReader(latent), _step(n_groups)
    before = np.arange(n_groups + 1)
    for first in range(0, groups.size, step):
        for start, part in reader.parts(first, min(first + step, groups.size)):
            rows = part.astype(np.float32, copy=False)
            # The sums so far come first, so that each value is added to the sum of those before.
            places = np.concatenate([before, groups[start : start + len(rows)]])
            for axis, total in enumerate(sums):
                total[:] = np.bincount(places, np.concatenate([total, rows[:, axis]]))
    return sums


def _measure(
    groups: NDArray[Any], means: NDArray[np.float64], latent: RowArray
) -> NDArray[np.float64]:
    """(n_cells,) distance of each cell to the mean of its group, squares added by column."""
    distances = np.zeros(groups.size)
    reader, step = BlockReader(latent), _step(means.shape[1] - 1)
    for first in range(0, groups.size, step):
        for start, part in reader.parts(first, min(first + step, groups.size)):
            rows = part.astype(np.float32, copy=False)
            group = groups[start : start + len(rows)]
            squares = distances[start : start + len(rows)]
            for axis, mean in enumerate(means):
                difference = rows[:, axis] - mean[group]
                difference *= difference
                squares += difference
            np.sqrt(squares, out=squares)
    return distances


def _rank(
    groups: NDArray[Any], counts: NDArray[np.int64], distances: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(n_cells,) cells of a group at the distance of a cell or nearer, divided by its cells."""
    quantiles = np.full(groups.size, np.nan, np.float32)
    order = np.argsort(groups, kind="stable")
    del groups
    distances = distances[order]
    ends = np.cumsum(counts)
    for end, n in zip(ends.tolist(), counts.tolist(), strict=True):
        group = distances[end - n : end]
        nearer = np.searchsorted(np.sort(group), group, side="right")
        quantiles[order[end - n : end]] = nearer.astype(np.float32) / np.float32(n)
    return quantiles
