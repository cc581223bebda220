"""A `Source` of which only some cells are kept; every array of it is read as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError, InputError
from cellucid_dask.source.columns import Column
from cellucid_dask.source.core import Source, attempt, lazy
from cellucid_dask.source.matrix import DenseMatrix, Matrix, SparseMatrix
from cellucid_dask.source.rows.kept_arrays import RowPointers, RowsOfArray, RowValues
from cellucid_dask.source.rows.kept_rows import KeptRows


def keep_cells(source: Source, kept: KeptRows) -> Source:
    """Leave all but the `kept` cells out of every array of a source.

    Categories that no kept cell has are left out too, as when an AnnData is subset.
    """
    return replace(
        source,
        obs=replace(
            source.obs,
            length=kept.n_kept,
            columns=_Each(source.obs.columns, lambda column, _: KeptColumn(column, kept)),
        ),
        obsm=_Each(source.obsm, lambda array, key: keep_places(array, kept, key)),
        matrices=_Each(source.matrices, lambda matrix, key: keep_rows(matrix, kept, key)),
        whole=source,
        kept=kept,
    )


class _Each(Mapping[str, Any]):
    """Members of a mapping, each turned into another when it is asked for; errors stay."""

    def __init__(self, members: Mapping[str, Any], turn: Callable[[Any, str], Any]) -> None:
        self._members, self._turn = members, turn

    def __getitem__(self, key: str) -> Any:
        member = self._members[key]
        if isinstance(member, CellucidDaskError):
            return member
        return attempt(lambda member, key: self._turn(member, key), member, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """The kept rows of a column.

    Parameters
    ----------
    column
        Column of all rows.
    kept
        The rows.
    """

    column: Column
    kept: KeptRows

    @property
    def length(self) -> int:
        """Number of rows; another than those kept when the column is not as long as the others."""
        return self.column.length - self.kept.n_stored + self.kept.n_kept

    @property
    def kind(self) -> str:
        """As that of the whole column."""
        return self.column.kind

    def categories(self) -> list[str]:
        """Categories that a kept row has, in the order of the whole column."""
        every = self.column.categories()
        return [every[i] for i in self._used(len(every), self._codes())]

    def codes(self) -> NDArray[np.int32]:
        """Positions in `categories`; -1 where missing."""
        codes = self._codes()
        n = len(self.column.categories())
        positions = np.full(n + 1, -1, np.int32)
        used = self._used(n, codes)
        positions[used] = np.arange(used.size, dtype=np.int32)
        found: NDArray[np.int32] = positions[codes]
        return found

    def _codes(self) -> NDArray[np.int32]:
        codes: NDArray[np.int32] = self.kept.of(self.column.codes())
        return codes

    @staticmethod
    def _used(n: int, codes: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.flatnonzero(np.bincount(codes[codes >= 0], minlength=n))

    def values(self) -> NDArray[np.float32]:
        """Numbers of the kept rows."""
        values: NDArray[np.float32] = self.kept.of(self.column.values())
        return values

    def strings(self) -> list[str]:
        """Text of the kept rows."""
        return [str(value) for value in self.kept.of(np.array(self.column.strings(), object))]


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


def keep_places(array: da.Array, kept: KeptRows, key: str) -> da.Array:
    """Leave all but the `kept` cells out of an array of obsm.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    _check_length(array.shape, kept, f"obsm/{key}")
    return lazy(RowsOfArray(array, kept))


def _check_length(
    shape: tuple[int, ...], kept: KeptRows, where: str, *, square: bool = False
) -> None:
    if any(length != kept.n_stored for length in shape[: 1 + square]):
        raise InputError(f"has shape {shape}, but obs has {kept.n_stored} cells", where=where)


def keep_rows(matrix: Matrix, kept: KeptRows, key: str) -> Matrix:
    """Leave all but the `kept` cells out of a matrix; of a graph (in ``obsp``) on both axes.

    Raises
    ------
    InputError
        When it has not a row for each cell.
    """
    graph = key.startswith("obsp/")
    _check_length(matrix.shape, kept, key, square=graph)
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
