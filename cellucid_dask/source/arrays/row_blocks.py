"""What reading a block of rows of an obsm array takes, found from what the array is made of.

The size of a block follows from the data alone. A block is read whole, whichever of its rows are
asked for, so the blocks of arrays in a store are made to the size that is read at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from math import prod
from typing import Any, Final

import numpy as np

from cellucid_dask.source.arrays.dask_arrays import is_dask
from cellucid_dask.source.arrays.row_array import (
    STORED_VALUE_BYTES,
    ReorderedRows,
    RowArray,
    StackedColumns,
)
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.file_array import FileArray

ZARR_CHUNKS: Final = 10  # that zarr reads at a time
SPARSE_BLOCKS: Final = "dense-of-sparse"  # name of layers of dask whose blocks were sparse


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """What reading a block of an obsm array takes.

    Parameters
    ----------
    width
        Columns of the array.
    rows
        Rows of the largest block.
    n_bytes
        Memory of reading that block: its own, twice where it is put together from others, and
        that of chunks on disk.
    sparse
        Whether the array is stored sparse.
    """

    width: int
    rows: int
    n_bytes: int
    sparse: bool

    @classmethod
    def of(cls, array: RowArray) -> RowBlocks:
        """Describe the blocks of an array of obsm; reads nothing."""
        parts = list(array_parts(array.array))
        rows, width = int(np.diff(array.ends, prepend=0).max()), array.shape[1]
        sparse = any(isinstance(part, SparseMatrix) or _was_sparse(part) for part in parts)
        value = array.dtype.itemsize + (STORED_VALUE_BYTES if sparse else 0)
        held = sum(_held_bytes(part, rows) for part in _arrays(parts))
        put_together = isinstance(array.array, ReorderedRows | StackedColumns)
        copies = 2 if put_together or is_dask(array.array) else 1
        return cls(width, rows, copies * rows * width * value + held, sparse)


def array_parts(value: Any) -> Iterator[Any]:
    """Find the stored arrays, sparse matrices and dask arrays that an array-like is made of."""
    if isinstance(value, FileArray | SparseMatrix) or is_dask(value):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from array_parts(item)
    elif is_dataclass(value):
        for f in fields(value):
            yield from array_parts(getattr(value, f.name))


def _was_sparse(part: Any) -> bool:
    """Whether the blocks of a dask array were sparse before they became dense."""
    if not is_dask(part):
        return False
    return any(name.startswith(SPARSE_BLOCKS) for name in part.__dask_graph__().layers)


def _held_bytes(array: Any, rows: int) -> int:
    """Memory that HDF5 or zarr takes for chunks, coded and decoded, while a block is read."""
    if not isinstance(array, FileArray) or not array.chunks:
        return 0
    chunk = prod(array.chunks) * array.dtype.itemsize
    if array.store.kind == "hdf5":  # one at a time
        return 2 * chunk
    across = [-(-n // size) for n, size in zip(array.shape, array.chunks, strict=True)]
    down = min(across[0], -(-rows // array.chunks[0]) + 1)
    return 2 * chunk * min(ZARR_CHUNKS, prod([down, *across[1:]]))


def _arrays(parts: list[Any]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, SparseMatrix):
            yield from (part.data, part.indices)
        else:
            yield part
