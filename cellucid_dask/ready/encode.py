"""Chunks of a ready file as bytes: padded, shuffled, deflated."""

from __future__ import annotations

import gzip
import zlib
from typing import Any, Final

import numpy as np
from numcodecs import Blosc, VLenUTF8, blosc
from numpy.typing import NDArray

from cellucid_dask.native.deflate import can_deflate, gzip_chunk, zlib_chunk
from cellucid_dask.ready.facts import LEVEL, Coding
from cellucid_dask.ready.nodes import ArrayNode

SMALLEST: Final = 4096  # bytes that the native library compresses as well as zlib
# As zarr sets it too: threads would store the blocks of a chunk in the order they finish them.
blosc.use_threads = False


def encode_chunk(node: ArrayNode, values: Any, coding: Coding) -> bytes:
    """Encode a chunk.

    Parameters
    ----------
    values
        What the chunk covers of the array: numbers that fit its dtype, or a sequence of strings.
        A chunk at an edge is padded with the fill value, zeros or empty strings.
    coding
        Strings of ``hdf5`` are not deflated: HDF5 keeps them elsewhere, so they are written
        through HDF5 by whoever writes the file.
    """
    raw: Any = _raw_text(node, values) if node.is_text else _raw_numbers(node, values)
    if coding == "zarr3":
        if node.is_shuffled:
            codec = Blosc("zlib", LEVEL, Blosc.SHUFFLE, blocksize=0, typesize=node.itemsize)
            encoded: bytes = codec.encode(raw)
            return encoded
        return gzip_chunk(raw) if _is_native(node, raw) else gzip.compress(raw, LEVEL, mtime=0)
    if node.is_text and coding == "hdf5":
        return bytes(raw)
    if _is_native(node, raw):
        return zlib_chunk(raw, shuffle=node.is_shuffled)
    if node.is_shuffled:
        raw = np.ascontiguousarray(raw.view(np.uint8).reshape(-1, node.itemsize).T)
    return zlib.compress(raw, LEVEL)


def _is_native(node: ArrayNode, raw: Any) -> bool:
    """Whether the native library deflates a chunk: it knows numbers, and has no tables for few."""
    return not node.is_text and raw.nbytes >= SMALLEST and can_deflate(raw.nbytes)


def _raw_numbers(node: ArrayNode, values: Any) -> NDArray[Any]:
    """The numbers of a whole chunk, in C order, with the fill value where it leaves the array."""
    part = np.asarray(values, dtype=node.dtype)
    if part.shape != node.chunks:
        whole = np.zeros(node.chunks, node.dtype)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        part = whole
    return np.ascontiguousarray(part).reshape(-1)


def _raw_text(node: ArrayNode, values: Any) -> Any:
    """The strings of a whole chunk as the codec ``vlen-utf8`` stores them."""
    whole = np.full(node.chunks, "", dtype=object)
    if node.shape:
        whole[: len(values)] = values
    else:
        whole[()] = values
    return VLenUTF8().encode(whole.reshape(-1))
