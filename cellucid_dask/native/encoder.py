"""Typed functions of the gzip encoder in C: records of genes in, gzip members out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.calls import call
from cellucid_dask.native.library import load
from cellucid_dask.native.scratch import reuse

MAX_SHORT_CELLS: Final = 2**24  # cells of a 32-bit record
MAX_BYTES: Final = 2**32 - 1  # of a vector, before compression
_MISSING: Final = {1: 255, 2: 65535, 4: 0}

Piece = tuple[int, NDArray[Any] | slice, NDArray[np.float32]]


def can_encode(n_cells: int, width: int) -> bool:
    """Whether there is a library and it encodes vectors of `n_cells` values of `width` bytes."""
    return load() is not None and n_cells * width <= MAX_BYTES


def record_dtype(n_cells: int, width: int) -> np.dtype[Any]:
    """uint32 (``cell << 8 | code``) where all cells fit, else uint64 (``cell << 32 | code``)."""
    return np.dtype(np.uint32 if width == 1 and n_cells <= MAX_SHORT_CELLS else np.uint64)


def make_records(
    pieces: Sequence[Piece],
    n_cells: int,
    width: int,
    line: tuple[np.float32, np.float32] | None,
) -> NDArray[Any]:
    """Quantize the stored values of a gene, as `cellucid_dask.encode.quantize` does.

    Parameters
    ----------
    pieces
        As `cellucid_dask.encode.encode_gene` takes them.
    width
        Bytes of a code: 1 or 2, or 4 without quantization.
    line
        (lowest, scale) of quantization; None for the values themselves.

    Returns
    -------
    Records in the order of the values, of `record_dtype`.

    Raises
    ------
    NativeError
        When a cell is negative or has no place in a record.
    """
    records = np.empty(sum(p[2].size for p in pieces), record_dtype(n_cells, width))
    quantization = np.array(line or (0, 1), np.float32)
    done = 0
    for first, cells, values in pieces:
        if isinstance(cells, slice):
            numbers, first = None, first + (cells.start or 0)
        elif cells.dtype in (np.uint16, np.int32, np.int64):
            numbers = np.ascontiguousarray(cells)
        else:
            numbers = cells.astype(np.int64)
        call(
            "make_records",
            values.size,
            first,
            numbers,
            0 if numbers is None else numbers.itemsize,
            np.ascontiguousarray(values, np.float32),
            quantization,
            _MISSING[width],
            records.itemsize,
            records[done : done + values.size],
        )
        done += values.size
    return records


def encode_bound(n_values: int, n_genes: int, n_cells: int, width: int) -> int:
    """Bytes that `encode_strip` needs at most for `n_genes` genes with `n_values` records.

    A block is never longer than with the fixed code of deflate (see ``plan_block``). There a
    literal has at most 9 bits; a match of the distance of a unit at most 18 (8, 5 extra bits, 5 of
    the distance), 13 if it is one of the longest (258 bytes); header and end of block have 10.

    A gap is the cheaper of literals only, and of the literals of one unit and matches. So it has
    no more bits than those literals, one match for the rest (or two literals in place of it, which
    are no more), and 13 for every 258 bytes. One more background byte in it costs at most one more
    literal, so a value of `width` bytes, some of which may be background, has 9 bits for each of
    them, and for the gap before it those of a unit and of a match. A unit of two bytes only occurs
    with 16 bits. The tail is one more gap.

    And no gap has more bits than its literals, so 9 for every byte of the vector are enough too.
    Head and tail of a member have 18 bytes.
    """
    n_bytes = n_cells * width
    gap = (18 if width == 2 else 9) + 18
    sparse = n_genes * (10 + gap + 13 * (n_bytes // 258)) + n_values * (gap + 9 * width)
    dense = n_genes * (10 + 9 * n_bytes)
    return n_genes * (18 + 1) + min(sparse, dense) // 8


def encode_strip(
    n_cells: int,
    width: int,
    starts: NDArray[np.int64],
    records: NDArray[Any],
    backgrounds: NDArray[np.uint32],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode genes as gzip members, one after the other.

    Parameters
    ----------
    starts
        (n_genes + 1,) gene g has the records from ``starts[g]`` up to ``starts[g + 1]``.
    records
        uint32 or uint64 as `record_dtype` says; the cells of a gene rise.
    backgrounds
        (n_genes,) codes of cells without a record.

    Returns
    -------
    The members, in memory that the next call of this thread may use again, and (n_genes + 1,) where
    each starts.

    Raises
    ------
    NativeError
        When cells do not rise or lie outside.
    """
    n_genes = starts.size - 1
    assert backgrounds.size == n_genes
    out = reuse("output", encode_bound(int(starts[-1] - starts[0]), n_genes, n_cells, width))
    offsets = np.empty(n_genes + 1, np.int64)
    codes = reuse("codes", n_cells if width == 1 else 0)
    facts = (starts, records.size, records, backgrounds, codes, out, out.size, offsets)
    if records.dtype == np.uint32:
        size = call("encode_records32", n_genes, n_cells, *facts)
    else:
        size = call("encode_records64", n_genes, n_cells, width, *facts)
    return out[:size], offsets


def encode_dense(codes: NDArray[Any]) -> NDArray[np.uint8]:
    """Encode the bytes of a vector as a gzip member.

    For vectors of 8 bits, and for what has no runs but of single bytes: matches repeat the byte
    before, as with the strategy ``Z_RLE`` of zlib.

    Returns
    -------
    The member, in memory that the next call of this thread may use again.
    """
    out = reuse("output", encode_bound(codes.nbytes, 1, codes.nbytes, 1))
    size = call("encode_dense", codes.nbytes, codes, out, out.size)
    return out[:size]
