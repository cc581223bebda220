"""How a column of a table is stored in a ready file, and its categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import InputError
from cellucid_dask.exporter.checks.ready.catalog import ReadyColumn
from cellucid_dask.ready.facts import TEXT
from cellucid_dask.ready.layout import ColumnKind, ColumnLayout
from cellucid_dask.source.arrays.typed_column import AS_TEXT, TypedColumn


def describe_column(key: str, column: TypedColumn, *, in_hdf5: bool = False) -> ReadyColumn:
    """Find how a column is stored; reads text, floats and masks.

    Parameters
    ----------
    in_hdf5
        Whether an h5ad is among the files that will store it.

    Raises
    ------
    InputError
        When it has values that no ready file holds.
    """
    if column.kind == "category":
        check_text(column.categories, in_hdf5=in_hdf5)
        _refuse_repeats(column.categories)
        return _categorical(key, column, column.categories)
    if column.kind == "text":
        if _is_unique(column, in_hdf5=in_hdf5):
            return ReadyColumn(ColumnLayout(key, "text", TEXT), column)
        texts = _distinct_texts(column)
        check_text(texts, in_hdf5=in_hdf5)
        return _categorical(key, column, texts)
    if column.nullable and any(column.read_missing(*rows).any() for rows in column.steps()):
        kind: ColumnKind = "nullable-boolean" if column.kind == "bool" else "nullable-integer"
        return ReadyColumn(ColumnLayout(key, kind, _little(column.dtype)), column)
    if column.nullable:
        column = replace(column, mask=None)
    if column.dtype.kind == "f":
        _refuse_infinite(column)
    return ReadyColumn(ColumnLayout(key, "array", _little(column.dtype)), column)


def n_categories(column: ReadyColumn) -> int:
    """Count the categories by which the viewer colors; 0 of numbers.

    Truth values have two, and of texts that do not repeat each is one.
    """
    if column.layout.kind == "categorical":
        return int(column.categories.size)
    if column.column.kind == "bool":
        return 2
    return column.column.length if column.layout.kind == "text" else 0


def category_codes(column: ReadyColumn, start: int, stop: int) -> NDArray[np.int64]:
    """Read the category of rows `start` to `stop`; -1 where missing.

    Raises
    ------
    TypeError
        For numbers, which have none.
    """
    if column.layout.kind == "categorical":
        values = column.column.read(start, stop)
        if column.column.kind == "category":
            return values
        import pandas as pd

        index = pd.Index(column.categories, dtype=object)
        return index.get_indexer(pd.Index(values, dtype=object)).astype(np.int64)
    if column.column.kind == "bool":
        codes = column.column.read(start, stop).astype(np.int64)
        if column.column.nullable:
            codes[column.column.read_missing(start, stop)] = -1
        return codes
    if column.layout.kind == "text":
        return np.arange(start, stop)
    raise TypeError("a column of numbers has no categories")


def check_text(texts: NDArray[Any], *, in_hdf5: bool) -> None:
    """Raise InputError when texts hold what UTF-8, or a string of HDF5, cannot; skips numbers."""
    if texts.dtype.kind != "O":
        return
    joined = "".join(texts)
    if in_hdf5 and "\x00" in joined:
        what = "a text has a NUL character, which HDF5 cannot store"
        raise InputError(what, fix="remove the character, or write zarr")
    try:
        joined.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"holds text that cannot be written as UTF-8 ({error.reason})") from error


def _categorical(key: str, column: TypedColumn, categories: NDArray[Any]) -> ReadyColumn:
    n = categories.size
    types = (t for t in (np.int8, np.int16, np.int32) if n < np.iinfo(t).max)  # as pandas does
    dtype = TEXT if categories.dtype.kind == "O" else _little(categories.dtype)
    codes = _little(next(types, np.int64))
    layout = ColumnLayout(key, "categorical", codes, column.ordered, dtype, n)
    return ReadyColumn(layout, column, categories)


def _little(dtype: Any) -> str:
    return np.dtype(dtype).newbyteorder("<").str


def _is_unique(column: TypedColumn, *, in_hdf5: bool) -> bool:
    """Whether no text is missing and none repeats: told by hashes, 8 bytes for each row.

    Two texts of one hash are as good as a repeat: the column becomes a categorical.
    """
    import pandas as pd

    hashes = np.empty(column.length, np.uint64)
    for start, stop in column.steps():
        texts = column.read(start, stop)
        if _has_missing(texts, start):
            return False
        check_text(texts, in_hdf5=in_hdf5)
        hashes[start:stop] = pd.util.hash_array(texts, categorize=False)
        if _repeat(hashes[start:stop].copy()):
            return False
    return not _repeat(hashes)


def _repeat(hashes: NDArray[np.uint64]) -> bool:
    """Whether one is there twice; sorts them in place."""
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def _distinct_texts(column: TypedColumn) -> NDArray[Any]:
    """Texts in the order of their code points."""
    found: set[str] = set()
    for start, stop in column.steps():
        texts = column.read(start, stop)
        _has_missing(texts, start)
        found.update(texts)
    found.discard(None)
    return np.array(sorted(found), dtype=object)


def _has_missing(texts: NDArray[Any], start: int) -> bool:
    """Whether a text is None; raise InputError when an object is neither."""
    import pandas as pd

    if pd.api.types.infer_dtype(texts, skipna=False) in ("string", "empty"):
        return False
    for row, value in enumerate(texts, start):
        if value is not None and not isinstance(value, str):
            what = f"mixes text with other values, such as {value!r} in row {row:,}"
            raise InputError(what, fix=AS_TEXT)
    return True


def _refuse_repeats(categories: NDArray[Any]) -> None:
    """Raise InputError when two categories are one, or one is missing: anndata reads neither."""
    import pandas as pd

    index = pd.Index(categories)
    if index.hasnans:
        raise InputError("has a missing category", fix=AS_TEXT)
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise InputError(f"has the category {twice!r} twice", fix=AS_TEXT)


def _refuse_infinite(column: TypedColumn) -> None:
    """Raise InputError when a number is infinite."""
    total, first = 0, 0
    for start, stop in column.steps():
        rows = np.flatnonzero(np.isinf(column.read(start, stop)))
        first = start + int(rows[0]) if rows.size and not total else first
        total += rows.size
    if total:
        noun = "infinite value" if total == 1 else "infinite values"
        what = f"holds {total:,} {noun}, the first in row {first:,}"
        raise InputError(what, fix="replace them with NaN, which is shown as missing")
