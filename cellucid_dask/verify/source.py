"""Where an AnnData keeps what an export shows, by the discovery rules of the format."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.errors import InputError, OptionError, ReadError
from cellucid_dask.verify.files import Array

_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError)
_BLOCK_BYTES: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the AnnData the export was made of, where that was not left to discovery."""

    embeddings: Mapping[int, str]
    layer: str | None
    raw: bool
    graph: str | None


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """AnnData at `path`; of an ``.h5ad``, X stays on disk."""
    where = Path(path)
    if not where.exists():
        raise InputError("does not exist", where=str(where))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names and old encodings, which are no matter here
        try:
            adata = _read(where)
        except _UNREADABLE as error:
            raise ReadError(
                f"is no AnnData that can be read ({error})", where=str(where)
            ) from error
    try:
        yield adata
    finally:
        if adata.isbacked:
            adata.file.close()


def _read(path: Path) -> Any:
    if path.is_dir():
        return anndata.read_zarr(path)
    if path.suffix != ".zip":
        return anndata.read_h5ad(path, backed="r")
    import zarr

    with zarr.storage.ZipStore(path, mode="r") as store:
        return anndata.read_zarr(zarr.open_group(store, mode="r"))


def embedding_key(adata: Any, dim: int, chosen: Mapping[int, str]) -> str | None:
    """Name the obsm key of the points of `dim` dimensions; None when there is none.

    Raises
    ------
    InputError
        When there is no key that was chosen.
    """
    if dim in chosen:
        if chosen[dim] not in adata.obsm:
            known = ", ".join(map(repr, adata.obsm)) or "nothing"
            raise InputError(f"there is no obsm[{chosen[dim]!r}]", fix=f"obsm has {known}")
        return chosen[dim]
    for key in (f"X_umap_{dim}d", "X_umap"):
        if key in adata.obsm and adata.obsm[key].shape[1:] == (dim,):
            return key
    return None


def vector_key(adata: Any, field: str, dim: int) -> str | None:
    """Name the obsm key of a vector field; None when there is none."""
    for key in (f"{field}_{dim}d", field):
        if key in adata.obsm and (adata.obsm[key].shape[1:] or (1,)) == (dim,):
            return key
    return None


def float32(values: Any) -> NDArray[np.float32]:
    """Array, frame or sparse matrix as a dense float32 array."""
    dense: Any = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    with np.errstate(over="ignore"):
        converted: NDArray[np.float32] = dense.astype(np.float32)
    return converted


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
    pairs = np.unique(np.minimum(row, col) * n + np.maximum(row, col))
    low, high = pairs // n, pairs % n
    apart = low != high
    ends = np.concatenate([low, high[apart]])  # a loop has one end
    most = int(np.bincount(ends).max(initial=0))
    return low[apart], high[apart], most


def expression(adata: Any, choice: Choice) -> tuple[Any, pd.DataFrame]:
    """Matrix of the expression, perhaps on disk, and the var that goes with it."""
    if choice.raw and choice.layer is not None:
        raise OptionError("a layer and raw cannot both be given")
    if choice.raw:
        if adata.raw is None:
            raise InputError("there is no raw in the data")
        return adata.raw.X, adata.raw.var
    if choice.layer is not None:
        if choice.layer not in adata.layers:
            known = ", ".join(map(repr, adata.layers)) or "nothing"
            raise InputError(f"there is no layer {choice.layer!r}", fix=f"layers has {known}")
        return adata.layers[choice.layer], adata.var
    return adata.X, adata.var


def gene_positions(var: pd.DataFrame, column: str) -> dict[str, int]:
    """Position of every gene id; repeated ids get ``-1``, ``-2``, ... appended."""
    ids = pd.Index((var.index if column == "index" else var[column]).astype(str))
    if not ids.is_unique:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids = anndata.utils.make_index_unique(ids)
    return {str(name): i for i, name in enumerate(ids)}


def columns(matrix: Any, chosen: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """(n_cells,) float32 of each of the `chosen` genes, in their order."""
    n_cells, n_genes = matrix.shape
    if getattr(matrix, "format", "") == "csc":
        yield from (float32(matrix[:, gene : gene + 1])[:, 0] for gene in chosen)
        return
    width = max(1, _BLOCK_BYTES // (4 * n_cells))
    height = max(1, _BLOCK_BYTES // (8 * n_genes))
    for start in range(0, len(chosen), width):
        genes = list(chosen[start : start + width])
        block = np.empty((n_cells, len(genes)), np.float32, order="F")
        for top in range(0, n_cells, height):
            block[top : top + height] = float32(matrix[top : top + height][:, genes])
        yield from block.T
