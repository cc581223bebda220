"""Typed functions of the gene index in C: transpose chunks of cells, and join them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.calls import call, suffix


def transpose_rows(
    pointers: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[np.float32],
    rows: NDArray[np.uint16],
    out: NDArray[Any],
    n_genes: int,
) -> NDArray[np.int64]:
    """Put the values of a CSR chunk in the order of the genes, and of the rows for each gene.

    Parameters
    ----------
    pointers, indices, values
        At most 65,536 rows, in any order within each; the first pointer need not be 0.
    rows, out
        (n_values,) filled with the row of each value, and the value as float32 or uint8; uint8
        where `cellucid_dask.native.strips.are_small_counts` says that it loses nothing. -0.0
        becomes 0.

    Returns
    -------
    (n_genes + 1,) where the values of each gene begin.

    Raises
    ------
    NativeError
        When an index lies outside the matrix, or the pointers do not fit the indices.
    """
    n_values, n_rows = indices.size, pointers.size - 1
    assert values.size == rows.size == out.size == n_values
    starts, scratch = np.empty(n_genes + 1, np.int64), np.empty(n_genes, np.int64)
    chunk = (pointers, indices, values, out.itemsize)
    name = f"transpose_rows_{suffix(indices)}"
    call(name, n_rows, n_genes, n_values, *chunk, starts, scratch, rows, out)
    return starts


def append_genes(
    chunk: tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[Any]],
    first_cell: int,
    starts: NDArray[np.int64],
    filled: NDArray[np.int64],
    cells: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Append genes of a chunk of cells to those of the chunks before it.

    Parameters
    ----------
    chunk
        (n_genes + 1,) bounds of the genes in the chunk, and (n_values,) rows and values.
    first_cell
        Number of the cell that is row 0.
    starts
        (n_genes + 1,) where the values of each gene begin in all chunks together.
    filled
        (n_genes,) up to where they are there; moves on.
    cells, values
        uint32 or uint64, and float32 or uint8, of all chunks; uint8 only if every chunk has it.

    Raises
    ------
    NativeError
        When a gene has more values than room.
    """
    bounds, rows, stored = chunk
    assert bounds.size == starts.size == filled.size + 1
    assert rows.size == stored.size
    assert cells.size == values.size == starts[-1]
    call(
        "append_genes",
        filled.size,
        rows.size,
        bounds,
        first_cell,
        rows,
        stored,
        stored.itemsize,
        starts,
        filled,
        cells.itemsize,
        cells,
        values.itemsize,
        values,
    )
