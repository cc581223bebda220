"""What `fuzz.py` does to the functions that sort strips and add rows, compared with numpy."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from fuzz_case import HOSTILE, Case, Target

from cellucid_dask.encode import Range, quantize
from cellucid_dask.native.strips import PLACES, empty_statistics

INDEX, CAPACITY, LENGTH = -1, -3, -4


def _draw_values(case: Case, n: int) -> tuple[Any, Any]:
    """Values of a segment as bytes, and as they are exported; some with any bits."""
    if case.chance(0.4):
        stored = case.random.integers(0, 256, n).astype(np.uint8)
        return stored, stored.astype(np.float32)
    values = case.random.normal(size=n).astype(np.float32)
    odd = case.random.random(n) < case.choose(0, 0.1, 1)
    values[odd] = case.random.integers(0, 2**32, n, np.uint32).view(np.float32)[odd]
    values[case.random.random(n) < 0.1] = case.choose(0.0, -0.0, np.nan, np.inf, -np.inf)
    with np.errstate(invalid="ignore"):  # numbers that signal
        return values.view(np.uint8), values + np.float32(0)


def _draw_segment(case: Case) -> tuple[int, Any, Any, Any, Any]:
    """Genes of the strip; row lengths, genes and values of a segment; values as exported."""
    n_genes, n_rows = max(1, case.size(case.choose(3, 300, 65_535))), max(0, case.size(50))
    lengths = case.random.integers(0, 1 + max(0, case.size(60)), n_rows).astype(np.uint16)
    genes = case.random.integers(0, n_genes, int(lengths.sum())).astype(np.uint16)
    return n_genes, lengths, genes, *_draw_values(case, genes.size)


def count_strip(case: Case) -> None:
    """Genes inside and outside of the strip."""
    n_genes, _, genes, stored, values = _draw_segment(case)
    width = stored.size // genes.size if genes.size else 4
    if hostile := case.chance(0.3):
        case.spoil(genes)
    statistics = case.place(empty_statistics(n_genes))
    facts = (case.place(genes), case.place(stored))
    said = case.choose(*[width] * 8, 0, 2, 8)
    done = case.call("count_strip", genes.size, *facts, said, n_genes, statistics)
    if said != width:
        assert done == LENGTH
        return
    assert done == (INDEX if genes.size and genes.max() >= n_genes else 0)
    if hostile:
        return
    expected = empty_statistics(n_genes)
    finite = np.isfinite(values)
    np.add.at(expected["n_values"], genes, 1)
    np.add.at(expected["n_nan"], genes, np.isnan(values))
    np.add.at(expected["n_inf"], genes, np.isinf(values))
    np.minimum.at(expected["lowest"], genes[finite], values[finite])
    np.maximum.at(expected["highest"], genes[finite], values[finite])
    assert statistics.tobytes() == expected.tobytes()


def sort_strip(case: Case) -> None:
    """Part of the genes of a segment; row lengths, genes and places of any numbers."""
    n_genes, lengths, genes, stored, values = _draw_segment(case)
    width = stored.size // genes.size if genes.size else 4
    bits = case.choose(8, 16, None)
    size = case.choose(4, 8) if bits == 8 else 8
    first, last = np.sort(case.random.integers(0, n_genes + 1, 2)).tolist()
    span = Range(*sorted(case.random.normal(size=2).astype(np.float32).tolist()), 1, 1)
    order = np.argsort(genes, kind="stable")
    order = order[(genes[order] >= first) & (genes[order] < last)]
    places = np.zeros(last - first, PLACES)
    places["stop"] = np.cumsum(np.bincount(genes[order] - first, minlength=last - first))
    places["next"][1:] = places["stop"][:-1]
    if bits:
        places["lowest"], places["scale"] = span.line(bits)
        places["missing"] = 2**bits - 1
    limit = 2 ** (24 if size == 4 else 32) - lengths.size
    first_cell = case.choose(0, 5, limit)
    if hostile := case.chance(0.5):
        for array in (lengths, genes, places.view(np.int64)):
            if case.chance(0.4):
                case.spoil(array)
        first_cell = case.choose(first_cell, first_cell, limit + 1, *HOSTILE)
        first = case.choose(first, first, *HOSTILE)
        size = case.choose(size, size, size, 2, 16)
    records = case.place(np.zeros(order.size, f"<u{4 if size == 4 else 8}"))
    segment = (case.place(lengths), genes.size, case.place(genes), case.place(stored), width)
    facts = (int(bits is not None), case.place(places), size, records.size, records)
    done = case.call("sort_strip", first_cell, lengths.size, *segment, first, places.size, *facts)
    if hostile:
        return
    assert done == 0
    cells = first_cell + np.repeat(np.arange(lengths.size), lengths)
    codes = values.view(np.uint32) if bits is None else quantize(values, span, bits)
    shift = np.uint64(8 if size == 4 else 32)
    expected = cells.astype(np.uint64) << shift | codes.astype(np.uint64)
    np.testing.assert_array_equal(records, expected[order].astype(records.dtype))


def add_rows(case: Case, name: str, dtype: type) -> None:
    """Codes with and without a category."""
    n, width = max(0, case.size(300)), max(0, case.size(40))
    missing = np.iinfo(dtype).max
    k = max(1, case.size(min(missing, 2000)))
    codes = case.random.integers(0, k, n).astype(dtype)
    codes[case.random.random(n) < 0.1] = missing
    if case.chance(0.3):
        case.spoil(codes)
    rows = case.random.normal(size=(n, width)) * 1e9
    sums = case.random.normal(size=(k, width))
    placed = case.place(sums)
    facts = (case.place(codes), case.place(rows), placed)
    done = case.call(name, n, k, width, missing, *facts)
    wrong = np.flatnonzero((codes >= k) & (codes != missing))
    assert done == (INDEX if wrong.size else 0)
    until = wrong[0] if wrong.size else n
    for code, row in zip(codes[:until].tolist(), rows[:until], strict=True):
        if code != missing:
            sums[code] += row
    np.testing.assert_array_equal(placed, sums)


TARGETS: dict[str, Target] = {
    "count_strip": count_strip,
    "sort_strip": sort_strip,
    "add_rows_u8": partial(add_rows, name="add_rows_u8", dtype=np.uint8),
    "add_rows_u16": partial(add_rows, name="add_rows_u16", dtype=np.uint16),
}
