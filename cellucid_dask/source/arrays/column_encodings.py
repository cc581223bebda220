"""Which class reads a column of a store: its encoding decides."""

from __future__ import annotations

from typing import Any

import h5py

from cellucid_dask.errors import InputError, refuse_fault
from cellucid_dask.source.arrays.categorical_column import CategoricalColumn
from cellucid_dask.source.arrays.columns import PLAIN, RECORDS, TEXT, Column, SeriesColumn
from cellucid_dask.source.arrays.stored_columns import AnndataColumn, NumberColumn, TextColumn
from cellucid_dask.source.arrays.whole_elements import check_one_axis, read_element
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.elements import attribute, encoding_of, is_array, require_element
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import Store

# What anndata raises on an encoding that it does not know, or for which a package is missing.
_UNKNOWN: tuple[type[Exception], ...] = (*DAMAGE, ImportError, AttributeError)


def open_column(store: Store, key: str, element: Any) -> Column:
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
        codes = FileArray.of(store, f"{key}/codes", require_element(element, "codes"))
        check_one_axis(codes)
        if codes.dtype.kind not in "iu":
            what, where = f"holds {codes.dtype}, not whole numbers", f"{store.path}, {key}/codes"
            raise InputError(what, where=where)
        return CategoricalColumn(codes, store, f"{key}/categories")
    if encoding.startswith("nullable"):
        values, mask = open_nullable(store, key, element)
        check_one_axis(values)
        if encoding == "nullable-string-array":
            return TextColumn(values, mask)
        if values.dtype.kind in "iuf":
            return NumberColumn(values, mask)
        return AnndataColumn(store, key, values.shape[0], "category")
    if not encoding:  # its own metadata are lost
        what = "is a group without the attribute encoding-type, so it is not known what it is"
        raise InputError(what, where=f"{store.path}, {key}")
    import pandas as pd  # not for the encodings above

    try:
        series = SeriesColumn(pd.Series(read_element(store, key)))
    except _UNKNOWN as error:
        refuse_fault(error, f"{store.path}, {key}")
        raise InputError(
            f"has an encoding that cannot be read ({encoding!r})", where=f"{store.path}, {key}"
        ) from error
    return AnndataColumn(store, key, series.length, series.kind)


def open_nullable(store: Store, key: str, element: Any) -> tuple[FileArray, FileArray]:
    """Describe the values and the mask of the nullable array at `key`.

    Raises
    ------
    InputError
        When they are not of one shape, or the mask is no mask.
    """
    values, mask = (
        FileArray.of(store, f"{key}/{n}", require_element(element, n)) for n in ("values", "mask")
    )
    if values.shape != mask.shape:
        what = f"has values of shape {values.shape} and a mask of shape {mask.shape}"
        raise InputError(what, where=f"{store.path}, {key}")
    if mask.dtype.kind not in "biu":
        what = f"holds {mask.dtype}, not true and false"
        raise InputError(what, where=f"{store.path}, {key}/mask")
    return values, mask


def _array_column(store: Store, key: str, element: Any) -> Column:
    array = FileArray.of(store, key, element)
    check_one_axis(array)
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
        return AnndataColumn(store, key, array.shape[0], "category")
    if array.dtype.kind == "V":
        return AnndataColumn(store, key, array.shape[0], RECORDS)
    objects = store.kind == "hdf5" and array.dtype.kind == "O"
    if array.dtype.kind not in TEXT or (objects and h5py.check_string_dtype(array.dtype) is None):
        raise InputError("holds neither numbers nor text", where=f"{store.path}, {key}")
    return TextColumn(array)
