"""Read a range of an array of one axis into place, without the locks of HDF5 and zarr.

Many threads do so at once. What looks odd in any way is left to HDF5 or zarr, which say what is
wrong with it, or find nothing wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.source.storage.damage import DAMAGE
from cellucid_dask.source.storage.direct.layout import Layout
from cellucid_dask.source.storage.direct.layouts import LayoutCache
from cellucid_dask.source.storage.direct.stored import (
    Bytes,
    OpenFile,
    StoredChunk,
    UnexpectedBytesError,
    neighbours,
)
from cellucid_dask.source.storage.store import Store

_DAMAGE: Final[tuple[type[Exception], ...]] = (*DAMAGE, CellucidDaskError)

_layouts = LayoutCache()


def _forget() -> None:
    """Begin anew in a process that was forked: another thread may have held a lock."""
    global _layouts
    _layouts = LayoutCache()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def read_into(store: Store, key: str, start: int, out: NDArray[Any]) -> bool:
    """Fill `out` with the values from `start` of an array of one axis.

    Parameters
    ----------
    store, key
        Where it is.
    out
        Contiguous, of the type of the array.

    Returns
    -------
    False where HDF5 or zarr has to read them; then `out` may hold anything.
    """
    try:
        layout = _layouts.find(store, key)
        if layout is None or layout.dtype != out.dtype or start + out.size > layout.size:
            return False
        read_layout(layout, start, out)
    except _DAMAGE:
        return False
    return True


def read_layout(layout: Layout, start: int, values: NDArray[Any]) -> None:
    """Fill `values` with those from `start` of an array that is stored in this way.

    Raises
    ------
    Exception
        One of `cellucid_dask.source.storage.damage.DAMAGE`, on anything that is not as expected.
    """
    out = values.view(np.uint8)
    width = layout.dtype.itemsize
    length = layout.chunk * width
    begin, end = start * width, start * width + out.size
    with OpenFile(layout.table.stamp) as files:
        chunks = layout.table.stored(files, begin // length, -(-end // length))
        if layout.coding.plain and not layout.table.checked:
            _read_plain(files, chunks, length, begin, out)
        else:
            _read_coded(files, chunks, layout, begin, out)


def _read_plain(
    files: OpenFile, chunks: Iterable[StoredChunk], length: int, begin: int, out: Bytes
) -> None:
    """Read values that are stored as they are; those of neighbouring chunks at once.

    `begin` is the first byte of the array that is wanted, `length` the bytes of a chunk.
    """
    end = begin + out.size
    filled = 0  # bytes of `out`
    path, offset, size = "", 0, 0  # what follows them, not read yet
    for chunk in chunks:
        if chunk.size != length:
            raise UnexpectedBytesError  # a chunk has another length
        low = max(begin, chunk.number * length)
        high = min(end, (chunk.number + 1) * length)
        place = chunk.offset + low - chunk.number * length
        if (path, offset + size) == (chunk.path, place):
            size += high - low
            continue
        if size:
            files.read(path, offset, out[filled : filled + size])
            filled += size
        path, offset, size = chunk.path, place, high - low
    if size:
        files.read(path, offset, out[filled : filled + size])


def _read_coded(
    files: OpenFile, chunks: Iterable[StoredChunk], layout: Layout, begin: int, out: Bytes
) -> None:
    """Decode chunks, those that are wanted whole into place."""
    length = layout.chunk * layout.dtype.itemsize
    end = begin + out.size
    buffer = np.empty(0, np.uint8)
    uncompressed = replace(layout.coding, compressor="")
    for run in neighbours(chunks):
        size = sum(chunk.size for chunk in run)
        if buffer.size < size:
            buffer = np.empty(size, np.uint8)
        files.read(run[0].path, run[0].offset, buffer[:size])
        for chunk in run:
            coding = layout.coding if chunk.compressed else uncompressed
            at = chunk.offset - run[0].offset
            raw = buffer[at : at + chunk.size]
            if chunk.crc is not None and zlib_ng.crc32(raw.data) != chunk.crc:
                raise UnexpectedBytesError  # a checksum of the zip is wrong
            first = chunk.number * length
            if begin <= first and first + length <= end:
                coding.decode(raw, out[first - begin : first - begin + length])
                continue
            whole = np.empty(length, np.uint8)
            coding.decode(raw, whole)
            low, high = max(begin, first), min(end, first + length)
            out[low - begin : high - begin] = whole[low - first : high - first]
