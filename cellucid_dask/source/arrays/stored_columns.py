"""Columns of a store. Describing one reads no values.

pandas is imported where it is needed: categories and ids that are text need none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.arrays.columns import COMPLEX, SeriesColumn
from cellucid_dask.source.arrays.typed_column import TypedColumn, type_numbers
from cellucid_dask.source.arrays.whole_elements import place_of, read_element
from cellucid_dask.source.storage.elements import (
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
        return type_numbers(self.array, self.mask, place_of(self.array))


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
        return TypedColumn("text", self.array, self.mask, where=place_of(self.array))


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
        """Truth values, by rows; all else as pandas has it, which has no records."""
        with self.store.open_element(self.key) as element:
            if is_array(element):
                if element.dtype.kind in "bV":
                    return type_numbers(FileArray.of(self.store, self.key, element))
            elif encoding_of(element) == "nullable-boolean":
                values, mask = (
                    FileArray.of(self.store, f"{self.key}/{name}", require_element(element, name))
                    for name in ("values", "mask")
                )
                return type_numbers(values, mask)
        return self._series().typed()
