"""A column of other cells, of which some are taken, in another order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.categorical_column import CategoricalColumn
from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.row_array import ReorderedRows, RowArray
from cellucid_dask.source.arrays.typed_column import TypedColumn


@dataclass(frozen=True, slots=True)
class ReorderedColumn:
    """Rows of a column.

    Parameters
    ----------
    column
        Column of all rows.
    rows
        (length,) int64, rows of it.
    """

    column: Column
    rows: NDArray[np.int64]

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.rows.size

    @property
    def kind(self) -> str:
        """As of all rows."""
        return self.column.kind

    def _used(self) -> NDArray[np.bool_]:
        """(n_categories,) those that stay: all of a categorical; of texts those that occur."""
        n = len(self.column.categories())
        if isinstance(self.column, CategoricalColumn):
            return np.ones(n, bool)
        codes = self.column.codes()[self.rows]
        return np.bincount(codes[codes >= 0], minlength=n).astype(bool)

    def categories(self) -> list[str]:
        """Categories in pandas order; of a categorical, unused ones included."""
        names = zip(self.column.categories(), self._used(), strict=True)
        return [name for name, used in names if used]

    def codes(self) -> NDArray[np.int32]:
        """(length,) positions in `categories`; -1 where missing."""
        codes, used = self.column.codes()[self.rows], self._used()
        renumbered = np.append(np.cumsum(used) - 1, -1)  # the last one is that of -1
        return renumbered[codes].astype(np.int32)

    def values(self) -> NDArray[np.float32]:
        """(length,) numbers; NaN where missing."""
        return self.column.values()[self.rows]

    def strings(self) -> list[str]:
        """Every value as text."""
        names = self.column.strings()
        return [names[row] for row in self.rows]

    def typed(self) -> TypedColumn:
        """The rows in their own type; of a categorical, with all categories."""
        whole = self.column.typed()
        mask = None if whole.mask is None else ReorderedRows(RowArray.of(whole.mask), self.rows)
        return replace(whole, array=ReorderedRows(RowArray.of(whole.array), self.rows), mask=mask)
