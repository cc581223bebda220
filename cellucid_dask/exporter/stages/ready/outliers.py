"""Outlier quantiles of a ready file: how far a cell is from the mean of its category.

All sums are float64 and are added in the order of the cells, and squares in that of the columns, so
that the quantiles are those of the public writer, and cells at one distance get one quantile.

The latent space is read twice, for several columns at once: to read a compressed one takes three
times as long as the arithmetic of one column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.ready.columns import category_codes, n_categories
from cellucid_dask.exporter.planning.ready_memory import STEP, columns_of_unit
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.exporter.stages.ready.units import Unit
from cellucid_dask.ready.layout import vector_node
from cellucid_dask.source.arrays.block_reader import BlockReader
from cellucid_dask.source.arrays.row_array import RowArray

PATH: Final = "uns/cellucid/outlierQuantiles/fields"


def outlier_units(catalog: ReadyCatalog, stores: ChunkStores) -> list[Unit]:
    """Units of some columns with outlier quantiles each, by their places in `outliers`."""
    units, each = [], columns_of_unit(catalog.n_cells)
    for first in range(0, len(catalog.outliers), each):
        chosen = catalog.outliers[first : first + each]
        key = f"uns/outliers/{first}-{first + len(chosen)}"
        columns = [catalog.obs[number] for number in chosen]
        latent = catalog.obsm[catalog.latent]
        what = (stores, key, columns, latent, catalog.min_points)
        paths = tuple(f"{PATH}/{column.layout.key}" for column in columns)
        units.append(Unit(key, write_outliers, what, paths))
    return units


def write_outliers(
    stores: ChunkStores,
    key: str,
    columns: Sequence[ReadyColumn],
    latent: RowArray,
    min_points: int,
) -> ReadyWork:
    """Write the outlier quantiles of some columns."""
    found = find_quantiles(columns, latent, min_points)
    with ChunkWriter(stores) as writer:
        for column, quantiles in zip(columns, found, strict=True):
            node = vector_node(f"{PATH}/{column.layout.key}", latent.shape[0], "<f4")
            for chunk in range(node.n_chunks):
                writer.write(node, chunk, quantiles[node.region(chunk)])
        return writer.work(key)


def find_quantiles(
    columns: Sequence[ReadyColumn], latent: RowArray, min_points: int
) -> Iterator[NDArray[np.float32]]:
    """Share of its category that is as near to the mean as a cell; NaN of cells without.

    Parameters
    ----------
    latent
        (n_cells, d) finite numbers.
    min_points
        Cells of a category that has quantiles, at least.

    Yields
    ------
    (n_cells,) of one column after the other.
    """
    groups = [_Groups.of(c, min_points) for c in columns if c.layout.kind != "text"]
    means = _find_means(groups, latent)
    distances = _measure(groups, means, latent)
    for column in columns:
        if column.layout.kind == "text":  # every cell is all of its category, and so its mean
            yield np.ones(latent.shape[0], np.float32)
        else:
            yield _rank(groups.pop(0), distances.pop(0))


@dataclass(frozen=True, slots=True)
class _Groups:
    """The categories of a column that have quantiles.

    Parameters
    ----------
    numbers
        (n_cells,) in the smallest type, which sorts fastest; cells of no such category have K.
    counts
        (K,) cells of each.
    """

    numbers: NDArray[Any]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, column: ReadyColumn, min_points: int) -> Self:
        """Read the categories of all cells."""
        n = n_categories(column)
        numbers = np.empty(column.column.length, np.min_scalar_type(n))
        counts = np.zeros(n + 1, np.int64)
        for start, stop in column.column.steps():
            codes = category_codes(column, start, stop)
            codes[codes < 0] = n
            counts += np.bincount(codes, minlength=n + 1)
            numbers[start:stop] = codes
        scored = counts[:n] >= min_points
        k = int(scored.sum())
        renumbered = np.full(n + 1, k, numbers.dtype)
        renumbered[:n][scored] = np.arange(k)
        for start, stop in column.column.steps():
            numbers[start:stop] = renumbered[numbers[start:stop]]
        return cls(numbers, counts[:n][scored])


def _read_points(groups: Sequence[_Groups], latent: RowArray) -> Iterator[tuple[int, Any]]:
    """(d, n) float32 coordinates of n cells at a time, with the number of the first.

    A step takes a walk through the sums of all groups: of many groups, more cells share one.
    """
    step = max([STEP, *(group.counts.size for group in groups)])
    reader, n_cells = BlockReader(latent), latent.shape[0]
    for first in range(0, n_cells if groups else 0, step):
        for start, part in reader.parts(first, min(first + step, n_cells)):
            yield start, np.ascontiguousarray(part.T, np.float32)


def _find_means(groups: Sequence[_Groups], latent: RowArray) -> list[NDArray[np.float64]]:
    """(d, K + 1) means of the coordinates of each group, added cell by cell; the last is none."""
    sums = [np.zeros((latent.shape[1], group.counts.size + 1)) for group in groups]
    for start, points in _read_points(groups, latent):
        for group, totals in zip(groups, sums, strict=True):
            # The sums so far come first, so that each value is added to the sum of those before.
            before = np.arange(group.counts.size + 1)
            places = np.concatenate([before, group.numbers[start : start + points.shape[1]]])
            for total, values in zip(totals, points, strict=True):
                total[:] = np.bincount(places, np.concatenate([total, values]))
    for group, totals in zip(groups, sums, strict=True):
        totals[:, :-1] /= group.counts
    return sums


def _measure(
    groups: Sequence[_Groups], means: Sequence[NDArray[np.float64]], latent: RowArray
) -> list[NDArray[np.float64]]:
    """(n_cells,) distances of the cells to the means of their groups, squares added by column."""
    distances = [np.zeros(latent.shape[0]) for _ in groups]
    for start, points in _read_points(groups, latent):
        cells = slice(start, start + points.shape[1])
        for group, centers, found in zip(groups, means, distances, strict=True):
            numbers, squares = group.numbers[cells].astype(np.intp), found[cells]
            for mean, values in zip(centers, points, strict=True):
                difference = values - mean[numbers]
                difference *= difference
                squares += difference
            np.sqrt(squares, out=squares)
    return distances


def _rank(groups: _Groups, distances: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n_cells,) cells of a group at the distance of a cell or nearer, divided by its cells."""
    quantiles = np.full(distances.size, np.nan, np.float32)
    order = np.argsort(groups.numbers, kind="stable")
    distances[:] = distances[order]  # in place: the caller holds them while this runs
    ends = np.cumsum(groups.counts)
    for end, n in zip(ends.tolist(), groups.counts.tolist(), strict=True):
        group = distances[end - n : end]
        nearer = np.searchsorted(np.sort(group), group, side="right")
        quantiles[order[end - n : end]] = nearer.astype(np.float32) / np.float32(n)
    return quantiles
