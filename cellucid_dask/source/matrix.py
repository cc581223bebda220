"""The expression matrix (and graphs), read by rows or by columns as its layout allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.storage.elements import (
    attribute,
    encoding_of,
    find,
    is_array,
    text_attribute,
)
from cellucid_dask.source.storage.store import COPY_AGAIN, FileArray, Store

ArrayLike: TypeAlias = Any  # FileArray, numpy or dask array: shape, dtype, slicing
INDPTR_STEP = 1 << 20
RUN_NNZ = 1 << 20  # stored values of columns that are read together

NUMBERS = "biuf"


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


@dataclass(frozen=True, slots=True)
class DenseMatrix:
    """A dense matrix, in a store or in memory, or a lazy dask array of dense or sparse blocks.

    Parameters
    ----------
    array
        (n_cells, n_genes) array-like.
    label
        How messages name it.
    """

    array: ArrayLike
    label: str

    @property
    def layout(self) -> str:
        """``dense``, or ``rows`` for a dask array: read by row blocks, whatever they hold."""
        return "rows" if is_dask_collection(self.array) else "dense"

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        n_cells, n_genes = self.array.shape
        return int(n_cells), int(n_genes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> tuple[int, int] | None:
        """Chunk shape on disk; None when contiguous or in memory."""
        return None if is_dask_collection(self.array) else getattr(self.array, "chunks", None)

    def read(self, rows: slice, columns: slice) -> Any:
        """Read a rectangle; a numpy array, or a scipy matrix where a dask block is one."""
        part = self.array[rows, columns]
        return computed(part, self.label) if is_dask_collection(part) else part


def computed(part: Any, label: str) -> Any:
    """Compute a part of a dask array in this thread.

    Raises
    ------
    InputError
        When its blocks are not of the shape that they were declared with.
    """
    try:
        block = part.compute(scheduler="synchronous")
    except ValueError as error:
        raise InputError(
            f"has blocks that cannot be put together ({error})", where=label
        ) from error
    if block.shape != part.shape:
        what = f"has blocks of shape {block.shape} where it declares {part.shape}"
        raise InputError(what, where=label, fix="declare the chunks that map_blocks gives")
    return block


Matrix: TypeAlias = SparseMatrix | DenseMatrix


def matrix_in_store(store: Store, key: str, element: Any) -> Matrix:
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
        return checked(matrix)
    encoding = encoding_of(element)
    layout = encoding.removesuffix("_matrix") or text_attribute(element, "h5sparse_format")
    shape = attribute(element, "shape", attribute(element, "h5sparse_shape"))
    parts = {name: find(element, name) for name in ("data", "indices", "indptr")}
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
    return checked(SparseMatrix(layout, (n_rows, n_columns), data, indices, indptr, label))


def matrix_in_memory(value: Any, label: str) -> Matrix:
    """Describe a numpy, scipy or dask matrix; a pandas DataFrame counts as numpy."""
    if sparse.issparse(value):
        if value.format not in ("csr", "csc"):
            value = value.tocsr()
        parts = (value.data, value.indices, value.indptr)
        return checked(SparseMatrix(value.format, value.shape, *parts, label))
    if not is_dask_collection(value):
        value = np.asarray(value)
    if value.ndim != 2:
        raise InputError(f"has shape {value.shape}, not two axes", where=label)
    if np.isnan(value.shape).any():  # as dask has it for lengths it does not know
        fix = "call compute_chunk_sizes() on it"
        raise InputError("has chunks of unknown size", where=label, fix=fix)
    return checked(DenseMatrix(value, label))


def checked(matrix: Matrix) -> Matrix:
    """Return `matrix` when its values are real numbers and its parts fit together."""
    if matrix.dtype.kind not in NUMBERS or matrix.dtype.itemsize > 8:
        raise InputError(
            f"holds {matrix.dtype}, not real numbers of at most 64 bits", where=matrix.label
        )
    if isinstance(matrix, SparseMatrix):
        _check_parts(matrix)
    return matrix


def _check_parts(matrix: SparseMatrix) -> None:
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


def runs(sorted_ids: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers in a rising sequence, as (first, one past the last)."""
    ids = np.asarray(sorted_ids)
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    for part in np.split(ids, cuts):
        if part.size:
            yield int(part[0]), int(part[-1]) + 1
