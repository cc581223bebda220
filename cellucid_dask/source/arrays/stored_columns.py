"""Columns of a store. Describing one reads no values.

pandas is imported where it is needed: categories and ids that are text need none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import InputError, ReadError
from cellucid_dask.source.arrays.columns import COMPLEX, PLAIN, TEXT, SeriesColumn
from cellucid_dask.source.arrays.typed_column import TypedColumn, check_categories, type_numbers
from cellucid_dask.source.storage.damage import COPY_AGAIN
from cellucid_dask.source.storage.elements import (
    attribute,
    encoding_of,
    is_array,
    require_element,
)
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import decode_text

STRING_STEP = 1 << 18


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
        import pandas as pd

        texts = SeriesColumn(pd.Series(self.array[:])).strings()
        if self.mask is not None:
            for row in np.flatnonzero(self.mask[:]):
                texts[row] = "<NA>"
        return texts

    def typed(self) -> TypedColumn:
        """Numbers in their own type."""
        return type_numbers(self.array, self.mask, _place(self.array))


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
        values = self._category_values()
        if not all(isinstance(value, str) for value in values):
            import pandas as pd

            values = pd.Index(values)
        return [str(category) for category in values]

    def _category_values(self) -> Any:
        with self.store.open_element(self.categories_key) as element:
            if is_array(element) and element.dtype.kind != "V":
                array = FileArray.of(self.store, self.categories_key, element)
                check_one_axis(array)
                values = array[:]
                where = f"{self.store.path}, {self.categories_key}"
                return decode_text(values, where) if values.dtype.kind in TEXT else values
        return read_element(self.store, self.categories_key)

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

    def typed(self) -> TypedColumn:
        """Codes, with categories in their own type."""
        categories = check_categories(self._category_values())
        place = _place(self.array)
        return TypedColumn("category", self.array, None, categories, self._ordered(), where=place)

    def _ordered(self) -> bool:
        """What the group of codes and categories says; before anndata 0.8, the categories."""
        inside = self.categories_key == f"{self.array.key.removesuffix('/codes')}/categories"
        key = self.categories_key.removesuffix("/categories") if inside else self.categories_key
        with self.store.open_element(key) as element:
            return bool(attribute(element, "ordered", False))


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
            piece = decode_text(self.array[rows], f"{self.array.store.path}, {self.array.key}")
            if self.mask is not None:
                piece[self.mask[rows].astype(bool)] = None
            yield piece

    def categories(self) -> list[str]:
        """Distinct strings in the order of their code points, as pandas sorts them."""
        import pandas as pd

        found: set[str] = set()
        for piece in self.pieces():
            found.update(pd.unique(piece[pd.notna(piece)]))
        return sorted(found)

    def codes(self) -> NDArray[np.int32]:
        """Positions in the categories."""
        import pandas as pd

        index = pd.Index(self.categories(), dtype=object)
        codes = [index.get_indexer(pd.Index(piece, dtype=object)) for piece in self.pieces()]
        return np.concatenate([np.zeros(0, np.int32), *codes]).astype(np.int32)

    def values(self) -> NDArray[np.float32]:
        """Strings have none."""
        raise TypeError("a column of strings has no values")

    def strings(self) -> list[str]:
        """Every string; ``nan`` where missing."""
        return ["nan" if v is None else str(v) for piece in self.pieces() for v in piece]

    def typed(self) -> TypedColumn:
        """Texts."""
        return TypedColumn("text", self.array, self.mask, where=_place(self.array))


@dataclass(frozen=True, slots=True)
class AnndataColumn:
    """A column of any other encoding, which anndata reads whole when it is asked for."""

    store: Store
    key: str
    length: int
    kind: str

    def _series(self) -> SeriesColumn:
        import pandas as pd

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

    def typed(self) -> TypedColumn:
        """Truth values, by rows; all else as pandas has it."""
        with self.store.open_element(self.key) as element:
            if is_array(element):
                if element.dtype.kind == "b":
                    return type_numbers(FileArray.of(self.store, self.key, element))
            elif encoding_of(element) == "nullable-boolean":
                values, mask = (
                    FileArray.of(self.store, f"{self.key}/{name}", require_element(element, name))
                    for name in ("values", "mask")
                )
                return type_numbers(values, mask)
        return self._series().typed()


def read_element(store: Store, key: str) -> Any:
    """Read a whole element the way anndata does."""
    from anndata.io import read_elem

    with store.open_element(key) as element:
        if is_array(element) and element.dtype.kind in PLAIN:
            return element[...]  # anndata would warn where an old file does not say that it is one
        return read_elem(element)


def _place(array: FileArray) -> str:
    return f"{array.store.path}, {array.key}"


def check_one_axis(array: FileArray) -> None:
    """Raise InputError when an array has not exactly one axis."""
    if array.ndim != 1:
        what = f"has shape {array.shape}, not one axis"
        raise InputError(what, where=f"{array.store.path}, {array.key}")
