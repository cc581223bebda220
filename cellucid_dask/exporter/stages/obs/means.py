"""The mean of each category in every space: sums over spans of cells, which are then added.

One pass over the latent space and the points sums the coordinates by category, for all columns
at once, in float64. The cost does not grow with the number of categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.exporter.planning.obs_memory import summed_cells
from cellucid_dask.exporter.stages.obs.columns import CodedColumn
from cellucid_dask.exporter.stages.obs.spaces import Space, SpaceReader, total_width
from cellucid_dask.files import write_arrays
from cellucid_dask.native import library
from cellucid_dask.native.calls import call
from cellucid_dask.source.storage.file_array import ROWS_PER_READ

BLOCK = ROWS_PER_READ  # cells whose coordinates are added up before they are added to others
ADDED_CELLS: Final = 1 << 15  # that the native library adds at a time: a walk through all sums


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
    room, step = most, summed_cells(width, most)
    if library.load() is not None:
        room, step = 0, min(step, ADDED_CELLS)
    step = min(step, span[1] - span[0])
    n_bad, reader = 0, SpaceReader(spaces)
    sums = [np.empty_like(total) for total in totals]  # of a block
    buffer = np.ones((room + step, width))  # room for sums above the cells; the last column counts
    for first in range(*span, BLOCK):
        last = min(first + BLOCK, span[1])
        for column_sums in sums:
            column_sums[:] = 0
        for start in range(first, last, step):
            stop = min(start + step, last)
            bottom = room + stop - start
            wide = reader.fill(buffer[room:bottom, :-1], start, stop)
            if not np.isfinite(wide.sum()):
                n_bad += int((~np.isfinite(wide)).any(axis=1).sum())
            for column, column_sums in zip(columns, sums, strict=True):
                add_cells(column, column.read(start, stop), buffer[:bottom], column_sums)
        for total, more in zip(totals, sums, strict=True):
            total += more
    write_arrays(path, totals)
    return n_bad


def add_cells(
    column: CodedColumn,
    codes: NDArray[Any],
    buffer: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Add rows to the sums of their categories, one after the other.

    Parameters
    ----------
    codes
        (n,) of the last `n` rows of `buffer`.
    buffer
        (m, width) float64; without the native library, there is room above the rows for as many
        as there are categories, which is overwritten.
    sums
        (n_categories, width) to add to.
    """
    k, width = sums.shape
    if library.load() is None:
        rows = buffer[len(buffer) - codes.size - k :]
        rows[:k] = sums
        sums[:] = _sum_rows(codes, codes != column.code.missing, rows, k)
        return
    rows = buffer[len(buffer) - codes.size :]
    call(
        f"add_rows_{column.code.ext}", codes.size, k, width, column.code.missing, codes, rows, sums
    )


def _sum_rows(
    codes: NDArray[Any], there: NDArray[np.bool_], rows: NDArray[np.float64], n_categories: int
) -> NDArray[np.float64]:
    """Sum rows by category, as a product with a sparse matrix of ones; first their old sums.

    Parameters
    ----------
    codes, there
        (n,) of the last `n` of `rows`, and whether they have a category. The rows above are the
        sums of each category.
    """
    before = np.arange(n_categories, dtype=np.int32)
    kinds = np.concatenate([before, codes[there]])
    pointers = np.concatenate([before, n_categories + np.cumsum(np.append(0, there))])
    parts = (np.ones(kinds.size), kinds, pointers)
    summed: NDArray[np.float64] = sparse.csc_array(parts, shape=(n_categories, len(rows))) @ rows
    return summed


def write_means(paths: Sequence[str], width: int, path: str) -> None:
    """Add partial sums in the order of the cells, whoever made them, and divide by the counts."""
    total = np.fromfile(paths[0]).reshape(-1, width)
    for other in paths[1:]:
        total += np.fromfile(other).reshape(-1, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        total[:, :-1] /= total[:, -1:]
    write_arrays(path, [total])
