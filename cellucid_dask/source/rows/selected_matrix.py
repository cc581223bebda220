"""Matrices and graphs of the selected cells, read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.dask_arrays import is_dask
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.rows.selected_arrays import (
    SelectedPointers,
    SelectedRows,
    SelectedValues,
    check_row_count,
)


@dataclass(frozen=True, slots=True)
class SelectedMinorAxis(SparseMatrix):
    """A sparse matrix with cells along the axis that is not contiguous, some of them left out.

    ``nnz``, ``indptr`` and what `pointers` yields count the values of those cells too.

    Parameters
    ----------
    selection
        Cells along the axis that is not contiguous; all others are left out.
    """

    selection: RowSelection

    @property
    def selecting_bytes(self) -> int:
        """Its new number, how many values before it stay, and whether it does."""
        return 9 + 4 * (self.nnz >= 2**31)

    @property
    def n_minor(self) -> int:
        """Stored length of the other axis."""
        return self.selection.n_stored

    def major(self, start: int, stop: int) -> Any:
        """As of any matrix, without the values of the cells that are left out."""
        part = super(SelectedMinorAxis, self).major(start, stop)
        there, indices = self.selection.renumber(part.indices)
        before = np.zeros(there.size + 1, part.indptr.dtype)
        np.cumsum(there, dtype=before.dtype, out=before[1:])
        parts = (part.data[there], indices, before[part.indptr])
        n, length = self.selection.n_selected, stop - start
        shape = (length, n) if self.layout == "csr" else (n, length)
        return type(part)(parts, shape=shape)


def select_matrix_rows(matrix: Matrix, selection: RowSelection, key: str) -> Matrix:
    """Leave all but the selected cells out of a matrix; of a graph (in ``obsp``) on both axes.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    graph = key.startswith("obsp/")
    check_row_count(matrix.shape, selection, key, square=graph)
    if isinstance(matrix, SparseMatrix):
        shape = (selection.n_selected, selection.n_selected if graph else matrix.shape[1])
        data, indices, indptr = matrix.data, matrix.indices, matrix.indptr
        if graph or matrix.layout == "csr":
            indptr = SelectedPointers(matrix, selection)
            data, indices = SelectedValues(data, indptr), SelectedValues(indices, indptr)
        facts = (matrix.layout, shape, data, indices, indptr, matrix.label)
        minor = graph or matrix.layout == "csc"
        return SelectedMinorAxis(*facts, selection) if minor else SparseMatrix(*facts)
    array = matrix.array
    if is_dask(array):
        mask = np.ones(selection.n_stored, bool)
        mask[selection.dropped] = False
        array = array[mask][:, mask] if graph else array[mask]
        return DenseMatrix(array, matrix.label)
    array = SelectedRows(array, selection)
    return DenseMatrix(SelectedGraph(array, selection) if graph else array, matrix.label)


@dataclass(frozen=True, slots=True)
class SelectedGraph:
    """A dense graph of the selected cells.

    Parameters
    ----------
    array
        (n_selected, n_stored) array-like.
    selection
        The cells.
    """

    array: SelectedRows
    selection: RowSelection

    @property
    def shape(self) -> tuple[int, int]:
        """(n_selected, n_selected)."""
        return self.selection.n_selected, self.selection.n_selected

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = index
        band: NDArray[Any] = np.delete(self.array[rows, :], self.selection.dropped, axis=1)
        return band[:, columns]
