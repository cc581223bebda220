"""The transposition in C, against numpy and scipy: check, sort, cut rows; sort strips by gene."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import quantize, value_range
from cellucid_dask.exporter.stages.genes.ranges import GeneRanges
from cellucid_dask.native.calls import NativeError
from cellucid_dask.native.encoder import record_dtype
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import (
    PLACES,
    Segment,
    are_small_counts,
    count_segment,
    cut_rows,
    empty_statistics,
    find_cuts,
    rows_are_sorted,
    segment_bytes,
    sort_rows,
    sort_segment,
)

pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")

VALUES = [0.0, -0.0, 1, 2, 255, 256, 0.5, -1, 1e-42, 3e38, -3e38, np.nan, np.inf, -np.inf]


@st.composite
def csr_parts(draw: st.DrawFn, *, canonical: bool) -> tuple[int, Any, Any, Any]:
    """Columns, pointers (from any start), indices of two widths, and float32 values."""
    n_columns = draw(st.integers(1, 40))
    column = st.integers(0, n_columns - 1)
    row = st.sets(column, max_size=12).map(sorted) if canonical else st.lists(column, max_size=12)
    rows = draw(st.lists(row, min_size=0, max_size=20))
    lengths = [len(row) for row in rows]
    pointers = np.cumsum([draw(st.sampled_from([0, 7])), *lengths]).astype(np.int64)
    dtype = draw(st.sampled_from([np.int32, np.int64]))
    indices = np.array([i for row in rows for i in row], dtype)
    some = draw(st.sampled_from([VALUES, [0.0, 1, 2, 255]]))
    values = draw(st.lists(st.sampled_from(some), min_size=indices.size, max_size=indices.size))
    return n_columns, pointers, indices, np.array(values, np.float32)


def is_canonical(pointers: NDArray[np.int64], indices: NDArray[Any]) -> bool:
    bounds = pointers - pointers[0]
    return all(bool(np.all(np.diff(indices[a:b]) > 0)) for a, b in pairwise(bounds))


@given(csr_parts(canonical=False))
def test_rows_that_rise_are_told_from_others(parts: Any) -> None:
    n_columns, pointers, indices, _ = parts
    assert rows_are_sorted(pointers, indices, n_columns) == is_canonical(pointers, indices)
    for wrong in (-1, n_columns, 2**31 - 1, -(2**31)):
        for place in range(indices.size):
            spoiled = indices.copy()
            spoiled[place] = wrong
            with pytest.raises(NativeError, match="outside the matrix"):
                rows_are_sorted(pointers, spoiled, n_columns)


@given(csr_parts(canonical=True), st.integers(-9, 9), st.data())
def test_pointers_that_do_not_fit_are_refused(parts: Any, off: int, data: st.DataObject) -> None:
    n_columns, pointers, indices, _ = parts
    place = data.draw(st.integers(0, pointers.size - 1))
    spoiled = pointers.copy()
    spoiled[place] += off
    fits = bool(np.all(np.diff(spoiled) >= 0)) and spoiled[-1] - spoiled[0] == indices.size
    if not fits:
        with pytest.raises(NativeError, match="do not add up"):
            rows_are_sorted(spoiled, indices, n_columns)


@given(csr_parts(canonical=False), st.sampled_from(["f4", "u1", "f8", "i2", "?"]))
def test_rows_are_sorted_stably(parts: Any, dtype: str) -> None:
    _, pointers, indices, _ = parts
    values = np.arange(indices.size).astype(dtype)
    bounds = pointers - pointers[0]
    expected_indices, expected_values = indices.copy(), values.copy()
    repeats = 0
    for a, b in pairwise(bounds):
        order = np.argsort(indices[a:b], kind="stable")
        expected_indices[a:b], expected_values[a:b] = indices[a:b][order], values[a:b][order]
        repeats += int(np.sum(np.diff(expected_indices[a:b]) == 0))
    assert sort_rows(pointers, indices, values) == repeats
    assert np.array_equal(indices, expected_indices)
    assert np.array_equal(values, expected_values)


@pytest.mark.parametrize("n_columns", [3, 200, 70_000, 2**31 - 1])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_long_rows_are_sorted_stably(n_columns: int, dtype: Any) -> None:
    """Those have another algorithm than short ones."""
    rng = np.random.default_rng(n_columns)
    lengths = rng.integers(30, 400, 20)
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    indices = rng.integers(0, n_columns, int(lengths.sum())).astype(dtype)
    values = np.arange(indices.size)
    order = np.lexsort((indices, np.repeat(np.arange(20), lengths)))  # a stable sort
    expected = indices[order]
    sort_rows(pointers, indices, values)
    assert np.array_equal(indices, expected)
    assert np.array_equal(values, order)


def test_scratch_that_is_too_small_is_refused() -> None:
    pointers, indices = np.array([0, 3]), np.array([2, 1, 0], np.int32)
    with pytest.raises(NativeError, match="does not fit"):
        sort_rows(pointers, indices, np.zeros(3, np.float32), np.empty(2 * 36, np.uint8))
    assert indices.tolist() == [2, 1, 0]


@given(st.lists(st.sampled_from([*VALUES, 254.5, -0.5, 3])))
def test_values_that_fit_uint8(values: list[float]) -> None:
    found = np.array(values, np.float32)
    with np.errstate(invalid="ignore"):
        fits = np.array_equal(found.astype(np.uint8).astype(np.float32), found)
    assert are_small_counts(found) == fits
    assert not are_small_counts(np.append(np.zeros(5000, np.float32), np.float32(0.5)))


def cut(parts: Any, bounds: NDArray[np.int64], first: int) -> list[Segment]:
    """Segments of a chunk, as the second pass reads them."""
    _, pointers, indices, values = parts
    width = 1 if are_small_counts(values) else 4
    n_rows = pointers.size - 1
    cuts = np.empty((n_rows, bounds.size), np.uint32)
    sizes = find_cuts(bounds, pointers, indices, cuts)
    lengths = segment_bytes(n_rows, sizes, width)
    guarded = np.full(int(lengths.sum()) + 64, 0xA5, np.uint8)
    out = guarded[32:-32]
    cut_rows(bounds, indices, values, cuts, sizes, out, width=width)
    assert np.all(guarded[:32] == 0xA5)
    assert np.all(guarded[-32:] == 0xA5)
    segments, at = [], 0
    for n, length in zip(sizes.tolist(), lengths.tolist(), strict=True):
        part = out[at : at + length].copy()
        genes = 2 * n_rows
        segments.append(
            Segment(
                first,
                part[:genes].view(np.uint16),
                part[genes : genes + 2 * n].view(np.uint16),
                part[genes + 2 * n :].view(np.uint8 if width == 1 else np.float32),
            )
        )
        at += length
    return segments


@st.composite
def strip_bounds(draw: st.DrawFn, n_columns: int) -> NDArray[np.int64]:
    inner = draw(st.lists(st.integers(0, n_columns), max_size=5))
    return np.array([0, *sorted(inner), n_columns], np.int64)


@given(csr_parts(canonical=True), st.sampled_from([8, 16, None]), st.data())
def test_strips_hold_what_columns_of_the_matrix_hold(
    parts: Any, bits: int | None, data: st.DataObject
) -> None:
    """Statistics, ranges and records are those of each column by itself, in parts of strips too."""
    n_columns, pointers, indices, values = parts
    n_rows, first = pointers.size - 1, data.draw(st.sampled_from([0, 3, 2**24]))
    n_cells = first + n_rows + data.draw(st.integers(0, 2)) * (first > 0)
    bounds = data.draw(strip_bounds(n_columns))
    csc = sparse.csr_array(
        (values + np.float32(0), indices, pointers - pointers[0]), shape=(n_rows, n_columns)
    ).tocsc()
    dtype = record_dtype(n_cells, 4 if bits is None else bits // 8)
    for strip, segment in enumerate(cut(parts, bounds, first)):
        low, high = int(bounds[strip]), int(bounds[strip + 1])
        statistics = empty_statistics(high - low)
        count_segment(segment, statistics)
        ranges = GeneRanges.of(statistics, n_cells, bits)
        part = data.draw(st.integers(0, high - low))
        for start, stop in ((0, part), (part, high - low)):
            records, starts = sort_part(segment, statistics, ranges, start, stop, dtype)
            for gene in range(start, stop):
                column = slice(csc.indptr[low + gene], csc.indptr[low + gene + 1])
                stored, rows = csc.data[column], csc.indices[column]
                span = value_range(stored, joins_zero=stored.size < n_cells)
                codes = stored.view(np.uint32) if bits is None else quantize(stored, span, bits)
                shift = 8 if dtype == np.uint32 else 32
                expected = (rows.astype(dtype) + dtype.type(first)) << shift | codes.astype(dtype)
                found = records[starts[gene - start] : starts[gene - start + 1]]
                assert np.array_equal(found, expected)
                assert (ranges.low[gene], ranges.high[gene]) == (span.lo, span.hi)
                assert ranges.n_nan[gene] == span.n_nan
                assert ranges.n_inf[gene] == span.n_inf
                assert ranges.constant[gene] == span.constant
                assert ranges.empty[gene] == span.empty
                zero = np.zeros(1, np.float32)
                background = 0 if bits is None else quantize(zero, span, bits)[0]
                assert ranges.background[gene] == background


def sort_part(
    segment: Segment, statistics: Any, ranges: GeneRanges, start: int, stop: int, dtype: Any
) -> tuple[Any, Any]:
    counts, some = statistics["n_values"][start:stop], ranges[start:stop]
    starts = np.concatenate([[0], np.cumsum(counts)])
    places = np.zeros(stop - start, PLACES)
    places["next"], places["stop"] = starts[:-1], starts[1:]
    if ranges.bits is not None:
        places["lowest"], places["scale"] = some.lowest, some.scale
        places["missing"] = ranges.missing
    guarded = np.full(int(counts.sum()) + 8, 0xA5, dtype)
    sort_segment(segment, start, places, guarded[4:-4], codes=ranges.bits is not None)
    assert np.all(guarded[:4] == 0xA5)
    assert np.all(guarded[-4:] == 0xA5)
    assert np.array_equal(places["next"], starts[1:])
    return guarded[4:-4], starts


@pytest.mark.parametrize("bounds", [[0, 5, 3, 9], [0, 70_000], [1, 9], [-1, 9]])
def test_bounds_that_are_none_are_refused(bounds: list[int]) -> None:
    pointers, indices = np.array([0, 2]), np.array([1, 7], np.int32)
    with pytest.raises(NativeError, match="do not add up"):
        find_cuts(np.array(bounds), pointers, indices, np.empty((1, len(bounds)), np.uint32))


def test_an_output_of_another_size_is_refused() -> None:
    bounds, pointers, indices = np.array([0, 9]), np.array([0, 2]), np.array([1, 7], np.int32)
    values, cuts = np.ones(2, np.float32), np.empty((1, 2), np.uint32)
    sizes = find_cuts(bounds, pointers, indices, cuts)
    for n in (9, 7):
        with pytest.raises(NativeError, match="does not fit"):
            cut_rows(bounds, indices, values, cuts, sizes, np.empty(n, np.uint8), width=1)


def spoiled_segments() -> list[tuple[Segment, str]]:
    """Segments as a damaged spill file holds them, and what is said of each."""
    good = Segment(
        0, np.array([2, 1], np.uint16), np.array([0, 2, 1], np.uint16), np.ones(3, np.float32)
    )
    return [
        (replace(good, row_lengths=np.array([2, 2], np.uint16)), "do not add up"),
        (replace(good, row_lengths=np.array([2, 0], np.uint16)), "do not add up"),
        (replace(good, genes=np.array([0, 0, 0], np.uint16)), "does not fit"),
    ]


@pytest.mark.parametrize(("segment", "said"), spoiled_segments())
def test_damaged_segments_are_refused(segment: Segment, said: str) -> None:
    """Counted as they were written, then damaged before they are read again."""
    places = np.zeros(3, PLACES)
    places["next"], places["stop"] = [0, 1, 2], [1, 2, 3]
    places["scale"], places["missing"] = 1, 255
    with pytest.raises(NativeError, match=said):
        sort_segment(segment, 0, places, np.empty(3, np.uint32), codes=True)


def test_a_gene_outside_the_strip_is_refused() -> None:
    segment = Segment(0, np.array([1], np.uint16), np.array([3], np.uint16), np.ones(1, np.float32))
    with pytest.raises(NativeError, match="outside"):
        count_segment(segment, empty_statistics(3))


def test_records_that_are_too_few_are_refused() -> None:
    segment = Segment(0, np.array([1], np.uint16), np.array([0], np.uint16), np.ones(1, np.float32))
    places = np.zeros(1, PLACES)
    places["stop"] = 1
    with pytest.raises(NativeError, match="does not fit"):
        sort_segment(segment, 0, places, np.empty(0, np.uint32), codes=True)


@pytest.mark.parametrize(
    ("first_cell", "dtype"),
    [(2**24, np.uint32), (2**32, np.uint64), (-1, np.uint32), (-1, np.uint64)],
)
def test_a_cell_that_no_record_holds_is_refused(first_cell: int, dtype: type) -> None:
    """Its number would reach beyond the record, and be that of another cell."""
    segment = Segment(
        first_cell, np.array([1], np.uint16), np.array([0], np.uint16), np.ones(1, np.float32)
    )
    places = np.zeros(1, PLACES)
    places["stop"], places["missing"] = 1, 255
    with pytest.raises(NativeError, match="outside"):
        sort_segment(segment, 0, places, np.empty(1, dtype), codes=True)


@pytest.mark.parametrize("wrong", [{"next": -1}, {"stop": 2}, {"missing": 65535}, {"missing": 0}])
def test_places_outside_of_the_records_are_refused(wrong: dict[str, int]) -> None:
    segment = Segment(0, np.array([1], np.uint16), np.array([0], np.uint16), np.ones(1, np.float32))
    places = np.zeros(1, PLACES)
    places["stop"], places["missing"] = 1, 255
    for name, value in wrong.items():
        places[name] = value
    guarded = np.zeros(3, np.uint32)
    with pytest.raises(NativeError, match="does not fit"):
        sort_segment(segment, 0, places, guarded[1:2], codes=True)
    assert not guarded.any()


def test_pointers_of_no_row_at_all_are_refused() -> None:
    with pytest.raises(NativeError, match="do not add up"):
        rows_are_sorted(np.zeros(0, np.int64), np.zeros(0, np.int32), 3)
