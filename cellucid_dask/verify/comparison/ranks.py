"""Outlier quantiles compared with the ranks of distances in the latent space."""

from __future__ import annotations

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.arrays import Array, Float64, decode_values, group_cells
from cellucid_dask.verify.export_folder.contents import CategoricalField
from cellucid_dask.verify.source_data.derive import Float32

_TIE = 1e-5  # distances that agree to the fifth digit may have either rank


def count_wrong_ranks(
    field: CategoricalField, codes: Array, outliers: Array, latent: Float32, *, is_native: bool
) -> int:
    """Count the outlier quantiles that no order of tied distances explains.

    Parameters
    ----------
    codes
        (n_cells,) codes of the categories; -1 where missing.
    outliers
        (n_cells,) quantiles as they are stored.
    latent
        (n_cells, d) latent space.
    is_native
        Whether this package wrote the export; the reference adds up with a larger error.
    """
    ranks = decode_values(field.outliers, outliers)
    lo, hi = field.outliers.span
    bits = field.outliers.bits
    slack = _TIE + ((hi - lo) / (fmt.CODES[bits].missing - 1) if bits else 0.0)
    wrong = 0
    for cells in group_cells(codes, len(field.labels)):
        found = ranks[cells]
        if not found.size or not np.isfinite(found).all():
            continue  # the category is too small, or the problem is already reported
        low, high = _rank_bounds(latent[cells], is_native=is_native)
        wrong += int(((found < low - slack) | (found > high + slack)).sum())
    return wrong


def _rank_bounds(points: Float32, *, is_native: bool) -> tuple[Float64, Float64]:
    """Lowest and highest quantile that the distance of each point to their mean may have."""
    exact = points.astype(np.float64)
    center = exact.mean(axis=0)
    distances = np.linalg.norm(exact - center, axis=1)
    ordered, tie = np.sort(distances), _TIE * distances.max(initial=0)
    if not is_native:  # the reference adds up float32 one by one
        rough = points.mean(axis=0).astype(np.float64)
        tie += 2 * float(np.linalg.norm(rough - center))
    least = np.searchsorted(ordered, distances - tie, side="left") + 1
    most = np.searchsorted(ordered, distances + tie, side="right")
    return least / len(points), most / len(points)
