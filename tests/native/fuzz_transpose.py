"""What `fuzz.py` does to the functions of the gene index, compared with numpy."""

from __future__ import annotations

from functools import partial

import numpy as np
from fuzz_case import Case, Target


def transpose_rows(case: Case, name: str, dtype: type) -> None:
    """Rows of any indices, which may lie outside, and pointers that may not fit them."""
    n_rows, n_genes = max(0, case.size(40)), 1 + max(0, case.size(50))
    lengths = case.random.integers(0, 1 + int(case.choose(0, 3, 90)), n_rows)
    pointers = np.cumsum([case.choose(0, 9), *lengths]).astype(np.int64)
    n = int(pointers[-1] - pointers[0])
    width = case.choose(4, 1)
    indices = case.random.integers(0, n_genes, n).astype(dtype)
    values = case.random.integers(0, 256, n).astype(np.float32)
    hostile = case.chance(0.4)
    if hostile:
        case.spoil(case.choose(indices, pointers))
    starts = case.place(np.zeros(n_genes + 1, np.int64))
    scratch, rows = case.place(np.zeros(n_genes, np.int64)), case.place(np.zeros(n, np.uint16))
    out = case.place(np.zeros(n, np.float32 if width == 4 else np.uint8))
    facts = (case.place(pointers), case.place(indices), case.place(values), width)
    said_rows = case.choose(n_rows, 65_537, -1) if hostile else n_rows
    done = case.call(name, said_rows, n_genes, n, *facts, starts, scratch, rows, out)
    if not hostile:
        order = np.argsort(indices, kind="stable")
        assert done == 0
        np.testing.assert_array_equal(rows, np.repeat(np.arange(n_rows), lengths)[order])
        np.testing.assert_array_equal(out, values[order])


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


TARGETS: dict[str, Target] = {
    "transpose_rows_i32": partial(transpose_rows, name="transpose_rows_i32", dtype=np.int32),
    "transpose_rows_i64": partial(transpose_rows, name="transpose_rows_i64", dtype=np.int64),
    "append_genes": append_genes,
}
