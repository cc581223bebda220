"""How the rows of an obsm array are read: in blocks that take little memory, however wide they are.

The size of a block follows from the data alone. dask reads a block whole, whichever of its rows are
asked for, so the blocks of arrays in a store are made to the size that is read at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from math import prod
from typing import Any, Final

import dask.array as da
import numpy as np
from dask.core import flatten

from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.storage.file_array import ROWS_PER_READ, FileArray

BLOCK_BYTES: Final = 8 << 20  # of the rows of a block
LARGE_BLOCK_BYTES: Final = 32 << 20  # where smaller ones would have each chunk read several times
ZARR_CHUNKS: Final = 10  # that zarr reads at a time
SPARSE_BLOCKS: Final = "dense-of-sparse"  # name of layers of dask whose blocks were sparse
STORED_VALUE_BYTES: Final = 16  # of a stored value beside itself: its index in three forms


def block_rows(row_bytes: int, chunk_rows: int = 1) -> int:
    """Rows of a block.

    Parameters
    ----------
    row_bytes
        Memory of a row.
    chunk_rows
        Rows of a chunk on disk. Blocks are whole chunks where that is possible.
    """
    row_bytes = max(1, row_bytes)
    rows = BLOCK_BYTES // row_bytes
    rows = max(1, rows, min(chunk_rows, LARGE_BLOCK_BYTES // row_bytes))
    if rows >= ROWS_PER_READ:
        return ROWS_PER_READ
    return rows - rows % chunk_rows if chunk_rows < rows else rows


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
        Memory of reading that block: its own, twice where dask puts it together, and that of
        chunks on disk.
    sparse
        Whether the array is stored sparse.
    """

    width: int
    rows: int
    n_bytes: int
    sparse: bool

    @classmethod
    def of(cls, array: da.Array) -> RowBlocks:
        """Describe the blocks of a two-dimensional array; reads nothing."""
        parts = list(_parts(array))
        rows, width = max(array.chunks[0], default=0), int(array.shape[1])
        sparse = any(isinstance(part, SparseMatrix) or part is SPARSE_BLOCKS for part in parts)
        value = array.dtype.itemsize + (STORED_VALUE_BYTES if sparse else 0)
        held = sum(_held_bytes(part, rows) for part in _arrays(parts))
        copies = 1 if len(array.__dask_graph__().layers) == 1 else 2
        return cls(width, int(rows), copies * int(rows) * width * value + held, sparse)


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


def _parts(array: da.Array) -> Iterator[Any]:
    """Find the stored arrays and the sparse matrices from which the first block is read.

    `SPARSE_BLOCKS` stands for blocks of dask that are sparse themselves.
    """
    if any(name.startswith(SPARSE_BLOCKS) for name in array.__dask_graph__().layers):
        yield SPARSE_BLOCKS
    first = list(flatten(array.__dask_keys__()))[:1]
    for task in dict(array.__dask_graph__().cull(set(first))).values():
        yield from _parts_of_task(task)


def _parts_of_task(value: Any) -> Iterator[Any]:
    """Look among the arguments of a task, which may be tasks themselves or hold others."""
    if isinstance(value, FileArray | SparseMatrix):
        yield value
    elif isinstance(value, da.Array):
        yield from _parts(value)
    elif is_dataclass(value):
        for f in fields(value):
            yield from _parts_of_task(getattr(value, f.name))
    elif not isinstance(value, np.ndarray):
        inner = value if isinstance(value, tuple | list) else getattr(value, "args", ())
        for item in (*inner, getattr(value, "value", None)):
            if item is not None:
                yield from _parts_of_task(item)
