"""A column of which only the selected rows are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.rows.row_selection import KeptRows


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
