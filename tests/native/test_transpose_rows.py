"""Transposing chunks of cells and joining them in C, against scipy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cellucid_dask.encode import as_exported
from cellucid_dask.native.calls import NativeError
from cellucid_dask.native.library import load
from cellucid_dask.native.strips import are_small_counts
from cellucid_dask.native.transpose import append_genes, transpose_rows

pytestmark = pytest.mark.skipif(load() is None, reason="there is no native library here")

VALUES = [0.0, -0.0, 1, 255, 256, 0.5, -1, 1e-42, 3e38, np.nan, np.inf]


@st.composite
def draw_rows(draw: st.DrawFn) -> tuple[int, Any, Any, Any]:
    """Genes, pointers (from any start), indices without duplicates, and float32 values."""
    n_genes = draw(st.integers(1, 30))
    gene = st.integers(0, n_genes - 1)
    rows = draw(st.lists(st.lists(gene, max_size=12, unique=True), max_size=20))
    first = draw(st.sampled_from([0, 7]))
    pointers = np.cumsum([first, *(len(row) for row in rows)]).astype(np.int64)
    indices = np.array([i for row in rows for i in row], draw(st.sampled_from(["i4", "i8"])))
    some = draw(st.sampled_from([VALUES, [0.0, -0.0, 1, 255]]))
    values = draw(st.lists(st.sampled_from(some), min_size=indices.size, max_size=indices.size))
    return n_genes, pointers, indices, np.array(values, np.float32)


def transpose(n_genes: int, pointers: Any, indices: Any, values: Any) -> tuple[Any, Any, Any]:
    stored = np.uint8 if are_small_counts(values) else np.float32
    rows, out = np.empty(values.size, np.uint16), np.empty(values.size, stored)
    return transpose_rows(pointers, indices, values, rows, out, n_genes), rows, out


@given(draw_rows())
def test_rows_are_transposed_as_scipy_does(parts: Any) -> None:
    n_genes, pointers, indices, values = parts
    starts, rows, out = transpose(*parts)
    shape = (pointers.size - 1, n_genes)
    plain = sparse.csr_array((values, indices, pointers - pointers[0]), shape=shape).tocsc()
    np.testing.assert_array_equal(starts, plain.indptr)
    np.testing.assert_array_equal(rows, plain.indices)
    assert out.astype(np.float32).tobytes() == as_exported(plain.data).tobytes()


@given(draw_rows(), st.data())
def test_rows_that_do_not_fit_together_are_refused(parts: Any, data: st.DataObject) -> None:
    n_genes, pointers, indices, values = parts
    for wrong in (-1, n_genes, 2**31 - 1, -(2**31)):
        for place in range(indices.size):
            spoiled = indices.copy()
            spoiled[place] = wrong
            with pytest.raises(NativeError, match="outside the matrix"):
                transpose(n_genes, pointers, spoiled, values)
    spoiled = pointers.copy()
    spoiled[-1] += data.draw(st.sampled_from([-3, -1, 1, 2**40]))
    if pointers.size > 1 and spoiled[-1] >= spoiled[-2]:
        with pytest.raises(NativeError, match="do not add up"):
            transpose(n_genes, spoiled, indices, values)


def test_more_rows_than_16_bits_number_are_refused() -> None:
    nothing = np.zeros(0, np.int32)
    most = np.zeros(65_537, np.int64)
    transpose(1, most, nothing, nothing.astype(np.float32))
    with pytest.raises(NativeError, match="do not add up"):
        transpose(1, np.append(most, 0), nothing, nothing.astype(np.float32))


@given(draw_rows(), st.lists(st.integers(0, 20), max_size=3), st.sampled_from([0, 2**33]))
def test_chunks_are_joined_as_if_they_were_one(parts: Any, cuts: list[int], first: int) -> None:
    n_genes, pointers, indices, values = parts
    n_rows = pointers.size - 1
    starts, rows, out = transpose(*parts)
    cells = np.empty(rows.size, np.uint64 if first else np.uint32)
    joined, filled = np.empty_like(out), starts[:-1].copy()
    for a, b in pairwise(sorted({0, n_rows, *(cut for cut in cuts if cut < n_rows)})):
        some = slice(pointers[a] - pointers[0], pointers[b] - pointers[0])
        chunk = transpose(n_genes, pointers[a : b + 1], indices[some], values[some])
        append_genes(chunk, first + a, starts, filled, cells, joined)
    np.testing.assert_array_equal(filled, starts[1:])
    np.testing.assert_array_equal(cells, rows.astype(np.uint64) + np.uint64(first))
    assert joined.tobytes() == out.tobytes()


def test_a_gene_never_takes_the_places_of_the_next() -> None:
    chunk = (np.array([0, 2, 3]), np.array([4, 6, 5], np.uint16), np.array([1, 2, 3], np.uint8))
    starts, cells, values = np.array([0, 3, 5]), np.zeros(5, np.uint32), np.zeros(5, np.float32)
    filled = starts[:-1].copy()
    append_genes(chunk, 10, starts, filled, cells, values)
    with pytest.raises(NativeError, match="does not fit"):
        append_genes(chunk, 20, starts, filled, cells, values)
    assert cells.tolist() == [14, 16, 0, 15, 0]
    assert values.tolist() == [1, 2, 0, 3, 0]
    for bounds in ([0, 2, 4], [0, -1, 3], [-1, 2, 3], [2, 1, 3]):
        filled[:] = starts[:-1]
        with pytest.raises(NativeError, match="do not add up"):
            append_genes((np.array(bounds), *chunk[1:]), 0, starts, filled, cells, values)
    filled[:] = [-1, 3]
    with pytest.raises(NativeError, match="does not fit"):
        append_genes(chunk, 0, starts, filled, cells, values)
