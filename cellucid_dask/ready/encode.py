"""Chunks of a ready file as bytes: padded, shuffled, deflated.

numcodecs is imported where it is needed: an export without ready files needs none of it.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.deflate import can_deflate, gzip_chunk, zlib_chunk
from cellucid_dask.ready.facts import FAST, LEVEL, Coding
from cellucid_dask.ready.nodes import ArrayNode

SMALLEST: Final = 4096  # bytes that the native library compresses as well as zlib


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
    if node.fast:
        assert coding == "zarr2"
        return _encode_blosc(raw, FAST["cname"], FAST["clevel"], FAST["shuffle"])
    if coding == "zarr3":
        if node.is_shuffled:
            return _encode_blosc(raw, "zlib", LEVEL, 1)
        return gzip_chunk(raw) if _is_native(node, raw) else _compress_gzip(raw)
    if node.is_text and coding == "hdf5":
        return bytes(raw)
    if _is_native(node, raw):
        return zlib_chunk(raw, shuffle=node.is_shuffled)
    if node.is_shuffled:
        raw = np.ascontiguousarray(raw.view(np.uint8).reshape(-1, node.itemsize).T)
    return zlib.compress(raw, LEVEL)


def _compress_gzip(raw: Any) -> bytes:
    """A gzip member without a time, by zlib: that of the module gzip differs between Pythons."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush()


def _encode_blosc(raw: NDArray[Any], name: str, level: int, shuffle: int) -> bytes:
    """Shuffle bytes (1) or bits (2) of numbers, and compress them by `name` in blosc."""
    from numcodecs import Blosc, blosc

    # As zarr sets it too: threads would store the blocks of a chunk in the order they finish them.
    blosc.use_threads = False
    codec = Blosc(name, level, shuffle, blocksize=0, typesize=raw.itemsize)
    encoded: bytes = codec.encode(raw)
    return encoded


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
    from numcodecs import VLenUTF8

    whole = np.full(node.chunks, "", dtype=object)
    if node.shape:
        whole[: len(values)] = values
    else:
        whole[()] = values
    return VLenUTF8().encode(whole.reshape(-1))
