"""One column of obs or var: its kind, its categories and codes, or its values.

pandas is the authority on what a category is and in which order categories come; columns too
long for pandas strings are factorized in pieces, to the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellucid_dask.errors import InputError, ReadError, refuse_fault
from cellucid_dask.source.storage.elements import attribute, encoding_of, is_array, need
from cellucid_dask.source.storage.store import COPY_AGAIN, DAMAGE, FileArray, Store
from cellucid_dask.source.storage.utf8 import decoded

STRING_STEP = 1 << 18
# What anndata raises on an encoding that it does not know, or for which a package is missing.
_UNKNOWN: tuple[type[Exception], ...] = (*DAMAGE, ImportError, AttributeError)


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


COMPLEX = "holds complex numbers, which have no place on a colour scale"
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


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Integers or floats of a store.

    Parameters
    ----------
    array
        (length,) numbers.
    mask
        (length,) bool, true where missing; None when nothing is.
    """

    array: FileArray
    mask: FileArray | None = None

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.array.shape[0]

    @property
    def kind(self) -> str:
        """Numbers are continuous."""
        return COMPLEX if self.array.dtype.kind == "c" else "continuous"

    def values(self) -> NDArray[np.float32]:
        """Numbers as float32."""
        with np.errstate(over="ignore"):
            numbers = self.array[:].astype(np.float32)
        if self.mask is not None:
            numbers[self.mask[:].astype(bool)] = np.nan
        return numbers

    def categories(self) -> list[str]:
        """Numbers have none."""
        raise TypeError("a continuous column has no categories")

    def codes(self) -> NDArray[np.int32]:
        """Numbers have none."""
        raise TypeError("a continuous column has no codes")

    def strings(self) -> list[str]:
        """Every number as pandas writes it; ``<NA>`` where missing."""
        texts = SeriesColumn(pd.Series(self.array[:])).strings()
        if self.mask is not None:
            for row in np.flatnonzero(self.mask[:]):
                texts[row] = "<NA>"
        return texts


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """A categorical of a store; its codes are read without its strings.

    Parameters
    ----------
    array
        (length,) integers on disk.
    store, categories_key
        Where the categories are.
    """

    array: FileArray
    store: Store
    categories_key: str

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.array.shape[0]

    @property
    def kind(self) -> str:
        """Always ``category``."""
        return "category"

    def categories(self) -> list[str]:
        """Categories, each `str()`-ed."""
        return [str(category) for category in self._index()]

    @property
    def _where(self) -> str:
        return f"{self.store.path}, {self.categories_key}"

    def _index(self) -> pd.Index[Any]:
        with self.store.reading(self.categories_key) as element:
            if is_array(element) and element.dtype.kind != "V":
                array = FileArray.of(self.store, self.categories_key, element)
                _check_one_axis(array)
                values = array[:]
                text = values.dtype.kind in TEXT
                return pd.Index(decoded(values, self._where) if text else values)
        return pd.Index(read_element(self.store, self.categories_key))

    def codes(self) -> NDArray[np.int32]:
        """Codes as stored; ReadError when one has no category."""
        codes = self.array[:].astype(np.int32)
        n = len(self.categories())
        if codes.size and (codes.max() >= n or codes.min() < -1):
            raise ReadError(
                f"has codes from {codes.min()} to {codes.max()}, but {n} categories",
                where=f"{self.array.store.path}, {self.array.key}",
                fix=COPY_AGAIN,
            )
        return codes

    def values(self) -> NDArray[np.float32]:
        """Categories have none."""
        raise TypeError("a categorical column has no values")

    def strings(self) -> list[str]:
        """Every value as text; ``nan`` where missing."""
        names = np.asarray([*self.categories(), "nan"], dtype=object)
        return [str(name) for name in names[self.codes()]]


@dataclass(frozen=True, slots=True)
class TextColumn:
    """Strings of a store, factorized in pieces so that they are never all in memory.

    Parameters
    ----------
    array
        (length,) strings.
    mask
        (length,) bool, true where missing; None when nothing is.
    """

    array: FileArray
    mask: FileArray | None = None

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.array.shape[0]

    @property
    def kind(self) -> str:
        """Always ``category``."""
        return "category"

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Strings of up to `STRING_STEP` rows at a time; None where missing."""
        for start in range(0, self.length, STRING_STEP):
            rows = slice(start, min(start + STRING_STEP, self.length))
            piece = decoded(self.array[rows], f"{self.array.store.path}, {self.array.key}")
            if self.mask is not None:
                piece[self.mask[rows].astype(bool)] = None
            yield piece

    def categories(self) -> list[str]:
        """Distinct strings in the order of their code points, as pandas sorts them."""
        found: set[str] = set()
        for piece in self.pieces():
            found.update(pd.unique(piece[pd.notna(piece)]))
        return sorted(found)

    def codes(self) -> NDArray[np.int32]:
        """Positions in the categories."""
        index = pd.Index(self.categories(), dtype=object)
        codes = [index.get_indexer(pd.Index(piece, dtype=object)) for piece in self.pieces()]
        return np.concatenate([np.zeros(0, np.int32), *codes]).astype(np.int32)

    def values(self) -> NDArray[np.float32]:
        """Strings have none."""
        raise TypeError("a column of strings has no values")

    def strings(self) -> list[str]:
        """Every string; ``nan`` where missing."""
        return ["nan" if v is None else str(v) for piece in self.pieces() for v in piece]


@dataclass(frozen=True, slots=True)
class WholeColumn:
    """A column of any other encoding, which anndata reads whole when it is asked for."""

    store: Store
    key: str
    length: int
    kind: str

    def _series(self) -> SeriesColumn:
        return SeriesColumn(pd.Series(read_element(self.store, self.key)))

    def categories(self) -> list[str]:
        """Categories in pandas order."""
        return self._series().categories()

    def codes(self) -> NDArray[np.int32]:
        """Codes of the categories."""
        return self._series().codes()

    def values(self) -> NDArray[np.float32]:
        """Numbers as float32."""
        return self._series().values()

    def strings(self) -> list[str]:
        """Every value as text."""
        return self._series().strings()


def read_element(store: Store, key: str) -> Any:
    """Read a whole element the way anndata does."""
    from anndata.io import read_elem

    with store.reading(key) as element:
        if is_array(element) and element.dtype.kind in PLAIN:
            return element[...]  # anndata would warn where an old file does not say that it is one
        return read_elem(element)


def column_in_store(store: Store, key: str, element: Any) -> Column:
    """Describe the column at `key`, whose open group or dataset is `element`.

    Raises
    ------
    InputError
        When it is of an encoding that anndata cannot read.
    """
    if is_array(element):
        return _array_column(store, key, element)
    encoding = encoding_of(element)
    if encoding == "categorical":
        codes = FileArray.of(store, f"{key}/codes", need(element, "codes"))
        _check_one_axis(codes)
        if codes.dtype.kind not in "iu":
            what, where = f"holds {codes.dtype}, not whole numbers", f"{store.path}, {key}/codes"
            raise InputError(what, where=where)
        return CategoricalColumn(codes, store, f"{key}/categories")
    if encoding.startswith("nullable"):
        values, mask = masked_in_store(store, key, element)
        _check_one_axis(values)
        if encoding == "nullable-string-array":
            return TextColumn(values, mask)
        if values.dtype.kind in "iuf":
            return NumberColumn(values, mask)
        return WholeColumn(store, key, values.shape[0], "category")
    try:
        series = SeriesColumn(pd.Series(read_element(store, key)))
    except _UNKNOWN as error:
        refuse_fault(error, f"{store.path}, {key}")
        raise InputError(
            f"has an encoding that cannot be read ({encoding!r})", where=f"{store.path}, {key}"
        ) from error
    return WholeColumn(store, key, series.length, series.kind)


def masked_in_store(store: Store, key: str, element: Any) -> tuple[FileArray, FileArray]:
    """Describe the values and the mask of the nullable array at `key`.

    Raises
    ------
    InputError
        When they are not of one shape, or the mask is no mask.
    """
    values, mask = (FileArray.of(store, f"{key}/{n}", need(element, n)) for n in ("values", "mask"))
    if values.shape != mask.shape:
        what = f"has values of shape {values.shape} and a mask of shape {mask.shape}"
        raise InputError(what, where=f"{store.path}, {key}")
    if mask.dtype.kind not in "biu":
        what = f"holds {mask.dtype}, not true and false"
        raise InputError(what, where=f"{store.path}, {key}/mask")
    return values, mask


def _check_one_axis(array: FileArray) -> None:
    if array.ndim != 1:
        what = f"has shape {array.shape}, not one axis"
        raise InputError(what, where=f"{array.store.path}, {array.key}")


def _array_column(store: Store, key: str, element: Any) -> Column:
    array = FileArray.of(store, key, element)
    _check_one_axis(array)
    legacy = attribute(element, "categories")
    if legacy is not None:  # anndata 0.7: integers, and where their categories are
        if store.kind == "hdf5":
            target = element.file[legacy].name.lstrip("/")
        else:
            target = f"{key.rpartition('/')[0]}/{legacy}"
        return CategoricalColumn(array, store, target)
    if array.dtype.kind in "iufc":
        return NumberColumn(array)
    if array.dtype.kind in PLAIN:
        return WholeColumn(store, key, array.shape[0], "category")
    if array.dtype.kind == "V":
        return WholeColumn(store, key, array.shape[0], RECORDS)
    objects = store.kind == "hdf5" and array.dtype.kind == "O"
    if array.dtype.kind not in TEXT or (objects and h5py.check_string_dtype(array.dtype) is None):
        raise InputError("holds neither numbers nor text", where=f"{store.path}, {key}")
    return TextColumn(array)
