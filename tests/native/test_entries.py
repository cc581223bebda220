"""Strips that are sorted in C into cells and values, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.native.calls import NativeError
from cellucid_dask.native.entries import count_entries, sort_entries
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import Segment

pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")


@st.composite
def segments(draw: st.DrawFn) -> tuple[int, list[Segment]]:
    """Genes of a strip, and its segments in the order of the cells, with values of any width."""
    n_genes, first = draw(st.integers(1, 9)), draw(st.sampled_from([0, 7, 2**31 - 200]))
    found = []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.lists(st.lists(st.integers(0, n_genes - 1), max_size=5), max_size=6))
        genes = np.array([gene for row in rows for gene in row], np.uint16)
        dtype = draw(st.sampled_from(["u1", "f4", "f8"]))
        values = np.arange(1, genes.size + 1).astype(dtype)
        lengths = np.array([len(row) for row in rows], np.uint16)
        found.append(Segment(first, lengths, genes, values))
        first += len(rows)
    return n_genes, found


@given(segments(), st.data())
def test_values_are_sorted_by_gene_and_cell(strip: Any, data: st.DataObject) -> None:
    """Of some of the genes, into arrays of any types."""
    n_genes, found = strip
    counts = np.zeros(n_genes, np.int64)
    for segment in found:
        count_entries(segment, counts)
    entries = [
        (int(gene), segment.first_cell + row, float(value))
        for segment in found
        for row, gene, value in zip(
            np.repeat(np.arange(segment.row_lengths.size), segment.row_lengths),
            segment.genes,
            segment.values,
            strict=True,
        )
    ]
    np.testing.assert_array_equal(
        counts, np.bincount([gene for gene, *_ in entries], minlength=n_genes)
    )
    start = data.draw(st.integers(0, n_genes))
    stop = data.draw(st.integers(start, n_genes))
    entries = sorted((e for e in entries if start <= e[0] < stop), key=lambda entry: entry[0])
    cells = np.zeros(len(entries), data.draw(st.sampled_from(["i4", "i8"])))
    values = np.zeros(len(entries), data.draw(st.sampled_from(["f4", "f8"])))
    ends = np.cumsum(counts[start:stop])
    places = ends - counts[start:stop]
    for segment in found:
        sort_entries(segment, start, places, ends, cells, values)
    np.testing.assert_array_equal(places, ends)
    assert cells.tolist() == [cell for _, cell, _ in entries]
    assert values.tolist() == [value for *_, value in entries]


def test_what_does_not_fit_is_refused() -> None:
    lengths, genes = np.array([2, 1], np.uint16), np.array([0, 1, 1], np.uint16)
    segment = Segment(5, lengths, genes, np.ones(3, np.float32))
    with pytest.raises(NativeError, match="outside"):
        count_entries(segment, np.zeros(1, np.int64))

    def sort(segment: Segment, counts: list[int], room: int, cells: str = "i4") -> None:
        ends = np.cumsum(counts)
        places = ends - counts
        sort_entries(segment, 0, places, ends, np.zeros(room, cells), np.zeros(room, "f4"))

    sort(segment, [1, 2], 3)
    with pytest.raises(NativeError, match="does not fit"):
        sort(segment, [2, 1], 3)
    with pytest.raises(NativeError, match="does not fit"):
        sort(segment, [1, 2], 2)
    with pytest.raises(NativeError, match="do not add up"):
        sort(Segment(5, lengths[:1], genes, segment.values), [1, 2], 3)
    far = Segment(2**31 - 1, lengths, genes, segment.values)
    with pytest.raises(NativeError, match="outside"):
        sort(far, [1, 2], 3)
    sort(far, [1, 2], 3, "i8")
