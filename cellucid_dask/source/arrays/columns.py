"""One column of obs or var: its kind, its categories and codes, or its values.

pandas is the authority on what a category is and in which order categories come; columns too
long for pandas strings are factorized in pieces, to the same result. It is imported where it is
needed, not for every column: that takes as long as a small export.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.typed_column import TypedColumn, type_series

if TYPE_CHECKING:
    import pandas as pd


class Column(Protocol):
    """A column of `length` rows.

    ``kind`` is ``category``, ``continuous``, or a sentence that says why it is neither.
    """

    @property
    def length(self) -> int:
        """Number of rows."""

    @property
    def kind(self) -> str:
        """``category``, ``continuous``, or why the column cannot be shown."""

    def categories(self) -> list[str]:
        """Categories in pandas order, unused ones included."""

    def codes(self) -> NDArray[np.int32]:
        """(length,) positions in `categories`; -1 where missing."""

    def values(self) -> NDArray[np.float32]:
        """(length,) numbers; NaN where missing."""

    def strings(self) -> list[str]:
        """Every value as text, as gene ids are."""

    def typed(self) -> TypedColumn:
        """The column in the type in which it came; InputError when that has no place in obs."""


COMPLEX = "holds complex numbers, which have no place on a color scale"
RECORDS = "holds records, which are neither numbers nor text"
TEXT = "OSTU"  # kinds of dtypes
PLAIN = "bmM"  # truth, durations and dates, which pandas makes categories of


@dataclass(frozen=True, slots=True)
class SeriesColumn:
    """A pandas Series."""

    series: pd.Series[Any]

    @property
    def length(self) -> int:
        """Number of rows."""
        return len(self.series)

    @property
    def kind(self) -> str:
        """As the reference decides: categorical and bool, then numbers, then all the rest."""
        import pandas as pd

        dtype = self.series.dtype
        if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
            return "category"
        if pd.api.types.is_complex_dtype(dtype):
            return COMPLEX
        if getattr(dtype, "kind", "") == "V" and isinstance(dtype, np.dtype):
            return RECORDS
        return "continuous" if pd.api.types.is_numeric_dtype(dtype) else "category"

    def _categorical(self) -> Any:
        return self.series.astype("category").cat

    def categories(self) -> list[str]:
        """Categories, each `str()`-ed."""
        return [str(category) for category in self._categorical().categories]

    def codes(self) -> NDArray[np.int32]:
        """Codes of the categories."""
        codes: NDArray[np.int32] = self._categorical().codes.to_numpy(dtype=np.int32)
        return codes

    def values(self) -> NDArray[np.float32]:
        """Numbers as float32."""
        with np.errstate(over="ignore"):
            if isinstance(self.series.dtype, np.dtype):
                return self.series.to_numpy().astype(np.float32)
            return self.series.to_numpy(dtype=np.float32, na_value=np.nan)

    def strings(self) -> list[str]:
        """Every value as text."""
        return [str(value) for value in self.series.astype(str)]

    def typed(self) -> TypedColumn:
        """The column in its own type."""
        return type_series(self.series)
