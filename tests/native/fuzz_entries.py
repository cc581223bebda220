"""What `fuzz.py` does to the functions that sort strips into cells and values, beside numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzz_case import HOSTILE, Case, Target

INDEX = -1


def _draw_segment(case: Case) -> tuple[int, Any, Any, Any]:
    """Genes of the strip; row lengths, genes and values of a segment."""
    n_genes, n_rows = max(1, case.size(case.choose(3, 300, 65_535))), max(0, case.size(50))
    lengths = case.random.integers(0, 1 + max(0, case.size(60)), n_rows).astype(np.uint16)
    genes = case.random.integers(0, n_genes, int(lengths.sum())).astype(np.uint16)
    values = case.random.integers(0, 256, genes.size).astype(case.choose("u1", "f4", "f8"))
    if values.itemsize > 1 and case.chance(0.5):
        values = case.random.normal(size=genes.size).astype(values.dtype)
    return n_genes, lengths, genes, values


def count_entries(case: Case) -> None:
    """Genes inside and outside of the strip."""
    n_genes, _, genes, _ = _draw_segment(case)
    if hostile := case.chance(0.3):
        case.spoil(genes)
    counts = case.place(np.zeros(n_genes, np.int64))
    done = case.call("count_entries", genes.size, case.place(genes), n_genes, counts)
    assert done == (INDEX if genes.size and genes.max() >= n_genes else 0)
    if not hostile:
        np.testing.assert_array_equal(counts, np.bincount(genes, minlength=n_genes))


def sort_entries(case: Case) -> None:
    """Part of the genes of a segment; row lengths, genes and places of any numbers."""
    n_genes, lengths, genes, values = _draw_segment(case)
    width = values.itemsize
    first, last = np.sort(case.random.integers(0, n_genes + 1, 2)).tolist()
    order = np.argsort(genes, kind="stable")
    order = order[(genes[order] >= first) & (genes[order] < last)]
    ends = np.cumsum(np.bincount(genes[order] - first, minlength=last - first), dtype=np.int64)
    places = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: ends.size]
    cell_size, value_size = case.choose(4, 8), case.choose(4, 8)
    limit = 2**31 - lengths.size
    first_cell, said = case.choose(0, 5, limit), (width, cell_size, value_size)
    if hostile := case.chance(0.5):
        for array in (lengths, genes, places, ends):
            if case.chance(0.4):
                case.spoil(array)
        first_cell = case.choose(first_cell, first_cell, limit + 1, *HOSTILE)
        first = case.choose(first, first, *HOSTILE)
        said = case.choose(said, said, said, (2, *said[1:]), (width, 2, 4), (width, 4, 2))
    cells = case.place(np.zeros(order.size, f"<i{cell_size}"))
    found = case.place(np.zeros(order.size, f"<f{value_size}"))
    segment = (case.place(lengths), genes.size, case.place(genes), case.place(values), said[0])
    genes_at = (first, places.size, case.place(places), case.place(ends))
    arrays = (order.size, said[1], cells, said[2], found)
    done = case.call("sort_entries", first_cell, lengths.size, *segment, *genes_at, *arrays)
    if hostile:
        return
    assert done == 0
    numbers = first_cell + np.repeat(np.arange(lengths.size), lengths)
    np.testing.assert_array_equal(cells, numbers[order])
    np.testing.assert_array_equal(found, values[order].astype(found.dtype))


TARGETS: dict[str, Target] = {"count_entries": count_entries, "sort_entries": sort_entries}
