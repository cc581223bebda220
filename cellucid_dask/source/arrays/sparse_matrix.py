"""A CSR or CSC matrix whose parts lie in a store or in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.storage.damage import COPY_AGAIN

ArrayLike: TypeAlias = Any  # FileArray, numpy or dask array: shape, dtype, slicing


INDPTR_STEP = 1 << 20


RUN_NNZ = 1 << 20  # stored values of columns that are read together


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
                raise ReadError(
                    "indptr does not rise from 0 to the number of stored values",
                    where=self.label,
                    fix=COPY_AGAIN,
                )
            last = int(piece[-1])
            yield start, piece

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
        if indices.size and (indices.min() < 0 or indices.max() >= self.n_minor):
            raise ReadError("an index lies outside the matrix", where=self.label, fix=COPY_AGAIN)
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
