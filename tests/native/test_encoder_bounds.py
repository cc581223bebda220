"""The encoder in C: what it refuses, that it never writes outside, and the shapes of its blocks."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cellucid_dask.encode import encode_gene
from cellucid_dask.native import encoder
from cellucid_dask.native.calls import NativeError, call
from cellucid_dask.native.library import load

pytestmark = pytest.mark.skipif(load() is None, reason="the native library is not compiled")

GUARD = 0xA5
WIDTHS = [1, 2, 4]


def records_of(cells: np.ndarray, codes: np.ndarray, kind: type) -> np.ndarray:
    """Records as `encoder.record_dtype` describes them."""
    shift = np.uint64(8 if kind is np.uint32 else 32)
    return (cells.astype(np.uint64) << shift | codes.astype(np.uint64)).astype(kind)


def encode(
    records: np.ndarray, n_cells: int, width: int, capacity: int, background: int = 0
) -> tuple[int, np.ndarray]:
    """One gene into memory of `capacity` bytes with guards around it; (size, memory)."""
    memory = np.full(capacity + 128, GUARD, np.uint8)
    out, offsets = memory[64 : 64 + capacity], np.zeros(2, np.int64)
    facts = (np.array([0, records.size]), records.size, records)
    more = (np.array([background], np.uint32), np.zeros(n_cells, np.uint8), out, capacity, offsets)
    widths = () if records.dtype == np.uint32 else (width,)
    try:
        size = call(f"encode_records{8 * records.itemsize}", 1, n_cells, *widths, *facts, *more)
    finally:
        assert (memory[:64] == GUARD).all()
        assert (memory[64 + capacity :] == GUARD).all()
    return size, out


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([3, 3], "do not rise"),
        ([5, 2], "do not rise"),
        ([10], "lies outside"),
        ([0, 2**24 - 1], "lies outside"),
    ],
)
def test_cells_that_repeat_fall_or_lie_outside_are_refused(
    cells: list[int], message: str, kind: type
) -> None:
    numbers = np.array(cells)
    with pytest.raises(NativeError, match=message):
        encode(records_of(numbers, np.ones(numbers.size), kind), 10, 1, 500)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_place_too_small_is_refused_and_one_that_fits_is_enough(width: int) -> None:
    random = np.random.default_rng(0)
    cells = np.flatnonzero(random.random(3000) < 0.2)
    codes = random.integers(1, 200, cells.size)
    records = records_of(cells, codes, np.uint64)
    size, out = encode(records, 3000, width, 20_000)
    for capacity in [0, 1, 17, 18, size // 2, size - 8, size - 1]:
        with pytest.raises(NativeError, match="does not fit"):
            encode(records, 3000, width, capacity)
    again, exact = encode(records, 3000, width, size)
    assert again == size
    np.testing.assert_array_equal(exact, out[:size])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("background", [0, 200, 300])
def test_gaps_of_every_length(width: int, background: int) -> None:
    """Literals, one match, several, and what is left of them."""
    background = {1: background % 256, 2: background, 4: 0}[width]
    gaps = np.r_[np.arange(800), 5000, 100_000]
    cells = np.cumsum(gaps + 1) - 1
    n_cells = int(cells[-1]) + 1 + 259
    codes = np.arange(cells.size) % 250 + 1
    expected = np.full(n_cells, background, f"<u{width}")
    expected[cells] = codes
    for gap in [*range(0, 600, 7), None]:  # alone, so with the fixed code, and all together
        some = slice(None) if gap is None else slice(gap, gap + 1)
        vector = np.full(n_cells, background, f"<u{width}")
        vector[cells[some]] = codes[some]
        records = records_of(cells[some], codes[some], np.uint64)
        size, out = encode(records, n_cells, width, 100_000, background)
        assert gzip.decompress(out[:size].tobytes()) == vector.tobytes()
    np.testing.assert_array_equal(vector, expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_many_genes_one_after_the_other(width: int) -> None:
    random = np.random.default_rng(1)
    n_cells, parts, vectors = 5000, [], []
    backgrounds = np.array([0, 0, 254, 0, 0], np.uint32) * (width != 4)
    for background, density in zip(backgrounds, [0, 1, 0.1, 0.01, 0.8], strict=True):
        cells = np.flatnonzero(random.random(n_cells) < density)
        codes = random.integers(0, 256**width, cells.size, np.uint64)
        vectors.append(np.full(n_cells, background, f"<u{width}"))
        vectors[-1][cells] = codes
        parts.append(records_of(cells, codes, encoder.record_dtype(n_cells, width).type))
    starts = np.cumsum([0, *(part.size for part in parts)])
    payload, offsets = encoder.encode_strip(
        n_cells, width, starts, np.concatenate(parts), backgrounds
    )
    for vector, start, stop in zip(vectors, offsets, offsets[1:], strict=False):
        assert gzip.decompress(payload[start:stop].tobytes()) == vector.tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bound_holds_for_what_compresses_worst(width: int) -> None:
    """Items of all codes with gaps of all lengths: `encode_strip` gives no more than the bound."""
    random = np.random.default_rng(2)
    for longest in [1, 2, 3, 40, 700]:
        cells = np.cumsum(random.integers(0, longest, 3000) + 1)
        for n in [0, 1, 2, 30, 3000]:
            codes = random.integers(0, 256**width, n, np.uint64) | np.uint64(1)
            records = records_of(cells[:n], codes, np.uint64)
            n_cells = int(cells[-1]) + 1
            size, _ = encode(records, n_cells, width, encoder.encode_bound(n, 1, n_cells, width))
            assert size > 18


def test_cells_in_any_order_go_another_way() -> None:
    random = np.random.default_rng(3)
    cells = random.permutation(1000)[:300]
    values = random.normal(size=300).astype(np.float32)
    for bits in [8, 16, None]:
        made, expected = (
            gzip.decompress(encode_gene([(0, cells, values)], 1000, bits, 6, native=native).payload)
            for native in (True, False)
        )
        assert made == expected


@pytest.mark.parametrize("kind", ["noise", "blocks", "mixed"])
def test_dense_vectors(kind: str) -> None:
    random = np.random.default_rng(4)
    codes = random.integers(0, 256, 70_000).astype(np.uint8)
    if kind != "noise":
        codes = np.repeat(codes[:400], random.integers(1, 900, 400))
    if kind == "mixed":
        codes[::3] = 7
    payload = encoder.encode_dense(codes)
    assert gzip.decompress(payload.tobytes()) == codes.tobytes()
    assert kind != "blocks" or payload.size < 5000, "runs of any byte are matches"


def test_threads_do_not_disturb_each_other() -> None:
    random = np.random.default_rng(5)
    genes = []
    for density in np.linspace(0.001, 0.9, 40):
        cells = np.flatnonzero(random.random(20_000) < density)
        genes.append([(0, cells, random.normal(size=cells.size).astype(np.float32))])

    def payloads(_: int) -> list[bytes]:
        return [encode_gene(gene, 20_000, 8, 6, native=True).payload for gene in genes]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(payloads, range(8)))
    assert found[1:] == found[:-1]
