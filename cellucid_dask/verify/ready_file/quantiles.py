"""Outlier quantiles, computed again from the latent space of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.verify.export_folder.arrays import Array, group_cells
from cellucid_dask.verify.ready_file.contents import StoredColumn
from cellucid_dask.verify.ready_file.stored import TEXT, StoredArray

_BLOCK: Final = 1 << 18  # values of the latent space
_TIE: Final = 1e-9  # distances that agree to the ninth digit may have either rank
_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class QuantileChecks:
    """Checks of outlier quantiles.

    Parameters
    ----------
    latent
        (n_cells, d) latent space.
    min_points
        Cells that a category needs.
    """

    latent: StoredArray
    min_points: int

    def check(
        self, name: str, column: StoredColumn | None, stored: StoredArray | None
    ) -> Iterator[str]:
        """Check the quantiles of a column, which are there if it has a large category."""
        path = f"uns/cellucid/outlierQuantiles/fields/{name}"
        if column is None:
            return
        codes = _read_codes(column)
        if codes is None:
            if stored is not None:
                yield f"{path}: obs[{name!r}] has no categories"
            return
        counts = np.bincount(codes[codes >= 0])
        large = counts >= self.min_points
        if stored is None:
            if large.any():
                yield f"{path}: is missing"
            return
        if not large.any():
            yield f"{path}: no category has {self.min_points} cells"
            return
        yield from self._compare(path, stored.read(), codes, large)

    def _compare(
        self, path: str, found: Array, codes: NDArray[np.int64], large: NDArray[np.bool_]
    ) -> Iterator[str]:
        measured = np.zeros(codes.size, bool)
        measured[codes >= 0] = large[codes[codes >= 0]]
        if not np.array_equal(np.isfinite(found), measured) or np.isinf(found).any():
            n = int((np.isfinite(found) != measured).sum())
            yield f"{path}: {n:,} cells have a quantile and should not, or have none and should"
            return
        if found[measured].min() <= 0 or found[measured].max() > 1:
            yield f"{path}: goes from {found[measured].min()} to {found[measured].max()}"
            return
        distances, wrong = self._distances(codes, len(large)), 0
        for code, cells in enumerate(group_cells(codes, len(large))):
            if large[code]:
                low, high = _rank_bounds(distances[cells])
                wrong += int(((found[cells] < low) | (found[cells] > high)).sum())
        if wrong:
            yield f"{path}: {wrong:,} quantiles are not those of obsm[{self.latent.path[5:]!r}]"

    def _distances(self, codes: NDArray[np.int64], n: int) -> NDArray[np.float64]:
        """Distance of every cell to the mean of its category."""
        rows, width = max(1, _BLOCK // max(1, self.latent.shape[1])), self.latent.shape[1]
        sums, counts = np.zeros((n, width)), np.zeros(n)
        for start, block in self.latent.read_blocks(rows):
            part = codes[start : start + len(block)]
            known = part >= 0
            counts += np.bincount(part[known], minlength=n)
            for i in range(width):
                weights = block[known, i].astype(np.float64)
                sums[:, i] += np.bincount(part[known], weights=weights, minlength=n)
        means = sums / np.maximum(counts, 1)[:, None]
        distances = np.zeros(codes.size)
        for start, block in self.latent.read_blocks(rows):
            part = codes[start : start + len(block)]
            offsets = block.astype(np.float64) - means[np.maximum(part, 0)]
            distances[start : start + len(block)] = np.sqrt((offsets**2).sum(axis=1))
        return distances


def _rank_bounds(distances: NDArray[np.float64]) -> tuple[Array, Array]:
    """Lowest and highest quantile of each distance, however ties are broken."""
    ordered, tie = np.sort(distances), _TIE * distances.max(initial=0)
    least = np.searchsorted(ordered, distances - tie, side="left") + 1
    most = np.searchsorted(ordered, distances + tie, side="right")
    return least / distances.size - _SLACK, most / distances.size + _SLACK


def _read_codes(column: StoredColumn) -> NDArray[np.int64] | None:
    """Read the category of each cell, -1 where missing; None for a column of numbers."""
    values = column.values
    if column.kind == "categorical":
        return values.read().astype(np.int64)
    if column.kind == "string-array":
        return np.arange(values.shape[0])  # unique texts
    if values.dtype == TEXT or values.dtype != "|b1":
        return None
    codes = values.read().astype(np.int64)
    if column.beside is not None:
        codes[column.beside.read()] = -1
    return codes
