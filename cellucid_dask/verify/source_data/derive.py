"""Arrays of an export derived from elements of an AnnData, by the rules of the format."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError
from cellucid_dask.verify.export_folder.arrays import Array

Float32: TypeAlias = NDArray[np.float32]


def to_float32(values: Any, dtype: Any = np.float32) -> Float32:
    """Convert an array, a data frame or a sparse matrix to a dense array of float32 or `dtype`.

    Raises
    ------
    InputError
        When it holds something other than numbers.
    """
    if isinstance(values, pd.DataFrame):  # NA of nullable columns becomes NaN
        values = values.to_numpy(dtype=dtype, na_value=np.nan)
    dense: Any = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    try:
        with np.errstate(over="ignore"):
            converted: Float32 = dense.astype(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"the data has something other than numbers ({error})") from error
    return converted


def find_possible_spans(finite: Float32) -> list[tuple[float, float]]:
    """Return the ranges ``lo, hi`` that `finite` values may be quantized over."""
    if not finite.size:
        return [(0.0, 1.0)]
    lo, hi = float(finite.min()), float(finite.max())
    if lo < hi:
        return [(lo, hi)]
    # Beyond 2**53, adding 1 changes nothing and the next number up is as good.
    return [(lo, lo + 1.0), (lo, float(np.nextafter(lo, np.inf)))]


def normalize_points(raw: Float32) -> tuple[Float32, float]:
    """Scale an embedding to [-1, 1]; return (n_cells, dim) points, and the scale."""
    lo, hi = raw.min(axis=0), raw.max(axis=0)
    width = float((hi - lo).max())
    scale = 2.0 / (width if width >= 1e-8 else 1.0)
    return (raw - (lo + hi) / np.float32(2)) * np.float32(scale), scale


def is_continuous(column: Any) -> bool:
    """Whether an obs column is exported as numbers."""
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    boolean = pd.api.types.is_bool_dtype(column.dtype)
    return not categorical and not boolean and bool(pd.api.types.is_numeric_dtype(column.dtype))


def column_to_float32(column: Any) -> Float32:
    """Return the (n_cells,) numbers of an obs column; NaN where missing."""
    with np.errstate(over="ignore"):
        values: Float32 = column.to_numpy(dtype=np.float32, na_value=np.nan)
    return values


def derive_edges(graph: Any) -> tuple[Array, Array, int]:
    """Derive the sorted edges of a neighbor graph, and its largest number of neighbors.

    Returns
    -------
    src, dst
        (n_edges,) int64, ``src < dst``.
    max_neighbors
        A cell that is its own neighbor counts itself.
    """
    entries = sparse.coo_array(graph)
    stored = entries.data != 0
    row, col = (axis[stored].astype(np.int64) for axis in entries.coords)
    n = entries.shape[0]
    pairs = np.minimum(row, col) * n + np.maximum(row, col)
    pairs.sort()  # np.unique would hash, which takes four times as long
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    low, high = pairs // n, pairs % n
    distinct = low != high
    ends = np.concatenate([low, high[distinct]])  # a loop has one end
    max_neighbors = int(np.bincount(ends).max(initial=0))
    return low[distinct], high[distinct], max_neighbors
