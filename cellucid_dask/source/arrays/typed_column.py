"""A column in the type in which it came, read by rows: what ready files store.

An export folder has numbers as float32 and all categories as text; here they keep their types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.storage.damage import COPY_AGAIN
from cellucid_dask.source.storage.utf8 import decode_text

if TYPE_CHECKING:
    import pandas as pd

STEP: Final = 1 << 18  # rows that are read at a time
AS_TEXT: Final = "convert it to text, with .astype(str)"
_REFUSED: Final = {  # kinds of dtypes, with what they are and what to do
    "M": ("holds dates", AS_TEXT),
    "m": ("holds durations", "convert it to numbers, with .dt.total_seconds()"),
    "c": ("holds complex numbers", "store real and imaginary parts as two columns"),
    "V": ("holds records", "store each field as a column"),
}


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column of obs or var.

    Parameters
    ----------
    kind
        ``number``, ``bool``, ``text`` or ``category``.
    array
        (n,) array-like that is indexed by ranges of rows: the values, or the codes of categories.
    mask
        (n,) array-like, true where a value is missing; None where that cannot be. Floats have NaN,
        text None, and codes -1, mask or not.
    categories
        Texts as objects, numbers or truth values.
    ordered
        Whether the categories have an order.
    positions
        (n_stored + 1,) code by stored code, where some of the stored categories are left out; the
        last one, -1, is that of missing values.
    where
        Place of the values in a file, for messages; empty in memory.
    """

    kind: Literal["number", "bool", "text", "category"]
    array: Any
    mask: Any = None
    categories: NDArray[Any] = field(default_factory=lambda: np.empty(0, object))
    ordered: bool = False
    positions: NDArray[np.int64] | None = None
    where: str = ""

    @property
    def length(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of numbers and truth values."""
        return np.dtype(bool) if self.kind == "bool" else np.dtype(self.array.dtype)

    @property
    def nullable(self) -> bool:
        """Whether a mask says which values are missing."""
        return self.mask is not None and (self.kind == "bool" or self.dtype.kind in "iu")

    def steps(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows to read one after the other."""
        for start in range(0, self.length, STEP):
            yield start, min(start + STEP, self.length)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows `start` to `stop`: numbers, truth values, texts or int64 codes.

        Where a mask says that one is missing, floats are NaN, other numbers 0.
        """
        values = _rows(self.array, start, stop)
        if self.kind == "category":
            return self._codes(values)
        if self.kind == "text":
            values = _texts(values, self.where)
        elif values.dtype != self.dtype:
            values = values.astype(self.dtype)
        if self.mask is not None:
            values = values.copy()
            values[self.read_missing(start, stop)] = _MISSING.get(values.dtype.kind, 0)
        return values

    def read_missing(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Read the mask of rows `start` to `stop`."""
        return _rows(self.mask, start, stop).astype(bool)

    def take(self, rows: NDArray[np.int64]) -> TypedColumn:
        """Take some rows, in any order, into memory; for tables of genes, which are short."""

        def taken(array: Any) -> Any:
            return None if array is None else _rows(array, 0, self.length)[rows]

        return replace(self, array=taken(self.array), mask=taken(self.mask))

    def drop_unused(self) -> TypedColumn:
        """Leave out the categories that no row has; reads all codes."""
        n = self.categories.size
        used = np.zeros(n + 1, bool)
        for start, stop in self.steps():
            used[self.read(start, stop)] = True  # -1 is the last
        used = used[:n]
        positions = np.append(np.where(used, np.cumsum(used) - 1, -1), -1)
        return replace(self, categories=self.categories[used], positions=positions)

    def _codes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        codes = values.astype(np.int64)
        n = self.categories.size if self.positions is None else self.positions.size - 1
        if codes.size and (codes.max() >= n or codes.min() < -1):
            what = f"has codes from {codes.min()} to {codes.max()}, but {n} categories"
            raise ReadError(what, where=self.where, fix=COPY_AGAIN)
        return codes if self.positions is None else self.positions[codes]


_MISSING: Final[dict[str, Any]] = {"f": np.nan, "O": None}


def _rows(array: Any, start: int, stop: int) -> NDArray[Any]:
    """Some rows of an array-like; of an array of rows, whose second axis has one place."""
    return np.asarray(array[start:stop]).reshape(-1)


def _texts(values: NDArray[Any], where: str) -> NDArray[Any]:
    """Texts as objects, None where one is missing; what is neither stays as it is.

    Bytes are text in a file alone.
    """
    import pandas as pd

    texts = decode_text(values, where) if where else values.astype(object)
    for row in np.flatnonzero(np.asarray(pd.isna(texts), dtype=bool)):
        if texts[row] is pd.NA or isinstance(texts[row], float):
            texts[row] = None
    return texts


@dataclass(frozen=True, slots=True)
class SeriesText:
    """Text of a pandas Series, as objects of the rows that are asked for."""

    series: pd.Series[Any]

    @property
    def shape(self) -> tuple[int]:
        """(n,)."""
        return (len(self.series),)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Objects."""
        return np.dtype(object)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return self.series.iloc[rows].to_numpy(dtype=object)


def type_series(series: pd.Series[Any]) -> TypedColumn:
    """Describe a Series with its type.

    Raises
    ------
    InputError
        When it is of a type that no ready file holds.
    """
    import pandas as pd

    dtype: Any = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = check_categories(dtype.categories.to_numpy(), str(dtype.categories.dtype))
        codes = series.cat.codes.to_numpy()
        return TypedColumn("category", codes, categories=categories, ordered=bool(dtype.ordered))
    if isinstance(dtype, pd.StringDtype) or dtype == np.dtype(object):
        return TypedColumn("text", SeriesText(series))
    if isinstance(dtype, np.dtype):
        return type_numbers(series.to_numpy())
    masked = pd.arrays.BooleanArray | pd.arrays.IntegerArray | pd.arrays.FloatingArray
    if isinstance(series.array, masked):
        plain, missing = dtype.numpy_dtype, series.isna().to_numpy(dtype=bool)
        fill = np.nan if plain.kind == "f" else 0
        return type_numbers(series.to_numpy(dtype=plain, na_value=fill), missing)
    raise _refusal(dtype)


def type_numbers(array: Any, mask: Any = None, where: str = "") -> TypedColumn:
    """Describe an array-like of numbers or truth values.

    Raises
    ------
    InputError
        When they are of a type that no ready file holds.
    """
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise _refusal(dtype)
    return TypedColumn("bool" if dtype.kind == "b" else "number", array, mask, where=where)


def check_categories(values: Any, dtype: str = "") -> NDArray[Any]:
    """Return categories as an array of texts, numbers or truth values.

    Raises
    ------
    InputError
        When they are anything else.
    """
    categories = np.asarray(values)
    if categories.dtype.kind in "biuf" and categories.dtype.itemsize <= 8:
        return categories
    texts = categories.astype(object)
    if categories.dtype.kind not in "OTU" or not all(isinstance(text, str) for text in texts):
        what = f"has categories of type {dtype or categories.dtype}, not text or numbers"
        raise InputError(what, fix="make them text, with .cat.rename_categories(str)")
    return texts


def _refusal(dtype: Any) -> InputError:
    kind = dtype.kind if isinstance(dtype, np.dtype) else getattr(dtype, "kind", "")
    what, fix = _REFUSED.get(kind, (f"is of type {dtype}", AS_TEXT))
    return InputError(f"{what}, which ready files do not hold", fix=fix)
