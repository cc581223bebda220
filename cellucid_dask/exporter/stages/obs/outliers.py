"""How far from the mean of its category a cell is: ranks and quantiles of distances, by sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import Float32


def sortable_bits(distance: Float32) -> NDArray[np.uint32]:
    """(n,) numbers in the order of the distances, which are not negative; those of NaN last.

    The bits of such float32 rise with their value; every NaN gets the same ones.
    """
    return np.where(np.isnan(distance), np.float32(np.nan), distance).view(np.uint32)


def order_by_distance(codes: NDArray[Any], distance: Float32) -> NDArray[np.int64]:
    """Order of the cells by code, then by distance; (n,) uint8 or uint16, and float32.

    Numbers that hold a distance and its cell are sorted, which numpy does with vector
    instructions; then the codes in that order, which numpy does by radix. One sort by both
    that moves places, not numbers, takes twice as long.
    """
    assert codes.size < 1 << 32
    keys = sortable_bits(distance).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(codes.size, dtype=np.uint32)
    keys.sort()
    keys &= np.uint64(0xFFFFFFFF)
    order = keys.view(np.int64)
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
    order = order_by_distance(codes, distance)[: int(counts.sum())]
    out = np.full(codes.size, np.nan, np.float32)
    if not order.size:
        return out
    rank = _rank_ties(codes[order], sortable_bits(distance)[order])
    starts = np.cumsum(counts) - counts
    rank -= np.repeat(starts.astype(rank.dtype), counts)
    shares = rank.astype(np.float32)
    sizes = np.where(counts >= min_points, counts, np.nan).astype(np.float32)
    shares /= np.repeat(sizes, counts)
    out[order] = shares
    return out


def _rank_ties(category: NDArray[Any], bits: NDArray[np.uint32]) -> NDArray[Any]:
    """(n,) places from 1 of cells in order; cells that tie share the last of their places."""
    n = bits.size
    tied = np.zeros(n, bool)  # with the next cell
    np.equal(bits[1:], bits[:-1], out=tied[:-1])
    tied[:-1] &= category[1:] == category[:-1]
    rank = np.arange(1, n + 1, dtype=np.int32 if n < 1 << 31 else np.int64)
    rank[tied] = n
    np.minimum.accumulate(rank[::-1], out=rank[::-1])
    return rank


def quantile_distances(
    codes: NDArray[Any], distance: Float32, counts: NDArray[np.int64], quantile: float
) -> NDArray[np.float64]:
    """(K,) quantile of the distances in each category, exact, with linear interpolation."""
    keys = codes.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= sortable_bits(distance)
    keys.sort()
    ordered = keys.astype(np.uint32).view(np.float32)
    starts = np.cumsum(counts) - counts
    last = np.maximum(counts - 1, 0)
    place = last * quantile
    nearest = np.rint(place)  # 0.7 of 90 is 63, not the 62.99999999999999 of the machine
    place = np.where(np.abs(place - nearest) < 1e-9 * np.maximum(nearest, 1), nearest, place)
    low = np.floor(place).astype(np.int64)
    top = max(ordered.size - 1, 0)
    below = ordered[np.minimum(starts + low, top)].astype(np.float64)
    above = ordered[np.minimum(starts + np.minimum(low + 1, last), top)].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return below + (above - below) * (place - low)
