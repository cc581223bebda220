"""Values of continuous columns and codes of categorical ones, one task for each column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.encode import encode_values, packed
from cellucid_dask.files import Receipt, read_array, write_arrays, write_file
from cellucid_dask.format import Code, Resource, safe, value_ext

if TYPE_CHECKING:
    from cellucid_dask.source.arrays.columns import Column


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """A categorical column whose codes are in a file.

    Parameters
    ----------
    key
        Name of the column.
    n_categories, code
        How many, and how they are stored.
    path
        (n_cells,) codes, uncompressed.
    """

    key: str
    n_categories: int
    code: Code
    path: str

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Codes of cells `start` to `stop`; those of missing ones are the highest."""
        return read_array(self.path, self.code.dtype, start, stop - start)


def write_column(
    folder: str, column: Column, coded: CodedColumn | None, key: str, bits: int | None, level: int
) -> Receipt:
    """Write a column of either kind; `coded` is None for a continuous one."""
    if coded is None:
        return write_values(folder, key, column, bits, level)
    return write_codes(folder, column, coded, level)


def write_values(folder: str, key: str, column: Column, bits: int | None, level: int) -> Receipt:
    """Write a continuous column."""
    encoded = encode_values(column.values(), bits, level)
    resource = Resource("values", safe(key), ext=value_ext(bits), gz=level > 0)
    return write_file(folder, resource, [encoded.payload], encoded.span)


def write_codes(folder: str, column: Column, coded: CodedColumn, level: int) -> Receipt:
    """Write the codes of a categorical column, and again uncompressed where they are not."""
    codes = column.codes()
    stored = np.where(codes < 0, coded.code.missing, codes).astype(coded.code.dtype)
    if level:
        write_arrays(coded.path, [stored])
    resource = Resource("codes", safe(coded.key), ext=coded.code.ext, gz=level > 0)
    return write_file(folder, resource, packed([stored], level))
