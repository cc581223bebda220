"""A categorical of a store. Describing one reads no values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import ReadError
from cellucid_dask.source.arrays.columns import TEXT
from cellucid_dask.source.arrays.typed_column import TypedColumn, check_categories
from cellucid_dask.source.arrays.whole_elements import check_one_axis, place_of, read_element
from cellucid_dask.source.storage.damage import COPY_AGAIN
from cellucid_dask.source.storage.elements import attribute, is_array
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import decode_text


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
        place = place_of(self.array)
        return TypedColumn("category", self.array, None, categories, self._ordered(), where=place)

    def _ordered(self) -> bool:
        """What the group of codes and categories says; before anndata 0.8, the categories."""
        inside = self.categories_key == f"{self.array.key.removesuffix('/codes')}/categories"
        key = self.categories_key.removesuffix("/categories") if inside else self.categories_key
        with self.store.open_element(key) as element:
            return bool(attribute(element, "ordered", False))
