"""Columns and graphs of the data in the form in which a ready file stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from cellucid_dask.verify.export_folder.arrays import Array

_INTEGERS = pd.core.arrays.integer.IntegerDtype


@dataclass(frozen=True, slots=True)
class ExpectedColumn:
    """A column as `StoredColumn` has it, with values in place of arrays of a file.

    Parameters
    ----------
    kind
        Its encoding; empty for a type that no ready file has.
    values
        Values, texts, or codes.
    beside
        Categories of a categorical, mask of a nullable column.
    """

    kind: str
    values: Any
    beside: Any = None
    ordered: bool = False


def expect_column(series: pd.Series[Any]) -> ExpectedColumn:
    """Return how a ready file stores a column."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _expect_categorical(series.cat.codes.to_numpy(), dtype.categories, dtype.ordered)
    if isinstance(dtype, pd.BooleanDtype | _INTEGERS):
        kind = "nullable-boolean" if isinstance(dtype, pd.BooleanDtype) else "nullable-integer"
        mask = series.isna().to_numpy(bool)
        values = series.fillna(False if kind == "nullable-boolean" else 0)
        plain = values.to_numpy(dtype=dtype.numpy_dtype)
        return ExpectedColumn(kind, plain, mask) if mask.any() else ExpectedColumn("array", plain)
    if isinstance(dtype, pd.StringDtype) or dtype.kind == "O":
        return _expect_text(series.to_numpy(dtype=object))
    if hasattr(dtype, "numpy_dtype"):  # nullable floats: NA is NaN
        return ExpectedColumn("array", series.to_numpy(dtype=dtype.numpy_dtype, na_value=np.nan))
    values = series.to_numpy()
    return ExpectedColumn("array" if values.dtype.kind in "iufb" else "", values)


def _expect_text(values: Array) -> ExpectedColumn:
    missing = pd.isna(values)
    if not all(isinstance(text, str) for text in values[~missing]):
        return ExpectedColumn("", values)
    distinct = sorted(set(values[~missing].tolist()))
    if not missing.any() and len(distinct) == len(values):
        return ExpectedColumn("string-array", values)
    labels = pd.Categorical(pd.Series(values).mask(missing), categories=distinct)
    return _expect_categorical(labels.codes, labels.categories, ordered=False)


def _expect_categorical(codes: Any, categories: pd.Index[Any], ordered: Any) -> ExpectedColumn:
    texts = not len(categories) or isinstance(categories[0], str)
    is_text = texts and categories.dtype.kind not in "iufb"
    labels = categories.to_numpy(dtype=object if is_text else None)
    return ExpectedColumn("categorical", codes, labels, ordered=bool(ordered))


def expect_graph(graph: Any) -> sparse.csr_matrix:
    """Return a graph as a ready file stores it: symmetric, without loops and without zeros.

    Where the weights of both directions differ, the edge has the larger. A weight that is too small
    for float32 stays, as zero.
    """
    weights = sparse.csr_matrix(graph).astype(np.float64)
    weights.sum_duplicates()
    weights.setdiag(0)
    weights.eliminate_zeros()
    stored = weights.maximum(weights.T).tocsr().astype(np.float32)
    stored.sort_indices()
    return stored


def same_bits(stored: Array, expected: Array) -> bool:
    """Whether two arrays are of one type and shape, and equal to the bit; a NaN is any NaN."""
    if stored.shape != expected.shape or stored.dtype.newbyteorder("=") != expected.dtype:
        return False
    if stored.dtype.kind != "f":
        return bool(np.array_equal(stored, expected))
    unsigned = f"u{stored.dtype.itemsize}"
    equal = stored.view(unsigned) == np.ascontiguousarray(expected).view(unsigned)
    return bool((equal | (np.isnan(stored) & np.isnan(expected))).all())
