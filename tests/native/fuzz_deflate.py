"""What `fuzz.py` does to the deflate of chunks: any bytes, which zlib reads back."""

from __future__ import annotations

import zlib

import numpy as np
from fuzz_case import Case, Target

from cellucid_dask.native.deflate import deflate_bound


def deflate_scratch(case: Case) -> None:
    """Sizes that no chunk has."""
    n_bytes = case.choose(0, 1, 2**31 - 1, 2**31, -1, 2**62, -(2**62))
    needed = case.call("deflate_scratch", n_bytes)
    assert (needed > 0) == (0 <= n_bytes < 2**31)


def deflate_chunk(case: Case) -> None:
    """Parts of several kinds one after the other; little room, and sizes that do not fit."""
    width, shuffled, wrapped = case.choose(1, 2, 4, 4, 8), case.choose(0, 1), case.choose(0, 1)
    parts = [_part(case) for _ in range(case.choose(1, 1, 2, 5))]
    raw = np.concatenate(parts)
    raw = raw[: raw.size // width * width]
    capacity = deflate_bound(raw.size, width)
    needed = case.call("deflate_scratch", raw.size)
    hostile = case.chance(0.3)
    if hostile:
        kind = case.choose("room", "scratch", "width")
        capacity = max(0, case.size(capacity)) if kind == "room" else capacity
        needed = max(0, case.size(needed)) if kind == "scratch" else needed
        width = case.choose(0, -1, 3, 16, 17, 2**62) if kind == "width" else width
    out, scratch = case.room(capacity), case.room(needed)
    order = (width, shuffled, wrapped)
    size = case.call(
        "deflate_chunk", raw.size, *order, case.place(raw), scratch, needed, out, capacity
    )
    if hostile and size < 0:
        return
    expected = raw.reshape(-1, width).T if shuffled else raw
    stream = out[:size].tobytes()
    assert zlib.decompress(stream, 15 if wrapped else -15) == expected.tobytes()


def _part(case: Case) -> np.ndarray:
    """Bytes of codes of some width, of runs, or of a piece that comes again."""
    n = max(0, case.size(150_000))
    kind = case.choose("codes", "codes", "runs", "repeated")
    if kind == "codes":
        width = case.choose(1, 2, 4)
        codes = case.codes(n // width + 1, 8 * width).astype(f"<u{width}")
        return codes.view(np.uint8)[:n].copy()
    if kind == "runs":
        return np.repeat(case.codes(n, 8), case.random.integers(1, 600, n))[:n].astype(np.uint8)
    piece = case.codes(1 + max(0, case.size(70_000)), 8).astype(np.uint8)
    return np.resize(piece, n)


TARGETS: dict[str, Target] = {
    "deflate_scratch": deflate_scratch,
    "deflate_chunk": deflate_chunk,
}
