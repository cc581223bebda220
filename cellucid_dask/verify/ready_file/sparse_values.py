"""Checks of the values of sparse matrices, a few chunks at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.ready_file.contents import StoredSparse
from cellucid_dask.verify.ready_file.stored import StoredArray

_BLOCK: Final = 1 << 20  # elements of a check: 16 chunks of expression
_EXACT: Final = 1 << 24  # whole number above which float32 skips some


class SparseChecks:
    """Checks of a sparse matrix; what joins two blocks is checked at the end.

    Parameters
    ----------
    matrix
        CSC of expression, or CSR of a graph.
    entry
        What a column or row is called in messages.
    """

    def __init__(self, matrix: StoredSparse, n_minor: int, entry: str) -> None:
        self.matrix, self.n_minor, self.entry = matrix, n_minor, entry
        self.pointers: NDArray[np.int64] | None = None
        self._ends: dict[int, tuple[int, int]] = {}  # first and last index of a block
        self.widths = WideValues(matrix.data)
        self._balance: dict[int, int] = {}  # of the entries above and below the diagonal

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return self.matrix.data.shape[0]

    def check_pointers(self) -> Iterator[str]:
        """Check that pointers rise from 0 to the number of entries."""
        path, pointers = self.matrix.indptr.path, self.matrix.indptr.read().astype(np.int64)
        falls = np.flatnonzero(np.diff(pointers) < 0)
        if falls.size:
            yield f"{path}: falls at {self.entry} {falls[0]:,}"
        elif pointers[0] != 0 or pointers[-1] != self.nnz:
            yield f"{path}: goes from {pointers[0]:,} to {pointers[-1]:,}, not 0 to {self.nnz:,}"
        else:
            self.pointers = pointers

    def block_checks(self) -> list[Iterator[str]]:
        """Return a check of every block of entries; `check_pointers` comes first."""
        return [self._check_block(start) for start in range(0, self.nnz, _BLOCK)]

    def _check_block(self, start: int) -> Iterator[str]:
        stop = min(start + _BLOCK, self.nnz)
        values = self.matrix.data.read(slice(start, stop))
        indices = self.matrix.indices.read(slice(start, stop))
        yield from self._check_values(start, values)
        self.widths.add(values)
        path, where = self.matrix.indices.path, f"entries {start:,} to {stop:,}"
        if indices.size and (indices.min() < 0 or indices.max() >= self.n_minor):
            far = int(indices.min()) if indices.min() < 0 else int(indices.max())
            yield f"{path}: has the index {far:,} of {self.n_minor:,}, {where}"
            return
        if indices.size:
            self._ends[start] = int(indices[0]), int(indices[-1])
        if self.pointers is None:
            return
        falls = np.flatnonzero(np.diff(indices) <= 0) + start + 1
        yield from self._name_falls(falls)
        if self.matrix.path != "X":
            yield from self._check_graph(start, values, indices)

    def _name_falls(self, places: NDArray[np.int64]) -> Iterator[str]:
        """Name the first place where indices do not rise, and no column or row begins."""
        assert self.pointers is not None
        found = self.pointers[np.searchsorted(self.pointers, places)]
        inside = places[found != places]
        if inside.size:
            entry = int(np.searchsorted(self.pointers, inside[0], side="right")) - 1
            yield f"{self.matrix.indices.path}: does not rise within {self.entry} {entry:,}"

    def _check_values(self, start: int, values: Array) -> Iterator[str]:
        """Check that values are finite and those of X not zero, as a weight below float32 is."""
        faults = {"not finite": ~np.isfinite(values)}
        if self.matrix.path == "X":
            faults["zero"] = values == 0
        for fault, found in faults.items():
            if found.any():
                first = f"the first is entry {start + int(found.argmax()):,}"
                yield f"{self.matrix.data.path}: {found.sum():,} values are {fault}, {first}"

    def _check_graph(self, start: int, values: Array, indices: Array) -> Iterator[str]:
        assert self.pointers is not None
        if values.size and np.isfinite(values).all() and values.min() < 0:
            yield f"{self.matrix.data.path}: has the weight {values.min()}"
        stop = start + values.size
        first = int(np.searchsorted(self.pointers, start, side="right")) - 1
        last = int(np.searchsorted(self.pointers, stop, side="left"))
        bounds = np.clip(self.pointers[first : last + 1], start, stop)
        rows = np.repeat(np.arange(first, last), np.diff(bounds))
        columns = indices.astype(np.int64)
        if (rows == columns).any():
            cell = rows[rows == columns][0]
            yield f"{self.matrix.indices.path}: cell {cell:,} is its own neighbor"
        keys = np.minimum(rows, columns) * self.n_minor + np.maximum(rows, columns)
        marks = _mix(_mix(keys.view(np.uint64)) ^ values.view(np.uint32).astype(np.uint64))
        above = int(np.add.reduce(marks[rows < columns], dtype=np.uint64))
        below = int(np.add.reduce(marks[rows > columns], dtype=np.uint64))
        self._balance[start] = above - below

    def check_joints(self) -> Iterator[str]:
        """Check what no block shows alone: its first entry against the one before, and symmetry."""
        if self.pointers is None or len(self._ends) < -(-self.nnz // _BLOCK):
            return
        starts = [start for start in self._ends if start]
        falls = [s for s in sorted(starts) if self._ends[s][0] <= self._ends[s - _BLOCK][1]]
        yield from self._name_falls(np.array(falls, np.int64))
        if self.matrix.path == "X":
            yield from self.widths.check()
        elif sum(self._balance.values()) % (1 << 64):
            yield f"{self.matrix.path}: is not symmetric"


@dataclass(slots=True)
class WideValues:
    """Whether expression has to be float64: whole numbers, one of them above 2^24."""

    data: StoredArray
    _whole: list[bool] = field(default_factory=list)  # threads append
    _largest: list[float] = field(default_factory=list)

    def add(self, values: Array) -> None:
        """Add values of a block."""
        if self.data.dtype == "<f8" and values.size:
            self._whole.append(bool((np.floor(values) == values).all()))
            self._largest.append(float(np.abs(values).max()))

    def check(self) -> Iterator[str]:
        """Compare the type with the values, all of which were added."""
        if self.data.dtype == "<f8" and not (
            all(self._whole) and max(self._largest, default=0.0) > _EXACT
        ):
            yield f"{self.data.path}: is float64, and its values are not whole numbers above 2^24"


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter the bits of every value: sums of them are equal for equal entries alone."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
