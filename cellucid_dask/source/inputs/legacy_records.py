"""A `Source` from a file of anndata 0.6: obs and var are arrays of records.

Categorical columns are numbers there, and their categories lie in uns, a single one as a scalar,
which anndata itself does not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.arrays.columns import TEXT, Column, SeriesColumn
from cellucid_dask.source.arrays.obsm import wrap_obsm_array
from cellucid_dask.source.model import Frame
from cellucid_dask.source.storage.damage import result_or_error
from cellucid_dask.source.storage.elements import find_element, is_array, member_names
from cellucid_dask.source.storage.members import describe_member
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.storage.utf8 import decode_text

CATEGORIES = "_categories"  # ending of the names of categories in uns


def read_records_table(store: Store, key: str, element: Any) -> Frame:
    """Describe the table `element`, whose first column has the row names; reads all of it."""
    records = np.asarray(element[...])
    with store.open() as root:
        categories = {} if key == "raw.var" else _categories(store, root)
    first, *names = list(records.dtype.names or ())
    where = f"{store.path}, {key}"
    columns: dict[str, Column | CellucidDaskError] = {
        name: result_or_error(_column, records[name], f"{where}/{name}", categories.get(name))
        for name in names
    }
    return Frame(
        len(records), result_or_error(_column, records[first], f"{where}/{first}", None), columns
    )


def read_records_obsm(store: Store, key: str, element: Any) -> dict[str, Any]:
    """Describe the arrays of obsm, where it is an array of records, too; reads all of it."""
    records = np.asarray(element[...])
    names = records.dtype.names or ()
    return {
        n: result_or_error(wrap_obsm_array, records[n], f"{store.path}, {key}/{n}") for n in names
    }


def _categories(store: Store, root: Any) -> Mapping[str, Any]:
    """Categories by column, or why they cannot be read."""
    uns = find_element(root, "uns")
    names = [] if uns is None or is_array(uns) else member_names(uns)
    return {
        name.removesuffix(CATEGORIES): describe_member(store, "uns", uns, name, _values)
        for name in names
        if isinstance(name, str) and name.endswith(CATEGORIES)
    }


def _values(store: Store, key: str, element: Any) -> NDArray[Any]:
    values = np.atleast_1d(np.asarray(element[...]))
    return decode_text(values, f"{store.path}, {key}") if values.dtype.kind in TEXT else values


def _column(values: NDArray[Any], where: str, categories: Any) -> Column:
    import pandas as pd  # not for newer files

    if isinstance(categories, CellucidDaskError):
        raise categories
    if values.dtype.kind in TEXT:
        values = decode_text(values, where)
    codes = categories is not None and values.dtype.kind in "iu"
    if codes and values.max(initial=-1) < len(categories):  # else they are of the other table
        return SeriesColumn(pd.Series(pd.Categorical.from_codes(values, categories)))
    return SeriesColumn(pd.Series(values))
