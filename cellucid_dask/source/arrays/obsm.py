"""Arrays of obsm as dask arrays of blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.column_encodings import open_nullable
from cellucid_dask.source.arrays.columns import SeriesColumn
from cellucid_dask.source.arrays.matrix import NUMBERS, open_matrix, wrap_matrix
from cellucid_dask.source.arrays.row_blocks import SPARSE_BLOCKS, STORED_VALUE_BYTES, block_rows
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.elements import (
    encoding_of,
    is_array,
    list_attribute,
    require_element,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A sparse matrix that is indexed by rows and gives dense arrays; for obsm."""

    matrix: SparseMatrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, d)."""
        return self.matrix.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.matrix.dtype

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        start, stop, _ = index[0].indices(self.shape[0])
        return self.matrix.rows(start, stop)[:, index[1]]


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """A column of nullable numbers that is indexed by rows and gives NaN where one is missing.

    Parameters
    ----------
    values, mask
        (n_cells,) numbers, and bool that is true where one is missing.
    """

    values: FileArray
    mask: FileArray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_cells,)."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, as the reference takes coordinates."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Always 1."""
        return 1

    def __getitem__(self, index: Any) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            numbers = self.values[index].astype(np.float32)
        numbers[self.mask[index].astype(bool)] = np.nan
        return numbers


def as_dask_array(array: Any, rows: int | None = None) -> da.Array:
    """Wrap an array-like as a dask array of whole-width row blocks.

    Parameters
    ----------
    rows
        Rows of a block; by default as many as take little memory.
    """
    if rows is None:
        value = array.dtype.itemsize + STORED_VALUE_BYTES * isinstance(array, SparseRows)
        on_disk = getattr(array, "chunks", None)
        rows = block_rows(value * prod(array.shape[1:]), on_disk[0] if on_disk else 1)
    chunks = (rows, *(-1 for _ in array.shape[1:]))
    meta = np.empty((0,) * len(array.shape), array.dtype)
    return da.from_array(array, chunks=chunks, meta=meta, inline_array=True, fancy=False)


def require_two_axes(array: da.Array, label: str) -> da.Array:
    """Return `array` with two axes, one column if it had one axis; InputError otherwise."""
    if array.dtype.kind not in NUMBERS:
        raise InputError(f"holds {array.dtype}, not numbers", where=label)
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2:
        raise InputError(f"has shape {array.shape}, not two axes", where=label)
    return array


def wrap_obsm_array(value: Any, label: str) -> da.Array:
    """Make a dask array of what obsm holds: an array, a DataFrame, a sparse or dask array."""
    if isinstance(value, pd.DataFrame):
        columns = [SeriesColumn(value.iloc[:, i]) for i in range(value.shape[1])]
        odd = [str(name) for name, c in zip(value.columns, columns, strict=True) if not _number(c)]
        if odd:
            raise InputError(f"has columns that are not numbers: {', '.join(odd)}", where=label)
        value = np.column_stack([c.values() for c in columns])
    if isinstance(value, da.Array):
        return require_two_axes(_densified(value), label)
    if sparse.issparse(value):
        matrix = wrap_matrix(value.tocsr(), label)
        assert isinstance(matrix, SparseMatrix)
        return as_dask_array(SparseRows(matrix))
    return require_two_axes(
        as_dask_array(value if isinstance(value, FileArray) else np.asarray(value)), label
    )


def _number(column: SeriesColumn) -> bool:
    return column.kind == "continuous" or pd.api.types.is_bool_dtype(column.series.dtype)


def _densified(array: da.Array) -> da.Array:
    """Dense blocks, whatever the blocks were."""
    return array.map_blocks(
        lambda block: block.toarray() if hasattr(block, "toarray") else np.asarray(block),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        token=None if isinstance(array._meta, np.ndarray) else SPARSE_BLOCKS,  # noqa: SLF001
    )


def open_obsm_array(store: Store, key: str, element: Any) -> da.Array:
    """Make a dask array of the obsm element at `key`, open as `element`."""
    label = f"{store.path}, {key}"
    if is_array(element):
        return wrap_obsm_array(FileArray.of(store, key, element), label)
    if encoding_of(element) == "dataframe":
        names = list_attribute(element, "column-order")
        rows = block_rows(8 * len(names))
        arrays = {
            name: _numbers(store, f"{key}/{name}", require_element(element, name), rows)
            for name in names
        }
        odd = [name for name, array in arrays.items() if array is None]
        if odd:
            raise InputError(f"has columns that are not numbers: {', '.join(odd)}", where=label)
        return da.stack(list(arrays.values()), axis=1)
    matrix = open_matrix(store, key, element)
    if isinstance(matrix, SparseMatrix):
        return as_dask_array(SparseRows(matrix))
    return wrap_obsm_array(matrix.array, label)


def _numbers(store: Store, key: str, element: Any, rows: int) -> da.Array | None:
    """Make a dask array of a column of numbers or truth, NaN where missing; None of any other."""
    if is_array(element):
        array = FileArray.of(store, key, element)
        return as_dask_array(array, rows) if array.dtype.kind in NUMBERS else None
    if not encoding_of(element).startswith("nullable"):
        return None
    values, mask = open_nullable(store, key, element)
    return as_dask_array(MaskedRows(values, mask), rows) if values.dtype.kind in NUMBERS else None
