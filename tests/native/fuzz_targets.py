"""What `fuzz.py` does to each function of the library: one function of the same name for each."""

from __future__ import annotations

import ctypes
import gzip
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from cellucid_dask.encode import Range, quantize
from cellucid_dask.native.encoder import encode_bound

TARGETS: dict[str, Callable[[Case], None]] = {}
ERRORS = {-1, -2, -3, -4}
HOSTILE = [0, 1, -1, 2**8, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, -(2**62)]


class Case:
    """One round: its random numbers, and memory that ends exactly where an array ends."""

    def __init__(self, library: ctypes.CDLL, random: np.random.Generator) -> None:
        self.library, self.random = library, random
        self._pointers: list[int] = []
        self._c = ctypes.CDLL(None)  # with the malloc of ASan
        self._c.malloc.restype = ctypes.c_void_p
        self._c.free.argtypes = [ctypes.c_void_p]

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *_: object) -> None:
        for pointer in self._pointers:
            self._c.free(pointer)

    def place(self, array: np.ndarray) -> np.ndarray:
        """Copy an array into memory of its own, beyond which ASan sees reads and writes."""
        pointer = self._c.malloc(ctypes.c_size_t(array.nbytes))
        self._pointers.append(pointer)
        kept = (ctypes.c_uint8 * array.nbytes).from_address(pointer)
        placed = np.frombuffer(kept, array.dtype) if array.size else array
        placed[:] = array
        return placed

    def room(self, n_bytes: int) -> np.ndarray:
        """Memory to write to."""
        return self.place(np.zeros(n_bytes, np.uint8))

    def call(self, name: str, *arguments: int | np.ndarray | None) -> int:
        """Call a function of the library."""
        function = self.library[name]
        function.restype = ctypes.c_int64
        converted = [
            ctypes.c_void_p(a.ctypes.data if a is not None else None)
            if not isinstance(a, int | np.integer)
            else ctypes.c_int64(int(a))
            for a in arguments
        ]
        result = int(function(*converted))
        assert result >= 0 or result in ERRORS, result
        return result

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self.random.random() < probability)

    def size(self, limit: int) -> int:
        """A size up to `limit`; small ones are as likely as large ones."""
        return int((limit + 1) ** self.random.random()) - int(self.chance(0.5))

    def choose(self, *values: Any) -> Any:
        """One of the values."""
        return values[self.random.integers(len(values))]

    def spoil(self, array: np.ndarray) -> None:
        """Put what no caller would mean into some places."""
        for _ in range(int(self.random.integers(1, 4)) if array.size else 0):
            place = self.random.integers(array.size)
            value = self.choose(*HOSTILE, int(self.random.integers(2**62)))
            if self.chance(0.5) and array.dtype != np.uint64:
                value = int(array[place]) + self.choose(-1, 1)
            array[place] = np.array([value], np.int64).astype(array.dtype)[0]

    def codes(self, n: int, bits: int) -> np.ndarray:
        """`n` codes of few or many values, as uint64."""
        palette = self.random.integers(0, 2**bits, self.choose(1, 2, 5, 25, 300), np.uint64)
        weights = self.random.random(palette.size) ** self.choose(0, 1, 20)
        if palette.size == 25:  # whose codes are of all lengths
            weights = 0.5 ** np.arange(25)
        return self.random.choice(palette, n, p=weights / weights.sum())


def target(function: Callable[[Case], None]) -> Callable[[Case], None]:
    """Make a function known to `fuzz.py`."""
    TARGETS[function.__name__] = function
    return function


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


@target
def encode_records32(case: Case) -> None:
    """Genes of one byte."""
    _encode_records(case, 32, 1)


@target
def encode_records64(case: Case) -> None:
    """Genes of any width."""
    _encode_records(case, 64, case.choose(1, 2, 4))


@target
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


@target
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


@target
def unshuffle(case: Case) -> None:
    """Any width."""
    n, width = max(0, case.size(5000)), int(case.choose(1, 2, 3, 4, 5, 8, 16))
    planes = case.random.integers(0, 256, n * width).astype(np.uint8)
    out = case.room(n * width)
    if case.call("unshuffle", n, width, case.place(planes), out) == 0:
        np.testing.assert_array_equal(out.reshape(n, width), planes.reshape(width, n).T)


@target
def lzf_decompress(case: Case) -> None:
    """Noise, and noise that looks like literals and references."""
    packed = case.random.integers(0, 256, max(0, case.size(3000))).astype(np.uint8)
    packed[case.random.random(packed.size) < 0.3] &= 0x1F
    out = case.room(max(0, case.size(10_000)))
    case.call("lzf_decompress", packed.size, case.place(packed), out.size, out)


@target
def transpose_rows(case: Case) -> None:
    """Rows of any indices, which may lie outside, and pointers that may not fit them."""
    n_rows, n_genes = max(0, case.size(40)), 1 + max(0, case.size(50))
    lengths = case.random.integers(0, 1 + int(case.choose(0, 3, 90)), n_rows)
    pointers = np.cumsum([case.choose(0, 9), *lengths]).astype(np.int64)
    n = int(pointers[-1] - pointers[0])
    kind, width = case.choose(np.int32, np.int64), case.choose(4, 1)
    indices = case.random.integers(0, n_genes, n).astype(kind)
    values = case.random.integers(0, 256, n).astype(np.float32)
    hostile = case.chance(0.4)
    if hostile:
        case.spoil(case.choose(indices, pointers))
    starts = case.place(np.zeros(n_genes + 1, np.int64))
    scratch, rows = case.place(np.zeros(n_genes, np.int64)), case.place(np.zeros(n, np.uint16))
    out = case.place(np.zeros(n, np.float32 if width == 4 else np.uint8))
    name = "transpose_rows_i32" if kind is np.int32 else "transpose_rows_i64"
    facts = (case.place(pointers), case.place(indices), case.place(values), width)
    said_rows = case.choose(n_rows, 65_537, -1) if hostile else n_rows
    done = case.call(name, said_rows, n_genes, n, *facts, starts, scratch, rows, out)
    if not hostile:
        order = np.argsort(indices, kind="stable")
        assert done == 0
        np.testing.assert_array_equal(rows, np.repeat(np.arange(n_rows), lengths)[order])
        np.testing.assert_array_equal(out, values[order])


@target
def append_genes(case: Case) -> None:
    """Chunks whose bounds, and places whose ends, may be anything."""
    n_genes = max(0, case.size(40))
    bounds = np.cumsum([0, *case.random.integers(0, 1 + int(case.choose(0, 9)), n_genes)])
    starts = bounds + np.cumsum([0, *case.random.integers(0, 3, n_genes)])
    filled, n, room = starts[:-1].copy(), int(bounds[-1]), int(starts[-1])
    hostile = case.chance(0.4)
    if hostile:
        case.spoil(case.choose(bounds, filled))
    first, cell = case.choose(0, 2**20), case.choose(4, 8)
    width, out_width = case.choose((1, 1), (1, 4), (4, 4))
    rows = case.random.integers(0, 65_536, n).astype(np.uint16)
    values = case.random.integers(0, 256, n * width).astype(np.uint8)
    cells, out = case.room(room * cell), case.room(room * out_width)
    chunk = (case.place(bounds), first, case.place(rows), case.place(values), width)
    next_places = case.place(filled)
    places = (case.place(starts), next_places, cell, cells, out_width, out)
    done = case.call("append_genes", n_genes, n, *chunk, *places)
    if not hostile:
        assert done == 0
        np.testing.assert_array_equal(next_places - starts[:-1], np.diff(bounds))
