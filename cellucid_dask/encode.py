"""Arrays into the bytes of the format: points, codes and gzip, for export and server alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from cellucid_dask.format import CODES
from cellucid_dask.native import encoder
from cellucid_dask.native.calls import NativeError

Float32: TypeAlias = NDArray[np.float32]

_GZIP = 31  # zlib's wbits for a gzip member, whose header then has mtime 0 and no name


def as_exported(values: NDArray[Any], *, copy: bool = False) -> Float32:
    """Values of a sparse matrix as float32; a stored -0.0 is a 0, as when added to an empty cell.

    Parameters
    ----------
    copy
        Leave `values` as they are; else they may be changed in place.
    """
    with np.errstate(over="ignore"):
        found: Float32 = values.astype(np.float32, copy=copy)
    found += np.float32(0)
    return found


@dataclass(frozen=True, slots=True)
class Box:
    """Bounding box of an embedding, and how it becomes points in [-1, 1].

    Parameters
    ----------
    center
        (d,) float32, embedding units.
    scale
        Points per embedding unit.
    """

    center: Float32
    scale: float

    @classmethod
    def of(cls, lo: Float32, hi: Float32) -> Box:
        """Box between the corners `lo` and `hi`, both (d,) float32."""
        widest = float((hi - lo).max())
        center: Float32 = (lo + hi) / np.float32(2)
        return cls(center, 2.0 / (1.0 if widest < 1e-8 else widest))

    def normalize(self, rows: NDArray[Any]) -> Float32:
        """Points of (n, d) coordinates, computed in float32 as the reference does."""
        points: Float32 = (rows.astype(np.float32) - self.center) * self.scale
        return points.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Range:
    """Range and quality of a vector of values.

    Parameters
    ----------
    lo, hi
        Range of quantization; ``hi > lo``.
    n_nan, n_inf
        How many values are NaN and infinite.
    constant, empty
        Whether the finite values are all equal, and whether there is none.
    """

    lo: float
    hi: float
    n_nan: int = 0
    n_inf: int = 0
    constant: bool = False
    empty: bool = False

    def line(self, bits: int) -> tuple[np.float32, np.float32]:
        """(lowest, scale) of quantization: a code is ``(value - lowest) * scale``."""
        with np.errstate(over="ignore"):  # a range so small that its scale is infinite
            return np.float32(self.lo), np.float32((CODES[bits].missing - 1) / (self.hi - self.lo))

    def troubles(self) -> list[str]:
        """Say what of the vector cannot be shown."""
        if self.empty:
            return ["no finite value"]
        return ["NaN"] * (self.n_nan > 0) + ["infinite values"] * (self.n_inf > 0)


def value_range(values: Float32, *, joins_zero: bool = False) -> Range:
    """Range of the finite values, and of 0 when `joins_zero` (cells that store nothing)."""
    lo, hi, n_nan, n_inf = math.inf, -math.inf, 0, 0
    if values.size:
        lo, hi = float(values.min()), float(values.max())
        if not (math.isfinite(lo) and math.isfinite(hi)):
            finite = values[np.isfinite(values)]
            n_nan = int(np.isnan(values).sum())
            n_inf = values.size - finite.size - n_nan
            lo, hi = (
                (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)
            )
    if joins_zero:
        lo, hi = min(lo, 0.0), max(hi, 0.0)
    if lo > hi:
        return Range(0.0, 1.0, n_nan, n_inf, empty=True)
    if lo == hi:
        # Beyond 2**53 a step of 1 is lost, and a range of 0 would divide by zero.
        return Range(lo, max(lo + 1.0, math.nextafter(lo, math.inf)), n_nan, n_inf, constant=True)
    return Range(lo, hi, n_nan, n_inf)


def quantize(values: Float32, span: Range, bits: int) -> NDArray[Any]:
    """Codes of `values`: (n,) uint8 or uint16, in the float32 arithmetic of the reference."""
    code = CODES[bits]
    top = np.float32(code.missing - 1)
    with np.errstate(all="ignore"):
        lowest, scale = span.line(bits)
        scaled = values - lowest
        scaled *= scale
        if np.isinf(scale):  # a range so small that its lowest value is 0 * inf
            np.nan_to_num(scaled, copy=False, nan=0.0)
        np.clip(scaled, 0, top, out=scaled)
        if span.n_nan or span.n_inf:
            scaled[~np.isfinite(values)] = code.missing
        return scaled.astype(code.dtype)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes of one vector, ready to be a file, and the range they were quantized over."""

    payload: bytes
    span: Range


def encode_values(values: Float32, bits: int | None, level: int, *, runs: bool = False) -> Encoded:
    """Encode a whole (n,) float32 vector.

    Parameters
    ----------
    runs
        As in `packed`.
    """
    span = value_range(values)
    stored = values if bits is None else quantize(values, span, bits)
    return Encoded(pack([stored], level, runs=runs), span)


def encode_gene(
    pieces: Sequence[tuple[int, NDArray[Any] | slice, Float32]],
    n_cells: int,
    bits: int | None,
    level: int,
    *,
    native: bool | None = None,
) -> Encoded:
    """Encode a gene from its stored values.

    Parameters
    ----------
    pieces
        ``(first cell, cells counted from it, values)``; no cell stands twice. Cells that stand
        nowhere are 0.
    n_cells
        Length of the vector.
    bits
        8, 16 or None.
    level
        Gzip level, 0 for none.
    native
        Use the encoder in C, where its files differ from those of zlib by their compression only
        and the level does not matter; None is wherever it can be used.
    """
    stored = [values for _, _, values in pieces]
    values = stored[0] if len(stored) == 1 else np.concatenate([np.zeros(0, np.float32), *stored])
    span = value_range(values, joins_zero=values.size < n_cells)
    width = 4 if bits is None else bits // 8
    if not level or not encoder.can_encode(n_cells, width):
        native = False
    in_all_cells = values.size == n_cells
    if native is not False and not in_all_cells:
        with suppress(NativeError):  # cells that do not rise
            return Encoded(_encode_records(pieces, n_cells, bits, span), span)
    background = _background(span, bits)
    codes = values if bits is None else quantize(values, span, bits)
    out = np.full(n_cells, background, codes.dtype)
    done = 0
    for first, cells, piece in pieces:
        out[first:][cells] = codes[done : done + piece.size]
        done += piece.size
    return Encoded(pack_vector(out, level, background, native=native is not False), span)


def pack_vector(codes: NDArray[Any], level: int, background: Any, *, native: bool) -> bytes:
    """Pack the codes or values of all cells, most of which may be `background`."""
    if native and level and codes.dtype != np.float32:
        return encoder.encode_dense(codes).tobytes()
    # Two bytes in turn are no run to zlib: a 16-bit background needs the full search.
    runs = len(set(np.asarray(background, codes.dtype).tobytes())) == 1
    return pack([codes], level, runs=runs)


def _background(span: Range, bits: int | None) -> Any:
    """Code of the cells that store nothing."""
    zero = np.zeros(1, np.float32)
    return (zero if bits is None else quantize(zero, span, bits))[0]


def _encode_records(
    pieces: Sequence[tuple[int, NDArray[Any] | slice, Float32]],
    n_cells: int,
    bits: int | None,
    span: Range,
) -> bytes:
    width, line = (4, None) if bits is None else (bits // 8, span.line(bits))
    records = encoder.make_records(pieces, n_cells, width, line)
    starts = np.array([0, records.size])
    backgrounds = np.array([_background(span, bits)]).astype(np.uint32)
    payload, _ = encoder.encode_strip(n_cells, width, starts, records, backgrounds)
    return payload.tobytes()


def pack(arrays: Iterable[NDArray[Any]], level: int, *, runs: bool = False) -> bytes:
    """Bytes of `arrays` after one another, as one gzip member unless `level` is 0."""
    return b"".join(packed(arrays, level, runs=runs))


def packed(
    arrays: Iterable[NDArray[Any]], level: int, *, runs: bool = False
) -> Iterator[bytes | memoryview]:
    """Yield what `pack` returns piece by piece, so that it is never whole in memory.

    Parameters
    ----------
    runs
        Look for runs of one byte only. On quantized sparse columns this is several times faster
        than a full search and gives smaller files; on sorted indices it would give larger ones.
    """
    if not level:
        yield from (_little(array) for array in arrays)
        return
    strategy = zlib_ng.Z_RLE if runs else zlib_ng.Z_DEFAULT_STRATEGY
    packer = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _GZIP, 9, strategy)
    for array in arrays:
        yield packer.compress(_little(array))
    yield packer.flush()


def _little(array: NDArray[Any]) -> memoryview:
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data
