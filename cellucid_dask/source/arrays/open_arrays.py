"""Arrays of a zarr store that stay open, for a server that reads them again and again.

The chunks of a sparse matrix are read without zarr and HDF5, however small the gene is.

An HDF5 file is opened for each read all the same: while it is open, nobody else in the process
could open it with another way of locking, and one that was written anew would read as before.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.elements import require_element
from cellucid_dask.source.storage.file_array import FileArray


@dataclass(frozen=True, slots=True)
class OpenArray:
    """A `FileArray` whose element is open: reading it does not open the store each time.

    Parameters
    ----------
    array
        What it is.
    element
        The open zarr.Array.
    """

    array: FileArray
    element: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """As on disk."""
        return self.array.chunks

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        found = self.array.read_directly(index)
        if found is not None:
            return found
        try:
            return np.asarray(self.element[index])
        except DAMAGE:
            return self.array[index]  # says which chunk it is, or finds the store moved and back


def keep_arrays_open(matrix: Matrix, stack: ExitStack) -> Matrix:
    """Return `matrix` with its arrays open until `stack` closes; as it is when it is in memory.

    The pointers of a sparse one are read.
    """
    if isinstance(matrix, DenseMatrix):
        if not isinstance(matrix.array, FileArray):
            return matrix
        return replace(matrix, array=_held(matrix.array, stack))
    if not isinstance(matrix.data, FileArray):
        return matrix
    pointers = np.concatenate([[0], *(piece[1:] for _, piece in matrix.pointers())])
    data, indices = _held(matrix.data, stack), _held(matrix.indices, stack)
    assert isinstance(matrix, SparseMatrix)
    return replace(matrix, data=data, indices=indices, indptr=pointers.astype(np.int64))


def _held(array: FileArray, stack: ExitStack) -> FileArray | OpenArray:
    array = replace(array, direct_bytes=0)  # how it is stored is found out once for all reads
    if array.store.kind == "hdf5":
        return array
    root = stack.enter_context(array.store.open())
    return OpenArray(array, require_element(root, array.key))
