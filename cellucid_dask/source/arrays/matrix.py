"""The expression matrix (and graphs), read by rows or by columns as its layout allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.source.arrays.dask_arrays import is_dask
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix, check_parts
from cellucid_dask.source.storage.elements import (
    attribute,
    encoding_of,
    find_element,
    is_array,
    text_attribute,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store

NUMBERS = "biuf"


Matrix: TypeAlias = SparseMatrix | DenseMatrix


def open_matrix(store: Store, key: str, element: Any) -> Matrix:
    """Describe the matrix at `key`, whose open group or dataset is `element`.

    Raises
    ------
    InputError
        When it is of an encoding that is no matrix.
    """
    label = f"{store.path}, {key}"
    if is_array(element):
        matrix: Matrix = DenseMatrix(FileArray.of(store, key, element), label)
        if len(element.shape) != 2:
            raise InputError(f"has shape {tuple(element.shape)}, not two axes", where=label)
        return check_matrix(matrix)
    encoding = encoding_of(element)
    layout = encoding.removesuffix("_matrix") or text_attribute(element, "h5sparse_format")
    shape = attribute(element, "shape", attribute(element, "h5sparse_shape"))
    parts = {name: find_element(element, name) for name in ("data", "indices", "indptr")}
    if (
        layout not in ("csr", "csc")
        or shape is None
        or any(part is None for part in parts.values())
    ):
        raise InputError(
            f"is no matrix this program knows (encoding {encoding!r})",
            where=label,
            fix="write it as a dense, CSR or CSC matrix",
        )
    data, indices, indptr = (FileArray.of(store, f"{key}/{p}", parts[p]) for p in parts)
    n_rows, n_columns = (int(n) for n in shape)
    return check_matrix(SparseMatrix(layout, (n_rows, n_columns), data, indices, indptr, label))


def wrap_matrix(value: Any, label: str) -> Matrix:
    """Describe a numpy, scipy or dask matrix; a pandas DataFrame counts as numpy."""
    if sparse.issparse(value):
        if value.format not in ("csr", "csc"):
            value = value.tocsr()
        parts = (value.data, value.indices, value.indptr)
        return check_matrix(SparseMatrix(value.format, value.shape, *parts, label))
    if not is_dask(value):
        value = np.asarray(value)
    if value.ndim != 2:
        raise InputError(f"has shape {value.shape}, not two axes", where=label)
    if np.isnan(value.shape).any():  # as dask has it for lengths it does not know
        fix = "call compute_chunk_sizes() on it"
        raise InputError("has chunks of unknown size", where=label, fix=fix)
    return check_matrix(DenseMatrix(value, label))


def check_matrix(matrix: Matrix) -> Matrix:
    """Return `matrix` when its values are real numbers and its parts fit together."""
    if matrix.dtype.kind not in NUMBERS or matrix.dtype.itemsize > 8:
        raise InputError(
            f"holds {matrix.dtype}, not real numbers of at most 64 bits", where=matrix.label
        )
    if isinstance(matrix, SparseMatrix):
        check_parts(matrix)
    return matrix


def consecutive_runs(sorted_ids: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers in a rising sequence, as (first, one past the last)."""
    ids = np.asarray(sorted_ids)
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    for part in np.split(ids, cuts):
        if part.size:
            yield int(part[0]), int(part[-1]) + 1
