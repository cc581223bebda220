"""The gzip encoder in C against numpy and zlib: the same bytes after decompression."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellucid_dask.encode import encode_gene
from cellucid_dask.native.library import load

pytestmark = pytest.mark.skipif(load() is None, reason="the native library is not compiled")

ODD_FLOATS = st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38])
FLOATS = {
    "any": st.one_of(ODD_FLOATS, st.floats(width=32)),
    "counts": st.integers(1, 5),
    "negative": st.floats(-3, 3, width=32),
    "constant": st.just(7.5),
    "denormal": st.floats(0, 2.0**-130, width=32),
}
BITS = st.sampled_from([8, 16, None])
Pieces = list[tuple[int, Any, np.ndarray]]


@st.composite
def genes(draw: st.DrawFn) -> tuple[int, Pieces]:
    """A gene of any density: (n_cells, pieces with cells that rise)."""
    n_cells = draw(st.one_of(st.integers(1, 20), st.integers(1, 70_000)))
    elements = FLOATS[draw(st.sampled_from(sorted(FLOATS)))]
    density = draw(st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 0.97, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    cells = np.flatnonzero(random.random(n_cells) < density)
    palette = draw(hnp.arrays(np.float32, draw(st.integers(1, 300)), elements=elements))
    values = random.choice(palette, cells.size)
    cuts = sorted(draw(st.sets(st.integers(0, n_cells), max_size=3)) | {0, n_cells})
    kind = draw(st.sampled_from([np.int64, np.int32, np.uint16, np.uint32]))
    pieces: Pieces = []
    for start, stop in pairwise(cuts):
        low, high = np.searchsorted(cells, [start, stop])
        if high - low == stop - start and draw(st.booleans()):
            pieces.append((start, slice(0, stop - start), values[low:high]))
        elif stop - start > 65535:
            pieces.append((start, cells[low:high] - start, values[low:high]))
        else:
            pieces.append((start, (cells[low:high] - start).astype(kind), values[low:high]))
    return n_cells, pieces


def assert_pair(pieces: Pieces, n_cells: int, bits: int | None) -> None:
    """Both encoders give the same bytes and range; gzip and zlib accept the member."""
    made = encode_gene(pieces, n_cells, bits, 6, native=True)
    expected = encode_gene(pieces, n_cells, bits, 6, native=False)
    plain = gzip.decompress(made.payload)  # checks crc and length
    assert plain == gzip.decompress(expected.payload)
    assert made.span == expected.span
    inflate = zlib.decompressobj(31)
    assert inflate.decompress(made.payload) + inflate.flush() == plain
    assert inflate.eof
    assert not inflate.unused_data
    assert int.from_bytes(made.payload[-4:], "little") == len(plain)
    if bits is not None or sum(values.size for _, _, values in pieces) < n_cells:
        assert made.payload[:10] == bytes([31, 139, 8, 0, 0, 0, 0, 0, 0, 255]), "native"


@given(genes(), BITS)
@example((1, [(0, np.zeros(0, np.int32), np.zeros(0, np.float32))]), 8)
@example((1, [(0, slice(None), np.full(1, np.nan, np.float32))]), 16)
@example((257, []), None)
def test_native_and_numpy_give_the_same_bytes(gene: tuple[int, Pieces], bits: int | None) -> None:
    n_cells, pieces = gene
    assert_pair(pieces, n_cells, bits)


@pytest.mark.parametrize("n_cells", [2**24 - 1, 2**24, 2**24 + 1, 70_000_000])
@pytest.mark.parametrize("bits", [8, None])
def test_more_cells_than_a_short_record_counts(n_cells: int, bits: int | None) -> None:
    cells = np.array([0, 5, 2**24 - 2, 2**24 - 1, 2**24, n_cells - 2, n_cells - 1])
    cells = np.unique(cells[cells < n_cells])
    values = np.arange(1, cells.size + 1, dtype=np.float32)
    made = encode_gene([(0, cells, values)], n_cells, bits, 6, native=True)
    plain = np.frombuffer(gzip.decompress(made.payload), "<f4" if bits is None else "u1")
    assert plain.size == n_cells
    np.testing.assert_array_equal(np.flatnonzero(plain), cells)
