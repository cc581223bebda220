"""The deflate of chunks in C against zlib and zlib-ng: they give back the bytes that went in."""

from __future__ import annotations

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from cellucid_dask.native.calls import NativeError, call
from cellucid_dask.native.deflate import deflate_bound, gzip_chunk, zlib_chunk
from cellucid_dask.native.library import load

pytestmark = pytest.mark.skipif(load() is None, reason="the native library is not compiled")

GUARD = 0xA5
DTYPES = ["int8", "int16", "int32", "float32", "float64"]
KINDS = ["random", "few", "runs", "rising", "repeated", "zeros"]


def draw_items(random: np.random.Generator, kind: str, dtype: str, n: int) -> np.ndarray:
    """`n` items that compress in one way or another."""
    width = np.dtype(dtype).itemsize
    if kind == "few":
        palette = random.integers(0, 256, random.choice([1, 2, 3, 9, 60, 3000]) * width, np.uint8)
        weights = random.random(palette.size // width) ** random.choice([0, 1, 20])
        places = random.choice(palette.size // width, n, p=weights / weights.sum())
        return palette.view(dtype)[places]
    if kind == "runs":
        bounds = random.integers(1, random.choice([3, 40, 3000]), n)
        return np.repeat(random.integers(0, 100, n), bounds)[:n].astype(dtype)
    if kind == "rising":
        gaps = random.geometric(random.choice([0.01, 0.1, 0.5, 1]), n)
        return (np.cumsum(gaps) % random.choice([100, 30_000, 2**31])).astype(dtype)
    if kind == "repeated":
        part = random.integers(0, 256, width * int(random.choice([1, 70, 9000, 40_000])), np.uint8)
        return np.resize(part, n * width).view(dtype)
    if kind == "zeros":
        return np.zeros(n, dtype)
    return random.integers(0, 256, n * width, np.uint8).view(dtype)


def in_order(items: np.ndarray, shuffle: bool) -> bytes:
    """The bytes of items as HDF5 shuffles them."""
    if not shuffle:
        return items.tobytes()
    return np.ascontiguousarray(items.view(np.uint8).reshape(-1, items.itemsize).T).tobytes()


def assert_read(items: np.ndarray, shuffle: bool) -> None:
    """Decompressors give the bytes back, and find nothing after them."""
    expected = in_order(items, shuffle)
    stream = zlib_chunk(items, shuffle=shuffle)
    inflate = zlib.decompressobj()
    assert inflate.decompress(stream) + inflate.flush() == expected
    assert inflate.eof
    assert not inflate.unused_data
    assert zlib_ng.decompress(stream) == expected
    if not shuffle:
        assert gzip.decompress(gzip_chunk(items)) == expected


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.sampled_from(DTYPES),
    st.one_of(st.integers(0, 20), st.integers(0, 90_000)),
    st.booleans(),
)
@example(0, ["random"], "int8", 65_535, False)
@example(0, ["random"], "int8", 65_536, False)
@example(0, ["random"], "int8", 131_071, False)
@example(0, ["random"], "int32", 65_536, True)
@example(0, ["zeros"], "float32", 65_536, False)
@example(0, ["repeated"], "float64", 65_536, False)
def test_decompressors_give_back_what_went_in(
    seed: int, kinds: list[str], dtype: str, n: int, shuffle: bool
) -> None:
    random = np.random.default_rng(seed)
    with np.errstate(invalid="ignore"):
        parts = [draw_items(random, kind, dtype, n // len(kinds)) for kind in kinds]
    assert_read(np.concatenate(parts), shuffle)


@pytest.mark.parametrize("distance", [1, 2, 8191, 8192, 8193, 16_384])
def test_values_that_come_again_at_the_edge_of_the_window(distance: int) -> None:
    random = np.random.default_rng(distance)
    values = np.resize(random.normal(size=distance).astype(np.float32), 50_000)
    assert_read(values, shuffle=False)
    assert_read(values, shuffle=True)


def expression(kind: str) -> tuple[np.ndarray, bool]:
    """A chunk of X/data or X/indices as atlases have them, and whether it is shuffled."""
    random = np.random.default_rng(6)
    cells = [np.flatnonzero(random.random(100_000) < 0.05) for _ in range(14)]
    if kind == "cells":
        return np.concatenate(cells)[:65_536].astype(np.int32), True
    counts = 1.0 + random.poisson(random.gamma(1, 0.5, 65_536))
    if kind == "logarithms":
        depth = random.integers(1000, 9000, 100_000)
        counts = np.log1p(counts * 1e4 / depth[np.concatenate(cells)[:65_536]])
    return counts.astype(np.float32), False


@pytest.mark.parametrize("kind", ["counts", "logarithms", "cells"])
def test_chunks_of_expression_are_as_small_as_those_of_zlib(kind: str) -> None:
    items, shuffle = expression(kind)
    expected = zlib.compress(in_order(items, shuffle), 6)
    assert len(zlib_chunk(items, shuffle=shuffle)) < 1.02 * len(expected)


def test_what_does_not_compress_is_stored() -> None:
    random = np.random.default_rng(7)
    for n in [1, 4096, 65_535, 65_536, 200_000]:
        items = random.integers(0, 256, n, np.uint8)
        assert len(zlib_chunk(items, shuffle=False)) <= n + 11 * (n // 65_536 + 1) + 6


def deflate_into(items: np.ndarray, shuffle: bool, capacity: int) -> int:
    """Compress into memory of `capacity` bytes with guards around it."""
    memory = np.full(capacity + 128, GUARD, np.uint8)
    scratch = np.empty(call("deflate_scratch", items.nbytes), np.uint8)
    facts: tuple[Any, ...] = (items.nbytes, items.itemsize, int(shuffle), 1, items)
    try:
        out = memory[64 : 64 + capacity]
        return call("deflate_chunk", *facts, scratch, scratch.size, out, capacity)
    finally:
        assert (memory[:64] == GUARD).all()
        assert (memory[64 + capacity :] == GUARD).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_bound_is_enough_and_less_is_refused(kind: str, shuffle: bool) -> None:
    random = np.random.default_rng(8)
    for n in [0, 1, 9, 16_385, 70_000]:
        items = draw_items(random, kind, "int32", n)
        size = deflate_into(items, shuffle, deflate_bound(items.nbytes, items.itemsize))
        for capacity in {0, 5, size // 2, size - 1}:
            with pytest.raises(NativeError, match="does not fit"):
                deflate_into(items, shuffle, capacity)


def test_threads_write_the_same_bytes() -> None:
    random = np.random.default_rng(9)
    chunks = [draw_items(random, kind, "int32", 70_000) for kind in KINDS]

    def streams(_: int) -> list[bytes]:
        return [zlib_chunk(items, shuffle=shuffle) for items in chunks for shuffle in (True, False)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(streams, range(8)))
    assert found[1:] == found[:-1]
