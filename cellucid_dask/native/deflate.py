"""Typed functions of the deflate of chunks in C: shuffled, compressed and wrapped in one call."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from cellucid_dask.native.calls import call
from cellucid_dask.native.library import load
from cellucid_dask.native.scratch import reuse

MAX_BYTES: Final = 2**31 - 1  # of a chunk
_LARGEST_PART: Final = 2**16  # bytes of a block, as matches.h has it
_GZIP_HEAD: Final = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])


def can_deflate(n_bytes: int) -> bool:
    """Whether there is a library and it deflates chunks of `n_bytes`."""
    return load() is not None and n_bytes <= MAX_BYTES


def zlib_chunk(items: NDArray[Any], *, shuffle: bool) -> bytes:
    """Compress the items of a chunk as a zlib stream.

    Parameters
    ----------
    shuffle
        Whether the stream holds the first bytes of all items, then all second bytes, and so on, as
        the filter of HDF5 and the codec ``shuffle`` of zarr order them.

    Returns
    -------
    A stream that depends on the chunk alone. It is about as long as that of zlib at level 6.
    """
    return _deflate(items, shuffle=shuffle, zlib=True).tobytes()


def gzip_chunk(items: NDArray[Any]) -> bytes:
    """Compress the items of a chunk as a gzip member without a date."""
    stream = _deflate(items, shuffle=False, zlib=False)
    tail = crc32(items.data).to_bytes(4, "little") + items.nbytes.to_bytes(4, "little")
    return b"".join((_GZIP_HEAD, stream.data, tail))


def deflate_bound(n_bytes: int, width: int) -> int:
    """Bytes that a chunk of items of `width` bytes needs at most.

    What does not compress is stored, in parts of a plane, each of which may need two stored blocks
    with 5 bytes before their own, and one that ends the bits before. 6 bytes wrap the stream, and 8
    are written at once where it ends.
    """
    n_parts = width * (n_bytes // width // _LARGEST_PART + 1)
    return n_bytes + 11 * n_parts + 6 + 16


def _deflate(items: NDArray[Any], *, shuffle: bool, zlib: bool) -> NDArray[np.uint8]:
    """The stream, in memory that the next call of this thread uses again."""
    scratch = reuse("deflate", call("deflate_scratch", items.nbytes))
    out = reuse("deflated", deflate_bound(items.nbytes, items.itemsize))
    order = (items.itemsize, int(shuffle), int(zlib))
    size = call("deflate_chunk", items.nbytes, *order, items, scratch, scratch.size, out, out.size)
    return out[:size]
