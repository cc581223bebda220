"""A `Source` of which only some cells are kept; every array of it is read as it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray

from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.rows.row_selection import KeptRows
from cellucid_dask.source.rows.selected_arrays import (
    RowPointers,
    RowsOfArray,
    RowValues,
    check_length,
)


@dataclass(frozen=True, slots=True)
class KeptMinor(SparseMatrix):
    """A sparse matrix with cells along the axis that is not contiguous, some of them left out.

    ``nnz``, ``indptr`` and what `pointers` yields count the values of those cells too.

    Parameters
    ----------
    kept
        Cells along the axis that is not contiguous; all others are left out.
    """

    kept: KeptRows

    @property
    def selecting_bytes(self) -> int:
        """Its new number, how many values before it stay, and whether it does."""
        return 9 + 4 * (self.nnz >= 2**31)

    @property
    def n_minor(self) -> int:
        """Stored length of the other axis."""
        return self.kept.n_stored

    def major(self, start: int, stop: int) -> Any:
        """As of any matrix, without the values of the cells that are left out."""
        part = super(KeptMinor, self).major(start, stop)
        there, indices = self.kept.renumber(part.indices)
        before = np.zeros(there.size + 1, part.indptr.dtype)
        np.cumsum(there, dtype=before.dtype, out=before[1:])
        parts = (part.data[there], indices, before[part.indptr])
        n, length = self.kept.n_kept, stop - start
        shape = (length, n) if self.layout == "csr" else (n, length)
        return type(part)(parts, shape=shape)


def keep_rows(matrix: Matrix, kept: KeptRows, key: str) -> Matrix:
    """Leave all but the `kept` cells out of a matrix; of a graph (in ``obsp``) on both axes.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    graph = key.startswith("obsp/")
    check_length(matrix.shape, kept, key, square=graph)
    if isinstance(matrix, SparseMatrix):
        shape = (kept.n_kept, kept.n_kept if graph else matrix.shape[1])
        data, indices, indptr = matrix.data, matrix.indices, matrix.indptr
        if graph or matrix.layout == "csr":
            indptr = RowPointers(matrix, kept)
            data, indices = RowValues(data, indptr), RowValues(indices, indptr)
        facts = (matrix.layout, shape, data, indices, indptr, matrix.label)
        minor = graph or matrix.layout == "csc"
        return KeptMinor(*facts, kept) if minor else SparseMatrix(*facts)
    array = matrix.array
    if is_dask_collection(array):
        mask = np.ones(kept.n_stored, bool)
        mask[kept.dropped] = False
        array = array[mask][:, mask] if graph else array[mask]
        return DenseMatrix(array, matrix.label)
    array = RowsOfArray(array, kept)
    return DenseMatrix(BothAxes(array, kept) if graph else array, matrix.label)


@dataclass(frozen=True, slots=True)
class BothAxes:
    """A dense graph of the kept cells.

    Parameters
    ----------
    array
        (n_kept, n_stored) array-like.
    kept
        The cells.
    """

    array: RowsOfArray
    kept: KeptRows

    @property
    def shape(self) -> tuple[int, int]:
        """(n_kept, n_kept)."""
        return self.kept.n_kept, self.kept.n_kept

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = index
        band: NDArray[Any] = np.delete(self.array[rows, :], self.kept.dropped, axis=1)
        return band[:, columns]
