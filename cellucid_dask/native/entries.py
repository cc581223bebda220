"""Typed functions that sort a strip by gene into cells and values, as CSC stores them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.calls import call
from cellucid_dask.native.strips import Segment


def count_entries(segment: Segment, counts: NDArray[np.int64]) -> None:
    """Add how many values of a segment each gene of the strip has to `counts` (n_genes,)."""
    call("count_entries", segment.genes.size, segment.genes, counts.size, counts)


def sort_entries(
    segment: Segment,
    first_gene: int,
    places: NDArray[np.int64],
    ends: NDArray[np.int64],
    cells: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """Put the values of a segment behind those of their genes.

    Parameters
    ----------
    first_gene
        Gene of the strip that is the first of `places`; genes outside are left out.
    places, ends
        (n_genes,) where the next value of each gene goes, which moves on, and where they end.
    cells, values
        (n,) int32 or int64, and float32 or float64, which are filled.

    Raises
    ------
    NativeError
        When the segment or the places do not fit the arrays.
    """
    assert places.size == ends.size
    assert cells.size == values.size
    call(
        "sort_entries",
        segment.first_cell,
        segment.row_lengths.size,
        segment.row_lengths,
        segment.genes.size,
        segment.genes,
        segment.values,
        segment.values.itemsize,
        first_gene,
        places.size,
        places,
        ends,
        cells.size,
        cells.itemsize,
        cells,
        values.itemsize,
        values,
    )
