"""A dense matrix, or a dask array of row blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from cellucid_dask.source.arrays.dask_arrays import compute_block, is_dask
from cellucid_dask.source.arrays.sparse_matrix import ArrayLike


@dataclass(frozen=True, slots=True)
class DenseMatrix:
    """A dense matrix, in a store or in memory, or a lazy dask array of dense or sparse blocks.

    Parameters
    ----------
    array
        (n_cells, n_genes) array-like.
    label
        How messages name it.
    """

    array: ArrayLike
    label: str

    @property
    def layout(self) -> str:
        """``dense``, or ``rows`` for a dask array: read by row blocks, whatever they hold."""
        return "rows" if is_dask(self.array) else "dense"

    @property
    def is_sparse(self) -> bool:
        """Whether it is a dask array that declares sparse blocks."""
        return self.layout == "rows" and sparse.issparse(getattr(self.array, "_meta", None))

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        n_cells, n_genes = self.array.shape
        return int(n_cells), int(n_genes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> tuple[int, int] | None:
        """Chunk shape on disk; None when contiguous or in memory."""
        return None if is_dask(self.array) else getattr(self.array, "chunks", None)

    def read(self, rows: slice, columns: slice) -> Any:
        """Read a rectangle; a numpy array, or a scipy matrix where a dask block is one."""
        part = self.array[rows, columns]
        return compute_block(part, self.label) if is_dask(part) else part
