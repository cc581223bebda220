"""Typed functions of the transposition in C: check, sort and cut rows, and sort strips by gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.calls import call, suffix

STATISTICS: Final = np.dtype(
    [
        ("n_values", "<i8"),
        ("n_nan", "<i8"),
        ("n_inf", "<i8"),
        ("lowest", "<f4"),
        ("highest", "<f4"),
    ]
)
PLACES: Final = np.dtype(
    [
        ("next", "<i8"),
        ("stop", "<i8"),
        ("lowest", "<f4"),
        ("scale", "<f4"),
        ("missing", "<i8"),
    ]
)
MAX_STRIP_GENES: Final = 65535  # a row length and a gene of a strip have 16 bits


@dataclass(frozen=True, slots=True)
class Segment:
    """Values of a chunk of cells in one strip, in the order of the cells.

    Parameters
    ----------
    first_cell
        Number of its first cell.
    row_lengths
        (n_rows,) uint16, values of each cell.
    genes
        (n_values,) uint16, counted from the first gene of the strip.
    values
        (n_values,) float32, float64 or uint8.
    """

    first_cell: int
    row_lengths: NDArray[np.uint16]
    genes: NDArray[np.uint16]
    values: NDArray[Any]


def rows_are_sorted(pointers: NDArray[np.int64], indices: NDArray[Any], n_columns: int) -> bool:
    """Whether the indices of every row rise strictly.

    Parameters
    ----------
    pointers
        (n_rows + 1,), may start anywhere.
    indices
        (n_values,) int32 or int64.

    Raises
    ------
    NativeError
        When an index lies outside the matrix, or the pointers do not fit the indices.
    """
    found = call(
        f"check_rows_{suffix(indices)}",
        pointers.size - 1,
        n_columns,
        indices.size,
        pointers,
        indices,
    )
    return bool(found)


def sort_rows(
    pointers: NDArray[np.int64], indices: NDArray[Any], values: NDArray[Any], scratch: Any = None
) -> int:
    """Sort checked rows by index in place, and keep the order of equal indices.

    Returns
    -------
    How many indices repeat the one before them in their row.
    """
    longest = int(np.diff(pointers).max(initial=0))
    if scratch is None:
        scratch = np.empty(longest * (32 + values.itemsize), np.uint8)
    return call(
        f"sort_rows_{suffix(indices)}",
        pointers.size - 1,
        pointers,
        indices,
        values,
        values.itemsize,
        scratch,
        scratch.nbytes,
    )


def are_small_counts(values: NDArray[np.float32]) -> bool:
    """Whether uint8 holds all values without loss; -0.0 counts as 0."""
    return bool(call("are_small_counts", values.size, values))


def find_cuts(
    bounds: NDArray[np.int64],
    pointers: NDArray[np.int64],
    indices: NDArray[Any],
    cuts: NDArray[np.uint32],
) -> NDArray[np.int64]:
    """Find where sorted rows cross the bounds of the strips.

    Parameters
    ----------
    bounds
        (n_strips + 1,) first gene of each strip, and the number of genes.
    cuts
        (n_rows, n_strips + 1) that is filled.

    Returns
    -------
    (n_strips,) values of each strip.
    """
    n_rows, n_strips = pointers.size - 1, bounds.size - 1
    assert cuts.shape == (n_rows, n_strips + 1)
    sizes = np.empty(n_strips, np.int64)
    name = f"find_cuts_{suffix(indices)}"
    call(name, n_rows, n_strips, bounds, pointers, indices, cuts, sizes)
    return sizes


def cut_rows(
    bounds: NDArray[np.int64],
    indices: NDArray[Any],
    values: NDArray[Any],
    cuts: NDArray[np.uint32],
    sizes: NDArray[np.int64],
    out: NDArray[np.uint8],
    *,
    width: int,
) -> None:
    """Copy sorted rows into `out`, a segment for each strip.

    Parameters
    ----------
    cuts, sizes
        Of `find_cuts`.
    out
        As many bytes as `segment_bytes` says.
    values
        float32, or float64 where `width` is 8.
    width
        Bytes of a value in the segments: 4 for float32, 8 for float64, 1 for uint8.
    """
    assert (values.itemsize == 8) == (width == 8)
    n_rows, n_strips = cuts.shape[0], bounds.size - 1
    scratch = np.empty((3, n_strips), np.int64)
    name = f"cut_rows_{suffix(indices)}"
    facts = (n_rows, n_strips, bounds, indices, values, width, cuts, sizes, scratch)
    call(name, *facts, out, out.size)


def segment_bytes(n_rows: int, sizes: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """(n_strips,) bytes of the segments of a chunk."""
    return 2 * n_rows + (2 + width) * sizes


def count_segment(segment: Segment, statistics: NDArray[Any]) -> None:
    """Add the values of a segment to the statistics of the genes of its strip.

    Parameters
    ----------
    statistics
        (n_genes,) of dtype `STATISTICS`, from `empty_statistics`.
    """
    genes, values = segment.genes, segment.values
    call("count_strip", genes.size, genes, values, values.itemsize, statistics.size, statistics)


def empty_statistics(n_genes: int) -> NDArray[Any]:
    """Statistics of no value."""
    found = np.zeros(n_genes, STATISTICS)
    found["lowest"], found["highest"] = np.inf, -np.inf
    return found


def sort_segment(
    segment: Segment,
    first_gene: int,
    places: NDArray[Any],
    records: NDArray[Any],
    *,
    codes: bool,
) -> None:
    """Put the values of a segment behind the records of their genes.

    Parameters
    ----------
    first_gene
        Gene of the strip that is the first of `places`; genes outside are left out.
    places
        (n_genes,) of dtype `PLACES`; ``next`` moves on.
    records
        uint32 (``cell << 8 | code``) or uint64 (``cell << 32 | code``), filled up to ``stop``.
    codes
        Whether to quantize; else the code is the bits of the float32.

    Raises
    ------
    NativeError
        When the segment or the places do not fit the records.
    """
    call(
        "sort_strip",
        segment.first_cell,
        segment.row_lengths.size,
        segment.row_lengths,
        segment.genes.size,
        segment.genes,
        segment.values,
        segment.values.itemsize,
        first_gene,
        places.size,
        int(codes),
        places,
        records.itemsize,
        records.size,
        records,
    )
