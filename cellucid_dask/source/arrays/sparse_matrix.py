"""A CSR or CSC matrix whose parts lie in a store or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.storage.damage import COPY_AGAIN
from cellucid_dask.source.storage.file_array import FileArray

ArrayLike: TypeAlias = Any  # FileArray, numpy or dask array: shape, dtype, slicing
Take: TypeAlias = Callable[[int, DTypeLike], NDArray[Any]]


INDPTR_STEP = 1 << 20


RUN_NNZ = 1 << 20  # stored values of columns that are read together


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of CSR (columns of CSC) as they are stored.

    Parameters
    ----------
    pointers
        (n + 1,) int64, where each row begins; the first need not be 0.
    indices, data
        (nnz,) int32 or int64, and values in the byte order of the machine.
    is_own
        Whether they may be changed in place: they are not a user's arrays.
    """

    pointers: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]
    is_own: bool


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """CSR or CSC, in a store or in memory.

    Parameters
    ----------
    layout
        ``csr`` or ``csc``.
    shape
        (n_cells, n_genes).
    data, indices, indptr
        (nnz,), (nnz,) and (n + 1,) array-likes.
    label
        How messages name it.
    """

    layout: str
    shape: tuple[int, int]
    data: ArrayLike
    indices: ArrayLike
    indptr: ArrayLike
    label: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return np.dtype(self.data.dtype)

    @property
    def is_sparse(self) -> bool:
        """Whether it is sparse, as a `DenseMatrix` can be."""
        return True

    @property
    def nnz(self) -> int:
        """Stored values, explicit zeros and duplicates included."""
        return int(self.data.shape[0])

    @property
    def selecting_bytes(self) -> int:
        """Memory of a stored value, beside itself and a copy, while values are left out."""
        return 0

    @property
    def n_major(self) -> int:
        """Length of the axis along which values are contiguous."""
        return self.shape[0] if self.layout == "csr" else self.shape[1]

    @property
    def n_minor(self) -> int:
        """Length of the other axis."""
        return self.shape[1] if self.layout == "csr" else self.shape[0]

    def pointers(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """indptr in pieces of a bounded length, each with its first index; pieces overlap by 1.

        Raises
        ------
        ReadError
            When it does not rise from 0 to the number of stored values.
        """
        last = 0
        for start in range(0, max(self.n_major, 1), INDPTR_STEP):
            stop = min(start + INDPTR_STEP, self.n_major)
            piece = np.asarray(self.indptr[start : stop + 1]).astype(np.int64)
            bad = piece.size != stop - start + 1 or piece[0] != last or np.any(np.diff(piece) < 0)
            if bad or (stop == self.n_major and piece[-1] != self.nnz):
                raise self._pointer_error()
            last = int(piece[-1])
            yield start, piece

    def _pointer_error(self) -> ReadError:
        what = "indptr does not rise from 0 to the number of stored values"
        return ReadError(what, where=self.label, fix=COPY_AGAIN)

    def read_pointers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Read where rows (CSR) or columns (CSC) `start` to `stop` begin, and where the last ends.

        Raises
        ------
        ReadError
            When they do not lie within the stored values.
        """
        pointers = np.asarray(self.indptr[start : stop + 1]).astype(np.int64)
        if not 0 <= int(pointers[0]) <= int(pointers[-1]) <= self.nnz:
            raise self._pointer_error()
        return pointers

    def read_rows(self, pointers: NDArray[np.int64], take: Take) -> StoredRows:
        """Read rows (CSR) or columns (CSC) as stored; the caller checks the indices.

        Parameters
        ----------
        pointers
            Of `read_pointers`.
        take
            Makes the arrays to read into, from a length and a type.

        Raises
        ------
        ReadError
            When indices of another type are converted, and one lies outside the matrix.
        """
        low, high = int(pointers[0]), int(pointers[-1])
        data = _read_into(self.data, low, high, take)
        indices = _read_into(self.indices, low, high, take)
        data = data.astype(data.dtype.newbyteorder("="), copy=False)
        if indices.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
            self.check_indices(indices)  # NaN would become any number
            indices = indices.astype(np.int64)
        own = isinstance(self.data, FileArray) and isinstance(self.indices, FileArray)
        return StoredRows(pointers, np.ascontiguousarray(indices), data, is_own=own)

    def major(self, start: int, stop: int) -> Any:
        """Read rows (CSR) or columns (CSC) `start` to `stop` as a scipy array of that layout.

        Values of half precision come as float32, which scipy can compute with.

        Raises
        ------
        ReadError
            When an index lies outside the matrix.
        """
        pointers = np.asarray(self.indptr[start : stop + 1])
        low, high = int(pointers[0]), int(pointers[-1])
        data, indices = np.asarray(self.data[low:high]), np.asarray(self.indices[low:high])
        self.check_indices(indices)
        if data.dtype == np.float16:
            data = data.astype(np.float32)
        data = data.astype(data.dtype.newbyteorder("="), copy=False)
        kind = np.int32 if max(high - low, self.n_minor) < 2**31 else np.int64
        shape = (stop - start, self.n_minor)
        pointers = (pointers - pointers[0]).astype(kind)
        parts = (data, indices.astype(kind, copy=False), pointers)
        if self.layout == "csr":
            return sparse.csr_array(parts, shape=shape)
        return sparse.csc_array(parts, shape=shape[::-1])

    def check_indices(self, indices: NDArray[Any]) -> None:
        """Check indices as they are stored, of any type.

        Raises
        ------
        ReadError
            When one lies outside the matrix, or is not a whole number.
        """
        if indices.size and not (indices.min() >= 0 and indices.max() < self.n_minor):  # or NaN
            raise ReadError("an index lies outside the matrix", where=self.label, fix=COPY_AGAIN)
        if indices.dtype.kind == "f" and not np.array_equal(indices, np.trunc(indices)):
            raise ReadError("an index is not a whole number", where=self.label, fix=COPY_AGAIN)

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows as a dense array; of a CSC matrix by reading all of its columns."""
        if self.layout == "csr":
            dense: NDArray[Any] = self.major(start, stop).toarray()
            return dense
        parts = [self.major(*columns)[start:stop].toarray() for columns in self._column_runs()]
        return np.hstack([np.empty((stop - start, 0), self.dtype), *parts])

    def _column_runs(self) -> Iterator[tuple[int, int]]:
        """Runs of columns of a CSC matrix that hold few values, or are one column."""
        for first, pointers in self.pointers():
            start = 0
            while start < pointers.size - 1:
                limit = pointers[start] + RUN_NNZ
                stop = int(np.searchsorted(pointers, limit, side="right")) - 1
                stop = max(stop, start + 1)
                yield first + start, first + stop
                start = stop


def _read_into(array: ArrayLike, start: int, stop: int, take: Take) -> NDArray[Any]:
    """Read items of an array, into memory from `take` where the array can."""
    if not isinstance(array, FileArray):
        return np.ascontiguousarray(array[start:stop])
    out = take(max(0, stop - start), array.dtype)
    array.read_into(start, stop, out)
    return out


def check_parts(matrix: SparseMatrix) -> None:
    """Check the lengths and types of the parts of a matrix.

    Raises
    ------
    InputError
        When they do not fit together.
    """
    parts = matrix.data, matrix.indices, matrix.indptr
    shapes = [tuple(map(int, part.shape)) for part in parts]
    one_axis = all(len(shape) == 1 for shape in shapes)
    if not one_axis or shapes[0] != shapes[1] or shapes[2] != (matrix.n_major + 1,):
        lengths = [shape[0] if len(shape) == 1 else shape for shape in shapes]
        what = f"data, indices and indptr have lengths {lengths}, which do not fit "
        what += f"{matrix.layout.upper()} of shape {matrix.shape}"
        raise InputError(what, where=matrix.label, fix=COPY_AGAIN)
    if any(part.dtype.kind not in "iuf" for part in parts[1:]):
        raise InputError("indices and indptr are not numbers", where=matrix.label, fix=COPY_AGAIN)
