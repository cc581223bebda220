"""A column of which only the selected rows are selected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.columns import Column
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.rows.selected_arrays import SelectedRows


@dataclass(frozen=True, slots=True)
class SelectedColumn:
    """The selected rows of a column.

    Parameters
    ----------
    column
        Column of all rows.
    selection
        The rows.
    """

    column: Column
    selection: RowSelection

    @property
    def length(self) -> int:
        """Number of rows; not that of the selection when the column has another length than obs."""
        return self.column.length - self.selection.n_stored + self.selection.n_selected

    @property
    def kind(self) -> str:
        """As that of the whole column."""
        return self.column.kind

    def categories(self) -> list[str]:
        """Categories that a selected row has, in the order of the whole column."""
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
        codes: NDArray[np.int32] = self.selection.take(self.column.codes())
        return codes

    @staticmethod
    def _used(n: int, codes: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.flatnonzero(np.bincount(codes[codes >= 0], minlength=n))

    def values(self) -> NDArray[np.float32]:
        """Numbers of the selected rows."""
        values: NDArray[np.float32] = self.selection.take(self.column.values())
        return values

    def strings(self) -> list[str]:
        """Text of the selected rows."""
        return [
            str(value) for value in self.selection.take(np.array(self.column.strings(), object))
        ]

    def typed(self) -> TypedColumn:
        """The selected rows in their own type, with the categories that one of them has."""
        whole = self.column.typed()
        mask = None if whole.mask is None else SelectedRows(whole.mask, self.selection)
        rows: Any = SelectedRows(whole.array, self.selection)
        selected = replace(whole, array=rows, mask=mask)
        return selected.drop_unused() if whole.kind == "category" else selected
