"""Arrays of obsm, in a store or in memory, as blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.column_encodings import open_nullable
from cellucid_dask.source.arrays.columns import SeriesColumn
from cellucid_dask.source.arrays.dask_arrays import is_dask_array
from cellucid_dask.source.arrays.matrix import NUMBERS, open_matrix, wrap_matrix
from cellucid_dask.source.arrays.row_array import (
    MaskedRows,
    RowArray,
    SparseRows,
    StackedColumns,
    block_rows,
)
from cellucid_dask.source.arrays.row_blocks import SPARSE_BLOCKS
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.elements import (
    encoding_of,
    is_array,
    list_attribute,
    require_element,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store


def wrap_obsm_array(value: Any, label: str) -> RowArray:
    """Describe what obsm holds: an array, a DataFrame, a sparse or dask array.

    Raises
    ------
    InputError
        When it holds no numbers, or has more than two axes.
    """
    is_table = hasattr(value, "iloc") and hasattr(value, "columns")  # a DataFrame
    if is_table:
        columns = [SeriesColumn(value.iloc[:, i]) for i in range(value.shape[1])]
        odd = [str(name) for name, c in zip(value.columns, columns, strict=True) if not _number(c)]
        if odd:
            raise InputError(f"has columns that are not numbers: {', '.join(odd)}", where=label)
        value = np.column_stack([c.values() for c in columns])
    if sparse.issparse(value):
        matrix = wrap_matrix(value.tocsr(), label)
        assert isinstance(matrix, SparseMatrix)
        return RowArray.of(SparseRows(matrix))
    if is_dask_array(value):
        value = _densified(value)
    elif not isinstance(value, FileArray):
        value = np.asarray(value)
    if value.dtype.kind not in NUMBERS:
        raise InputError(f"holds {value.dtype}, not numbers", where=label)
    if value.ndim not in (1, 2):
        raise InputError(f"has shape {value.shape}, not two axes", where=label)
    return RowArray.of(value, is_table=is_table)


def _number(column: SeriesColumn) -> bool:
    import pandas as pd  # there is a DataFrame, so it has been imported

    return column.kind == "continuous" or pd.api.types.is_bool_dtype(column.series.dtype)


def _densified(array: Any) -> Any:
    """Dense blocks of a dask array, whatever its blocks were."""
    return array.map_blocks(
        lambda block: block.toarray() if hasattr(block, "toarray") else np.asarray(block),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        token=None if isinstance(array._meta, np.ndarray) else SPARSE_BLOCKS,  # noqa: SLF001
    )


def open_obsm_array(store: Store, key: str, element: Any) -> RowArray:
    """Describe the obsm element at `key`, open as `element`.

    Raises
    ------
    InputError
        As `wrap_obsm_array`.
    """
    label = f"{store.path}, {key}"
    if is_array(element):
        return wrap_obsm_array(FileArray.of(store, key, element), label)
    if encoding_of(element) == "dataframe":
        names = list_attribute(element, "column-order")
        columns = {
            name: _numbers(store, f"{key}/{name}", require_element(element, name)) for name in names
        }
        odd = [name for name, column in columns.items() if column is None]
        if odd or not names:
            raise InputError(f"has columns that are not numbers: {', '.join(odd)}", where=label)
        stacked = StackedColumns(tuple(c for c in columns.values() if c is not None))
        return RowArray.of(stacked, block_rows(8 * len(names)), is_table=True)
    matrix = open_matrix(store, key, element)
    if isinstance(matrix, SparseMatrix):
        return RowArray.of(SparseRows(matrix))
    return wrap_obsm_array(matrix.array, label)


def _numbers(store: Store, key: str, element: Any) -> FileArray | MaskedRows | None:
    """Describe a column of numbers or truth, NaN where missing; None of any other."""
    if is_array(element):
        array = FileArray.of(store, key, element)
        return array if array.dtype.kind in NUMBERS else None
    if not encoding_of(element).startswith("nullable"):
        return None
    values, mask = open_nullable(store, key, element)
    return MaskedRows(values, mask) if values.dtype.kind in NUMBERS else None
