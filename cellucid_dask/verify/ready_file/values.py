"""Checks of names, columns, and arrays of two axes, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.ready_file.contents import StoredColumn
from cellucid_dask.verify.ready_file.sparse_values import WideValues
from cellucid_dask.verify.ready_file.stored import TEXT, StoredArray

_BLOCK: Final = 1 << 18  # values: one chunk
# Types of codes as pandas chooses them, with the first number of categories of the next one.
_CODES: Final = tuple((dtype, np.iinfo(dtype).max) for dtype in ("|i1", "<i2", "<i4"))


def check_names(names: StoredArray) -> Iterator[str]:
    """Check that names are unique and not empty."""
    if names.shape[0] and any("" in block.tolist() for _, block in names.read_blocks(_BLOCK)):
        yield f"{names.path}: has an empty name"
    yield from check_unique_text(names)


def check_unique_text(array: StoredArray) -> Iterator[str]:
    """Check that texts are unique; eight bytes of each are in memory."""
    hashes = [np.fromiter(map(hash, block), np.int64) for _, block in array.read_blocks(_BLOCK)]
    if not hashes:
        return
    ordered = np.sort(np.concatenate(hashes))
    repeated = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not repeated:
        return
    seen: set[str] = set()
    for _, block in array.read_blocks(_BLOCK):
        for text in block.tolist():
            if hash(text) in repeated:
                if text in seen:
                    yield f"{array.path}: {text!r} is there twice"
                    return
                seen.add(text)


def check_column(column: StoredColumn) -> Iterator[str]:
    """Check the values of a column of obs or var."""
    if column.kind == "categorical":
        yield from _check_categorical(column)
    elif column.kind == "string-array":
        yield from check_unique_text(column.values)
    elif column.beside is not None:
        masks = [bool(mask.any()) for _, mask in column.beside.read_blocks(_BLOCK)]
        if not any(masks):
            yield f"{column.beside.path}: masks nothing, so that the column needs no mask"
        for _ in column.values.read_blocks(_BLOCK):
            pass  # reading finds damage
    else:
        for start, values in column.values.read_blocks(_BLOCK):
            if values.dtype.kind == "f" and np.isinf(values).any():
                first = start + int(np.flatnonzero(np.isinf(values))[0])
                yield f"{column.path}: is infinite in row {first:,}"
                return


def _check_categorical(column: StoredColumn) -> Iterator[str]:
    assert column.beside is not None
    yield from _check_categories(column.beside)
    n, codes = column.beside.shape[0], column.values
    smallest = next(dtype for dtype, limit in _CODES if n < limit)
    if codes.dtype != smallest:
        what = f"is of type {np.dtype(codes.dtype).name}, not {np.dtype(smallest).name}"
        yield f"{codes.path}: {what}, for {n:,} categories"
    for start, block in codes.read_blocks(_BLOCK):
        bad = np.flatnonzero((block < -1) | (block >= n))
        if bad.size:
            code, row = block[bad[0]], start + bad[0]
            yield f"{codes.path}: has code {code} of {n:,} categories, in row {row:,}"
            return


def _check_categories(array: StoredArray) -> Iterator[str]:
    if array.dtype == TEXT:
        yield from check_unique_text(array)
        return
    values = array.read()
    if values.dtype.kind == "f" and np.isnan(values).any():
        yield f"{array.path}: has NaN"
    elif len(np.unique(values)) < len(values):
        yield f"{array.path}: has a category twice"


def check_finite(array: StoredArray) -> Iterator[str]:
    """Check that an array of obsm is finite."""
    rows = max(1, _BLOCK // max(1, array.shape[1]))
    for start, block in array.read_blocks(rows):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if bad.size:
            yield f"{array.path}: is not finite in row {start + bad[0]:,}"
            return


class DenseChecks:
    """Checks of dense expression, a block of chunks at a time."""

    def __init__(self, array: StoredArray) -> None:
        self.array, self.widths = array, WideValues(array)

    def block_checks(self) -> list[Iterator[str]]:
        """Return a check of every chunk."""
        n_rows, n_columns = self.array.shape
        height, width = self.array.chunks or (1, 1)
        return [
            self._check_block(slice(top, top + height), slice(left, left + width))
            for left in range(0, n_columns, width)
            for top in range(0, n_rows, height)
        ]

    def _check_block(self, rows: slice, columns: slice) -> Iterator[str]:
        values: Array = self.array.read(rows, columns)
        self.widths.add(values)
        bad: NDArray[Any] = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = rows.start + bad[0][0], columns.start + bad[0][1]
            what = f"the first is of cell {row:,}, gene {column:,}"
            yield f"X: {len(bad):,} values are not finite, {what}"
