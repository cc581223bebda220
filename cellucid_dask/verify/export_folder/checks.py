"""Checks of the arrays of an export that need no source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.verify.export_folder.arrays import Array, Float64, decode_values, group_cells
from cellucid_dask.verify.export_folder.contents import CategoricalField, Contents, Values
from cellucid_dask.verify.export_folder.files import ExportFiles
from cellucid_dask.verify.export_folder.manifests import Json

_SLACK: Final = 1e-6


def find_unnamed_files(files: ExportFiles, contents: Contents) -> Iterator[str]:
    """Find the files that no manifest names."""
    named = {resource.path for resource in contents.resources()} | {*fmt.MANIFESTS, fmt.CHECKSUMS}
    for path in files.sizes:
        if path in named:
            continue
        files.mark_checked(path)
        try:
            fmt.parse(path)
        except ValueError:
            yield f"{path}: is not a file of an export"
        else:
            yield f"{path}: is not named in any manifest"


def check_points(path: str, points: Array) -> Iterator[str]:
    """Check that points are finite and within [-1, 1]."""
    infinite = int((~np.isfinite(points)).any(axis=1).sum())
    if infinite:
        yield f"{path}: {infinite} points are not finite"
    elif points.size and np.abs(points).max() > 1 + _SLACK:
        yield f"{path}: reaches {np.abs(points).max()}, outside [-1, 1]"


def check_code_range(field: Values, stored: Array) -> Iterator[str]:
    """Check that codes reach both ends of the range that they are quantized over."""
    if field.bits is None or not stored.size:
        return
    path, missing, (lo, hi) = field.resource.path, fmt.CODES[field.bits].missing, field.span
    codes = stored[stored != missing] if stored.max() == missing else stored
    if not codes.size:
        if (lo, hi) != (0, 1):
            yield f"{path}: has no finite value, but a range of {lo} to {hi}"
        return
    lowest, highest = int(codes.min()), int(codes.max())
    constant = highest == 0 and hi in (lo + 1, np.nextafter(lo, np.inf))
    # Rounding may truncate the largest value to one code less; a range this small overflows.
    if lowest or not (constant or highest >= missing - 2 or hi - lo < 1e-30):
        yield f"{path}: codes go from {lowest} to {highest}, not from 0 to {missing - 1}"


def check_categorical(
    contents: Contents,
    field: CategoricalField,
    codes: Array,
    outliers: Array,
    points: Mapping[int, Array],
) -> Iterator[str]:
    """Check codes, outlier quantiles and centroids against one another.

    Parameters
    ----------
    codes
        (n_cells,) codes of categories; -1 where missing.
    outliers
        (n_cells,) outlier quantiles as they are stored.
    points
        Points without problems, by dimension.
    """
    yield from check_code_range(field.outliers, outliers)
    ranks = decode_values(field.outliers, outliers)
    members = group_cells(codes, len(field.labels))
    yield from _check_outliers(field, ranks, codes, members)
    shown = [code for code, cells in enumerate(members) if np.isfinite(ranks[cells]).any()]
    for dim, entries in field.centroids.items():
        if contents.quantile is None:
            if entries:
                yield f"{fmt.OBS_MANIFEST}, {field.key!r}: has centroids, but no quantile"
        elif dim in points:
            yield from _check_centroids(contents, field, entries, shown, members, points[dim])


def _check_outliers(
    field: CategoricalField, ranks: Float64, codes: Array, members: list[Array]
) -> Iterator[str]:
    """Check that a category has outlier quantiles up to 1 or none; small categories have none."""
    path, known = field.outliers.resource.path, np.isfinite(ranks)
    if known[codes < 0].any():
        yield f"{path}: has quantiles for cells without a category"
    if known.any() and not (ranks[known].min() > 0 and ranks[known].max() <= 1 + _SLACK):
        yield f"{path}: goes from {ranks[known].min()} to {ranks[known].max()}, outside (0, 1]"
    lo, hi = field.outliers.span
    step = (
        2 * (hi - lo) / (fmt.CODES[field.outliers.bits].missing - 1) if field.outliers.bits else 0
    )
    largest_without, smallest_with = 0, codes.size + 1
    for label, cells in zip(field.labels, members, strict=True):
        count = int(known[cells].sum())
        if count == 0:
            largest_without = max(largest_without, cells.size)
            continue
        smallest_with = min(smallest_with, cells.size)
        if count < cells.size:
            yield f"{path}: {cells.size - count} cells of {label!r} have no quantile, others have"
        elif ranks[cells].max() < 1 - step - _SLACK:
            yield f"{path}: the largest of {label!r} is {ranks[cells].max()}, not 1"
    if largest_without >= smallest_with:
        yield (
            f"{path}: a category of {largest_without} cells has no quantiles, but one of"
            f" {smallest_with} has"
        )


def _check_centroids(
    contents: Contents,
    field: CategoricalField,
    entries: list[Json],
    shown: list[int],
    members: list[Array],
    points: Array,
) -> Iterator[str]:
    """Derive the centroids of categories that have outlier quantiles again, and compare."""
    where = f"{fmt.OBS_MANIFEST}, centroids of {field.key!r} in {points.shape[1]}d"
    if [entry["category"] for entry in entries] != [field.labels[code] for code in shown]:
        yield f"{where}: are not those of the categories that have outlier quantiles"
        return
    quantile = contents.quantile or 0.0
    quantile = quantile if 0.5 < quantile < 1 else 0.95  # the reference replaces any other value so
    for code, entry in zip(shown, entries, strict=True):
        cells = points[members[code]].astype(np.float64)
        problem = _centroid_problem(entry, cells, quantile)
        if problem:
            yield f"{where}, {entry['category']!r}: {problem}"


def _centroid_problem(entry: Json, cells: Float64, quantile: float) -> str:
    """Say what is wrong with one centroid; empty if nothing is, or cells tie at the threshold."""
    position, used, n = np.asarray(entry["position"], np.float64), entry["n_points"], len(cells)
    if position.shape != (cells.shape[1],):
        return f"has {position.size} coordinates"
    center = cells.mean(axis=0)
    distances = np.linalg.norm(cells - center, axis=1)
    threshold = float(np.quantile(distances, quantile))
    near = distances <= threshold
    if used not in (n, near.sum()):
        slack = 1e-5 * max(threshold, 1e-3)
        fewest, most = (
            (distances <= threshold - slack).sum(),
            (distances <= threshold + slack).sum(),
        )
        return "" if fewest <= used <= most else f"has n_points {used}, not {near.sum()} or {n}"
    if used != n:
        center = cells[near].mean(axis=0)
    error = float(np.abs(position - center).max())
    # The reference adds up float32 one by one, which costs digits in large categories.
    return f"is off by {error:.3g}" if error > 1e-4 + 1e-9 * n else ""
