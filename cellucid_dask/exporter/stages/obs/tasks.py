"""obs: values and codes, and per category the centroids and the outlier quantiles.

The last two are reductions. Every column is coded first; then one pass over the latent space
and the points sums them by category, for all columns at once, in float64; a second gives the
distance of every cell to the mean of its category; and a sort per column turns distances into
quantiles, ranks and centroids. The cost does not grow with the number of categories.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import Float32, encode_values, packed
from cellucid_dask.exporter.obs_memory import cached_cells, measured_cells, summed_cells
from cellucid_dask.exporter.stages.obs.spaces import Space, SpaceReader, total_width
from cellucid_dask.files import (
    Receipt,
    bytes_of,
    name_path_in_errors,
    read_array,
    write_arrays,
    write_file,
)
from cellucid_dask.format import Code, Resource, safe, value_ext
from cellucid_dask.source.storage.store import ROWS

if TYPE_CHECKING:
    from cellucid_dask.source.columns import Column

BLOCK = ROWS  # cells whose coordinates are added up before they are added to others


@dataclass(frozen=True, slots=True)
class Coded:
    """A categorical column whose codes lie in scratch.

    Parameters
    ----------
    key
        Name of the column.
    n_categories, code
        How many, and how they are stored.
    path
        (n_cells,) codes, uncompressed.
    """

    key: str
    n_categories: int
    code: Code
    path: str

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Codes of cells `start` to `stop`; those of missing ones are the highest."""
        return read_array(self.path, self.code.dtype, start, stop - start)


# ------------------------------------------------------------------------- values and codes


def write_column(
    folder: str, column: Column, coded: Coded | None, key: str, bits: int | None, level: int
) -> Receipt:
    """Write a column of either kind; `coded` is None for a continuous one."""
    if coded is None:
        return write_values(folder, key, column, bits, level)
    return write_codes(folder, column, coded, level)


def write_values(folder: str, key: str, column: Column, bits: int | None, level: int) -> Receipt:
    """Write a continuous column."""
    encoded = encode_values(column.values(), bits, level)
    resource = Resource("values", safe(key), ext=value_ext(bits), gz=level > 0)
    return write_file(folder, resource, [encoded.payload], encoded.span)


def write_codes(folder: str, column: Column, coded: Coded, level: int) -> Receipt:
    """Write the codes of a categorical column, and again uncompressed to scratch."""
    codes = column.codes()
    stored = np.where(codes < 0, coded.code.missing, codes).astype(coded.code.dtype)
    write_arrays(coded.path, [stored])
    resource = Resource("codes", safe(coded.key), ext=coded.code.ext, gz=level > 0)
    return write_file(folder, resource, packed([stored], level))


# -------------------------------------------------------------------------- sums by category


def sum_span(
    columns: Sequence[Coded], spaces: Sequence[Space], span: tuple[int, int], path: str
) -> int:
    """Sum the coordinates of the cells of `span` by category, for all columns at once.

    Writes (categories of all columns, coordinates of all spaces + 1) float64 to `path`; the
    last column counts cells. The order in which numbers are added, and so every bit of the sums,
    depends on the cells alone: those of each block of `BLOCK` cells are added one by one, then the
    sums of the blocks.

    Returns
    -------
    Cells whose latent coordinates are not finite.
    """
    width, most = total_width(spaces) + 1, max(column.n_categories for column in columns)
    totals = [np.zeros((column.n_categories, width)) for column in columns]
    step = min(summed_cells(width, most), span[1] - span[0])
    n_bad, reader = 0, SpaceReader(spaces)
    buffer = np.ones((most + step, width))  # room for sums above the cells; the last column counts
    for first in range(*span, BLOCK):
        last = min(first + BLOCK, span[1])
        sums: list[NDArray[np.float64]] = []
        for start in range(first, last, step):
            stop = min(start + step, last)
            bottom = most + stop - start
            wide = reader.fill(buffer[most:bottom, :-1], start, stop)
            if not np.isfinite(wide.sum()):
                n_bad += int((~np.isfinite(wide)).any(axis=1).sum())
            for i, column in enumerate(columns):
                codes = column.read(start, stop)
                if start == first:
                    sums.append(_sum_cells(column, codes, buffer[most:bottom]))
                    continue
                rows = buffer[most - column.n_categories : bottom]
                rows[: column.n_categories] = sums[i]
                sums[i] = _sum_cells(column, codes, rows)
        for total, more in zip(totals, sums, strict=True):
            total += more
    write_arrays(path, totals)
    return n_bad


def _sum_cells(
    column: Coded, codes: NDArray[Any], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum rows by category, one after the other: each row counts once it is added to a sum.

    Parameters
    ----------
    codes
        (n,) of the last `n` of `rows`. Those before, if any, are sums: one for each category.

    Returns
    -------
    (n_categories, width) sums.
    """
    there = codes != column.code.missing
    before = np.arange(len(rows) - codes.size, dtype=np.int32)
    kinds = np.concatenate([before, codes[there]])
    pointers = np.concatenate([before, before.size + np.cumsum(np.append(0, there))])
    shape = (column.n_categories, len(rows))
    parts = (np.ones(kinds.size), kinds, pointers)
    summed: NDArray[np.float64] = sparse.csc_array(parts, shape=shape) @ rows
    return summed


def mean_of_spans(paths: Sequence[str], width: int, path: str) -> None:
    """Add partial sums in the order of the cells, whoever made them, and divide by the counts."""
    total = np.fromfile(paths[0]).reshape(-1, width)
    for other in paths[1:]:
        total += np.fromfile(other).reshape(-1, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        total[:, :-1] /= total[:, -1:]
    write_arrays(path, [total])


# --------------------------------------------------------------------------------- distances


def distance_path(scratch: str, column: int, space: str) -> str:
    """Scratch file of the distances of column number `column` in `space`."""
    return str(Path(scratch, f"distance-{column}-{space}.f32"))


def measure(
    columns: Sequence[tuple[int, Coded]],
    spaces: Sequence[Space],
    span: tuple[int, int],
    means: str,
    scratch: str,
) -> None:
    """Write the float32 distance of each cell of `span` to the mean of its category.

    NaN where a cell has no category. Files are of all cells, each span writes its own part.
    """
    width = total_width(spaces) + 1
    table = np.fromfile(means).reshape(-1, width)[:, :-1].astype(np.float32)
    with ExitStack() as stack:
        files = {
            (i, space.name): stack.enter_context(
                open_at(distance_path(scratch, i, space.name), 4 * span[0])
            )
            for i, _ in columns
            for space in spaces
        }
        step = min(measured_cells(width), span[1] - span[0])
        buffer, reader = np.empty((step, width - 1), np.float32), SpaceReader(spaces)
        for start in range(*span, step):
            stop = min(start + step, span[1])
            rows, base = reader.fill(buffer[: stop - start], start, stop), 0
            for i, column in columns:
                centers = table[base : base + column.n_categories]
                base += column.n_categories
                distances = _distances(column, start, stop, rows, centers, spaces)
                for space, distance in zip(spaces, distances, strict=True):
                    file = files[i, space.name]
                    with name_path_in_errors(str(file.name)):
                        file.write(bytes_of(distance))


def _distances(
    column: Coded,
    start: int,
    stop: int,
    rows: NDArray[Any],
    centers: Float32,
    spaces: Sequence[Space],
) -> list[Float32]:
    """Distances in each space, in steps that stay in the caches."""
    codes, step = column.read(start, stop), cached_cells(rows.shape[1])
    out = [np.full(codes.size, np.nan, np.float32) for _ in spaces]
    if not column.n_categories:
        return out
    for first in range(0, codes.size, step):
        here = slice(first, min(first + step, codes.size))
        gap = np.take(centers, codes[here], axis=0, mode="clip")  # a missing code is the highest
        with np.errstate(over="ignore", invalid="ignore"):
            gap -= rows[here]
            done = 0
            for space, distance in zip(spaces, out, strict=True):
                part = gap[:, done : done + space.width]
                np.sqrt(np.einsum("ij,ij->i", part, part), out=distance[here])
                done += space.width
    for distance in out:
        distance[codes == column.code.missing] = np.nan
    return out


def open_at(path: str, offset: int) -> BufferedWriter:
    """Open a file that other tasks write too, at a place of one's own."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
    file.seek(offset)
    return file


# ------------------------------------------------------------------------ ranks and centroids


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
    column: Coded,
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
    distance = read_array(distance_path(settings.scratch, number, "latent"), "float32")
    ranks = outlier_quantiles(codes, distance, counts, settings.min_points)
    # Ranks are spread evenly: a full search for repeats takes its time and finds none.
    encoded = encode_values(ranks, settings.bits, settings.level, runs=settings.bits is not None)
    ext, gz = value_ext(settings.bits), settings.level > 0
    resource = Resource("outliers", safe(column.key), ext=ext, gz=gz)
    receipt = write_file(settings.folder, resource, [encoded.payload], encoded.span)
    del ranks, encoded
    path, width, base = means
    table = read_array(path, "float64", base * width, column.n_categories * width)
    centers = table.reshape(-1, width)[:, :-1]
    done = centers.shape[1] - sum(space.width for space in points)
    found: dict[str, NDArray[Any]] = {}
    for space in points:
        distance = read_array(distance_path(settings.scratch, number, space.name), "float32")
        mean = centers[:, done : done + space.width]
        done += space.width
        position, n = _centroids(settings, space, codes, distance, counts, mean)
        found |= {f"position-{space.name}": position, f"n-{space.name}": n}
    archive = str(Path(settings.scratch, f"centroids-{number}.npz"))
    np.savez(archive, **found)  # type: ignore[arg-type]
    return receipt, archive


def by_distance(codes: NDArray[Any], distance: Float32) -> NDArray[np.intp]:
    """Order of the cells by code, then by distance; (n,) uint8 or uint16, and float32.

    The bits of non-negative float32 rise with their value, those of NaN lie above all. Three
    stable sorts of 16 bits, which numpy does by radix, take a third of one sort of 64 bits.
    """
    bits = np.where(np.isnan(distance), np.float32(np.nan), distance).view(np.uint32)
    order = np.argsort(bits.astype(np.uint16), kind="stable")
    high = (bits >> np.uint32(16)).astype(np.uint16)
    order = order[np.argsort(high[order], kind="stable")]
    return order[np.argsort(codes[order], kind="stable")]


def outlier_quantiles(
    codes: NDArray[Any],
    distance: Float32,
    counts: NDArray[np.int64],
    min_points: int,
) -> Float32:
    """(n,) share of the cells of a category that are no farther from its mean than this one.

    NaN where the category has fewer than `min_points` cells, or the cell none.

    Parameters
    ----------
    codes
        (n,) uint8 or uint16; codes of cells without category are above all others.
    distance
        (n,) to the mean of the category.
    counts
        (K,) cells of each category.
    """
    out = np.full(codes.size, np.nan, np.float32)
    order = by_distance(codes, distance)[: int(counts.sum())]
    if not order.size:
        return out
    category, ordered = codes[order], distance[order]
    same = ordered[1:] == ordered[:-1]
    same |= np.isnan(ordered[1:]) & np.isnan(ordered[:-1])
    ends = np.append(np.flatnonzero(~same | (category[1:] != category[:-1])), order.size - 1)
    starts = np.cumsum(counts) - counts
    # Cells that tie share the last of their ranks.
    rank = np.repeat(ends + 1, np.diff(ends, prepend=-1)) - starts[category]
    size = counts.astype(np.float32)[category]
    shares = rank.astype(np.float32) / size
    out[order] = np.where(size >= min_points, shares, np.float32(np.nan))
    return out


def _centroids(
    settings: RankSettings,
    space: Space,
    codes: NDArray[Any],
    distance: Float32,
    counts: NDArray[np.int64],
    mean: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of the cells of each category that are not its outliers, and how many they are."""
    k, least = counts.size, settings.min_points
    limits = np.append(_limits(codes, distance, counts, float(settings.quantile or 0)), -1.0)
    kept, sums = np.zeros(k, np.int64), np.zeros((k, space.width))
    for start in range(0, codes.size, BLOCK):
        stop = min(start + BLOCK, codes.size)
        part = np.minimum(codes[start:stop], k)
        inside = distance[start:stop] <= limits[part]
        chosen, rows = part[inside], space.read_points(start, stop)[inside]
        kept += np.bincount(chosen, minlength=k)
        for axis in range(space.width):
            sums[:, axis] += np.bincount(chosen, weights=rows[:, axis], minlength=k)
    enough = (kept >= least) & (counts > least)
    used = np.where(counts >= least, np.where(enough, kept, counts), 0)
    return np.where(enough[:, None], sums / np.maximum(kept, 1)[:, None], mean), used


def _limits(
    codes: NDArray[Any], distance: Float32, counts: NDArray[np.int64], quantile: float
) -> NDArray[np.float64]:
    """(K,) quantile of the distances in each category, exact, with linear interpolation."""
    ordered = distance[by_distance(codes, distance)]
    starts = np.cumsum(counts) - counts
    last = np.maximum(counts - 1, 0)
    place = last * quantile
    whole = np.rint(place)  # 0.7 of 90 is 63, not the 62.99999999999999 of the machine
    place = np.where(np.abs(place - whole) < 1e-9 * np.maximum(whole, 1), whole, place)
    low = np.floor(place).astype(np.int64)
    top = max(ordered.size - 1, 0)
    below = ordered[np.minimum(starts + low, top)].astype(np.float64)
    above = ordered[np.minimum(starts + np.minimum(low + 1, last), top)].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return below + (above - below) * (place - low)
