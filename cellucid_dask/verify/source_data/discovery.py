"""Where an AnnData keeps what an export shows, by the discovery rules of the format."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError, OptionError
from cellucid_dask.verify.export_folder.arrays import Array
from cellucid_dask.verify.source_data.anndata_file import Data
from cellucid_dask.verify.source_data.attributes import text
from cellucid_dask.verify.source_data.tables import INDEX, Table


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the AnnData the export was made of, where that was not left to discovery.

    Parameters
    ----------
    drop_unplaced
        Whether cells that have NaN or Inf in an embedding were left out.
    """

    embeddings: Mapping[int, str]
    layer: str | None
    raw: bool
    graph: str | None
    latent: str | None
    drop_unplaced: bool = False


def embedding_key(data: Data, dim: int, chosen: Mapping[int, str]) -> str | None:
    """Name the obsm key of the points of `dim` dimensions; None when there is none.

    Raises
    ------
    InputError
        When there is no key that was chosen.
    """
    if dim in chosen:
        if chosen[dim] not in data.obsm:
            known = ", ".join(map(repr, data.obsm)) or "nothing"
            raise InputError(f"there is no obsm[{chosen[dim]!r}]", fix=f"obsm has {known}")
        return chosen[dim]
    for key in (f"X_umap_{dim}d", "X_umap"):
        if key in data.obsm and data.obsm[key].shape[1:] == (dim,):
            return key
    return None


def vector_key(data: Data, field: str, dim: int) -> str | None:
    """Name the obsm key of a vector field; None when there is none."""
    for key in (f"{field}_{dim}d", field):
        if key in data.obsm and (data.obsm[key].shape[1:] or (1,)) == (dim,):
            return key
    return None


def latent_key(data: Data, said: str, chosen: str | None) -> str:
    """Name the obsm key of the latent space: the one of the manifest, if there is one like that.

    Raises
    ------
    InputError
        When there is no key that was chosen.
    """
    if chosen is not None and chosen not in data.obsm:
        known = ", ".join(map(repr, data.obsm)) or "nothing"
        raise InputError(f"there is no obsm[{chosen!r}]", fix=f"obsm has {known}")
    return said if chosen is None or said in data.obsm else chosen


def float32(values: Any) -> NDArray[np.float32]:
    """Array, frame or sparse matrix as a dense float32 array.

    Raises
    ------
    InputError
        When it holds anything but numbers.
    """
    if isinstance(values, pd.DataFrame):  # whose nullable numbers have no number for NA
        values = values.to_numpy(dtype=np.float32, na_value=np.nan)
    dense: Any = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    try:
        with np.errstate(over="ignore"):
            converted: NDArray[np.float32] = dense.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"the data holds no numbers where it should ({error})") from error
    return converted


def span(finite: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Ranges that `finite` values may be quantized over."""
    if not finite.size:
        return [(0.0, 1.0)]
    lo, hi = float(finite.min()), float(finite.max())
    if lo < hi:
        return [(lo, hi)]
    # Beyond 2**53, adding 1 changes nothing and the next number up is as good.
    return [(lo, lo + 1.0), (lo, float(np.nextafter(lo, np.inf)))]


def normalized(raw: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Points of an embedding, and the scale they were brought to."""
    lo, hi = raw.min(axis=0), raw.max(axis=0)
    width = float((hi - lo).max())
    scale = 2.0 / (width if width >= 1e-8 else 1.0)
    return (raw - (lo + hi) / np.float32(2)) * np.float32(scale), scale


def is_continuous(column: Any) -> bool:
    """Whether an obs column is shown as numbers."""
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    truth = pd.api.types.is_bool_dtype(column.dtype)
    return not categorical and not truth and bool(pd.api.types.is_numeric_dtype(column.dtype))


def numbers(column: Any) -> NDArray[np.float32]:
    """Numbers of an obs column; NaN where missing."""
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = column.to_numpy(dtype=np.float32, na_value=np.nan)
    return values


def graph_pairs(graph: Any) -> tuple[Array, Array, int]:
    """Sorted edges of a neighbour graph, and the largest number of neighbours.

    Returns
    -------
    src, dst
        (n_edges,) int64, ``src < dst``.
    max_neighbors
        A cell that is its own neighbour counts itself.
    """
    entries = sparse.coo_array(graph)
    stored = entries.data != 0
    row, col = (axis[stored].astype(np.int64) for axis in entries.coords)
    n = entries.shape[0]
    pairs = np.minimum(row, col) * n + np.maximum(row, col)
    pairs.sort()  # np.unique would hash, which takes four times as long
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    low, high = pairs // n, pairs % n
    apart = low != high
    ends = np.concatenate([low, high[apart]])  # a loop has one end
    most = int(np.bincount(ends).max(initial=0))
    return low[apart], high[apart], most


def expression(data: Data, choice: Choice) -> tuple[Any, Table]:
    """Matrix of the expression, None when there is none, and the var that goes with it.

    Raises
    ------
    InputError
        When there is no layer or raw that was chosen.
    OptionError
        When both were.
    """
    if choice.raw and choice.layer is not None:
        raise OptionError("a layer and raw cannot both be given")
    if choice.raw:
        if data.raw_var is None or "raw/X" not in data.matrices:
            raise InputError("there is no raw in the data")
        return data.matrices["raw/X"], data.raw_var
    if choice.layer is not None:
        if f"layers/{choice.layer}" not in data.matrices:
            names = [name for name in data.matrices if name.startswith("layers/")]
            known = ", ".join(repr(name.removeprefix("layers/")) for name in names) or "nothing"
            raise InputError(f"there is no layer {choice.layer!r}", fix=f"layers has {known}")
        return data.matrices[f"layers/{choice.layer}"], data.var
    return data.matrices.get("X"), data.var


def expression_keys(data: Data, choice: Choice, column: str) -> tuple[str, str]:
    """Name the matrix of the expression, and the column of var that holds the gene ids."""
    matrix = "raw/X" if choice.raw else "X" if choice.layer is None else f"layers/{choice.layer}"
    table = "raw/var" if choice.raw else "var"
    if column == "index" and data.root is not None:
        column = text(data.root[table], "_index")
    return matrix, f"{table}/{column}"


def gene_positions(var: Table, column: str) -> dict[str, int]:
    """Position of every gene id; repeated ids get ``-1``, ``-2``, ... appended."""
    ids = pd.Index(var.column(INDEX if column == "index" else column).astype(str))
    if not ids.is_unique:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids = anndata.utils.make_index_unique(ids)
    return {str(name): i for i, name in enumerate(ids)}
