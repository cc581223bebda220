"""Chunks decoded into place, by functions that hold neither the GIL nor a lock.

numcodecs takes a while to import, and many files need none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import google_crc32c
import numpy as np
from zlib_ng import zlib_ng

from cellucid_dask.native.calls import call
from cellucid_dask.native.library import load
from cellucid_dask.source.storage.direct.stored import Bytes, UnexpectedBytesError

_BLOSC_HEADER: Final = 16
_ZSTD_MAGIC: Final = 0xFD2FB528
_GZIP: Final = 31  # window bits of zlib that stand for its header and trailer


@dataclass(frozen=True, slots=True)
class Coding:
    """How the values of a chunk are coded.

    Parameters
    ----------
    compressor
        Key of `DECODERS`; empty for none.
    shuffle
        Bytes of a value where first all first bytes were compressed, then all second ones; else 0.
    checksum
        Whether a CRC32C follows.
    """

    compressor: str = ""
    shuffle: int = 0
    checksum: bool = False

    @property
    def plain(self) -> bool:
        """Whether the stored bytes are the values."""
        return self == Coding()

    def decode(self, raw: Bytes, out: Bytes) -> None:
        """Decode a chunk; `out` has the length of its values.

        Raises
        ------
        UnexpectedBytesError
            When they are not as long, or a checksum is wrong; else what the codec raises.
        """
        if self.checksum:
            raw = _without_checksum(raw)
        decoder = DECODERS[self.compressor]
        if self.shuffle < 2:
            decoder(raw, out)
            return
        planes = np.empty_like(out)
        decoder(raw, planes)
        _unshuffle(planes, out, self.shuffle)


def _without_checksum(raw: Bytes) -> Bytes:
    body, checksum = raw[:-4], raw[-4:].tobytes()
    if raw.size < 4 or google_crc32c.value(body) != int.from_bytes(checksum, "little"):
        raise UnexpectedBytesError  # a checksum is wrong
    return body


def _unshuffle(planes: Bytes, out: Bytes, width: int) -> None:
    """Put together values of `width` bytes; numcodecs would hold the GIL."""
    if load() is not None and width in (2, 4, 8):
        call("unshuffle", out.size // width, width, planes, out)
    else:
        out.reshape(-1, width)[:] = planes.reshape(width, -1).T


def _copy(raw: Bytes, out: Bytes) -> None:
    _require(raw.size, out)
    out[:] = raw


def _inflate(raw: Bytes, out: Bytes) -> None:
    _fill(zlib_ng.decompress(raw.data, bufsize=out.size + 1), out)


def _gunzip(raw: Bytes, out: Bytes) -> None:
    _require(int.from_bytes(raw[-4:].tobytes(), "little"), out)  # else several members, or garbage
    _fill(zlib_ng.decompress(raw.data, _GZIP, out.size + 1), out)


def _zstd(raw: Bytes, out: Bytes) -> None:
    from numcodecs import zstd

    _require(_zstd_size(raw[:18].tobytes()), out)
    zstd.decompress(raw, out)


def _zstd_size(head: bytes) -> int:
    """Length of the content that a frame of zstd states (RFC 8878, 3.1.1.1); -1 for none."""
    if len(head) < 6 or int.from_bytes(head[:4], "little") != _ZSTD_MAGIC:
        return -1
    descriptor = head[4]
    single = descriptor >> 5 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    start = 6 - single + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(head[start : start + width], "little")
    return size + 256 * (width == 2) if width else -1


def _blosc(raw: Bytes, out: Bytes) -> None:
    from numcodecs import blosc

    head = raw[:_BLOSC_HEADER].tobytes()
    _require(int.from_bytes(head[4:8], "little"), out)
    if len(head) < _BLOSC_HEADER or int.from_bytes(head[12:16], "little") > raw.size:
        raise UnexpectedBytesError  # cut off: Blosc would read on beyond its end
    blosc.decompress(raw, out)


def _lz4(raw: Bytes, out: Bytes) -> None:
    from numcodecs import lz4

    _require(int.from_bytes(raw[:4].tobytes(), "little"), out)
    lz4.decompress(raw, out)


def _lzf(raw: Bytes, out: Bytes) -> None:
    if load() is None:
        raise UnexpectedBytesError  # no other function decodes it
    call("lzf_decompress", raw.size, raw, out.size, out)


def _fill(plain: bytes, out: Bytes) -> None:
    _require(len(plain), out)
    out[:] = np.frombuffer(plain, np.uint8)


def _require(n_bytes: int, out: Bytes) -> None:
    if n_bytes != out.size:
        raise UnexpectedBytesError  # a chunk has another length


DECODERS: Final[Mapping[str, Callable[[Bytes, Bytes], None]]] = {
    "": _copy,
    "zlib": _inflate,
    "gzip": _gunzip,
    "zstd": _zstd,
    "blosc": _blosc,
    "lz4": _lz4,
    "lzf": _lzf,
}
