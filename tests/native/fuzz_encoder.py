"""What `fuzz.py` does to the encoder and the decoders: one function for each of the library."""

from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
from fuzz_case import HOSTILE, Case, Target

from cellucid_dask.encode import Range, quantize
from cellucid_dask.native.encoder import encode_bound


def _encode_records(case: Case, record_bits: int, width: int) -> None:
    shift, n_genes = 8 if record_bits == 32 else 32, int(case.random.integers(0, 4))
    n_cells = max(0, case.size(case.choose(300, 70_000, 300_000)))
    genes, parts = [], [np.zeros(0, np.uint64)]
    backgrounds = np.zeros(n_genes, np.uint32)
    for g in range(n_genes):
        density = case.choose(0, 0.001, 0.03, 0.3, 0.6, 1)
        stored = case.random.random(n_cells) < density
        if case.chance(0.2):  # rare gaps, of up to four cells
            stored[:] = True
            for start in case.random.integers(0, n_cells + 1, 3):
                stored[start : start + case.random.integers(5)] = False
        cells = np.flatnonzero(stored).astype(np.uint64)
        codes = case.codes(cells.size, 8 * width)
        background = int(case.codes(1, 8 if width != 2 else 16)[0]) * case.choose(0, 1)
        backgrounds[g] = background if width != 4 else background * 0x01010101
        vector = np.full(n_cells, backgrounds[g], f"<u{width}")
        vector[cells.astype(np.int64)] = codes
        genes.append(vector.tobytes())
        parts.append(cells << np.uint64(shift) | codes)
    starts = np.cumsum([part.size for part in parts]).astype(np.int64)
    records = np.concatenate(parts).astype(np.uint32 if record_bits == 32 else np.uint64)
    bound = encode_bound(records.size, n_genes, n_cells, width)
    capacity, said_cells, said_width = bound, n_cells, width
    hostile = case.chance(0.5)
    if hostile:
        for array in (records, starts, backgrounds):
            if case.chance(0.4):
                case.spoil(array)
        said_cells = case.choose(n_cells, n_cells, case.size(n_cells), *HOSTILE)
        said_width = case.choose(width, width, width, *HOSTILE)
        capacity = case.choose(bound, case.size(bound), 0)
    out, offsets = case.room(capacity), case.place(np.zeros(n_genes + 1, np.int64))
    codes = case.room(max(0, min(said_cells, 2 * records.size)))
    facts = (case.place(starts), records.size, case.place(records), case.place(backgrounds))
    widths = () if record_bits == 32 else (said_width,)
    name = f"encode_records{record_bits}"
    size = case.call(name, n_genes, said_cells, *widths, *facts, codes, out, capacity, offsets)
    assert size <= capacity
    if not hostile:
        assert size == offsets[-1], "an error for records in order"
    if size >= 0 and said_cells <= 300_000:
        members = [out[a:b].tobytes() for a, b in pairwise(offsets)]
        plain = [gzip.decompress(member) for member in members]
        assert hostile or plain == genes


def encode_records32(case: Case) -> None:
    """Genes of one byte."""
    _encode_records(case, 32, 1)


def encode_records64(case: Case) -> None:
    """Genes of any width."""
    _encode_records(case, 64, case.choose(1, 2, 4))


def encode_dense(case: Case) -> None:
    """Streams with and without runs."""
    n = max(0, case.size(case.choose(300, 70_000, 300_000)))
    plain = case.codes(n, 8).astype(np.uint8)
    if case.chance(0.5):
        plain = np.repeat(plain, case.random.integers(0, case.choose(4, 20, 600), n))[:n]
    if case.chance(0.5):
        plain[case.random.random(plain.size) < case.random.random()] = plain[:1]
    bound = encode_bound(plain.size, 1, plain.size, 1)
    capacity = case.choose(bound, case.size(bound))
    out = case.room(capacity)
    size = case.call("encode_dense", plain.size, case.place(plain), out, capacity)
    assert size == -3 if size < 0 else gzip.decompress(out[:size].tobytes()) == plain.tobytes()
    assert size >= 0 or capacity < bound
    assert case.call("encode_dense", case.choose(-1, 2**32, 2**62), plain, out, 0) < 0


def make_records(case: Case) -> None:
    """Values of any bits, cells of any kind, ranges of any numbers."""
    n = max(0, case.size(2000))
    bits = case.choose(8, 16, None)
    missing = {8: 255, 16: 65535, None: 0}[bits]
    kind = case.choose(np.uint16, np.int32, np.int64, None)
    cells = np.arange(n) if kind is None else case.random.integers(0, 30_000, n).astype(kind)
    values = case.random.integers(0, 2**32, n, np.uint32).view(np.float32)
    if case.chance(0.5):
        values = case.random.normal(size=n).astype(np.float32)
    first, record_size = case.size(2**24 - 40_000), case.choose(4, 8) if bits == 8 else 8
    lo, hi = sorted(case.random.normal(size=2) * case.choose(1, 1e-42, 1e30))
    span = Range(float(np.float32(lo)), float(np.float32(hi)) + 1e-45, 1, 1)
    line = np.array(span.line(bits) if bits else (0, 1), np.float32)
    values[case.random.random(n) < 0.1] = span.lo
    hostile = case.chance(0.3)
    if hostile:
        case.spoil(cells)
        first, missing = case.choose(first, *HOSTILE), case.choose(missing, *HOSTILE)
        line.view(np.uint32)[:] = case.random.integers(0, 2**32, 2)
        if not np.isfinite(line[0]):
            line[0] = 0
    room = case.place(np.zeros(n, f"<u{record_size}"))
    cell_size, placed = (0, None) if kind is None else (cells.itemsize, case.place(cells))
    facts = (case.place(values), case.place(line), missing, record_size)
    done = case.call("make_records", n, first, placed, cell_size, *facts, room)
    if hostile or first < 0:
        return
    assert done == 0
    shift = np.uint64(8 if record_size == 4 else 32)
    codes = values.view(np.uint32) if bits is None else quantize(values, span, bits)
    expected = (first + cells.astype(np.int64)).astype(np.uint64) << shift | codes.astype(np.uint64)
    np.testing.assert_array_equal(room, expected.astype(room.dtype))


def unshuffle(case: Case) -> None:
    """Any width."""
    n, width = max(0, case.size(5000)), int(case.choose(1, 2, 3, 4, 5, 8, 16))
    planes = case.random.integers(0, 256, n * width).astype(np.uint8)
    out = case.room(n * width)
    if case.call("unshuffle", n, width, case.place(planes), out) == 0:
        np.testing.assert_array_equal(out.reshape(n, width), planes.reshape(width, n).T)


def lzf_decompress(case: Case) -> None:
    """Noise, and noise that looks like literals and references."""
    packed = case.random.integers(0, 256, max(0, case.size(3000))).astype(np.uint8)
    packed[case.random.random(packed.size) < 0.3] &= 0x1F
    out = case.room(max(0, case.size(10_000)))
    case.call("lzf_decompress", packed.size, case.place(packed), out.size, out)


TARGETS: dict[str, Target] = {
    "encode_records32": encode_records32,
    "encode_records64": encode_records64,
    "encode_dense": encode_dense,
    "make_records": make_records,
    "unshuffle": unshuffle,
    "lzf_decompress": lzf_decompress,
}
