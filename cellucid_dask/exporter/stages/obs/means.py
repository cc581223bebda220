"""The mean of each category in every space: sums over spans of cells, which are then added.

One pass over the latent space and the points sums the coordinates by category, for all columns
at once, in float64. The cost does not grow with the number of categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.exporter.planning.obs_memory import summed_cells
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.spaces import Space, SpaceReader, total_width
from cellucid_dask.files import write_arrays
from cellucid_dask.source.storage.file_array import ROWS_PER_READ

BLOCK = ROWS_PER_READ  # cells whose coordinates are added up before they are added to others


def sum_by_category(
    columns: Sequence[CodedColumn], spaces: Sequence[Space], span: tuple[int, int], path: str
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
    column: CodedColumn, codes: NDArray[Any], rows: NDArray[np.float64]
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


def write_means(paths: Sequence[str], width: int, path: str) -> None:
    """Add partial sums in the order of the cells, whoever made them, and divide by the counts."""
    total = np.fromfile(paths[0]).reshape(-1, width)
    for other in paths[1:]:
        total += np.fromfile(other).reshape(-1, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        total[:, :-1] /= total[:, -1:]
    write_arrays(path, [total])
