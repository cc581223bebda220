"""Names of chunks in a zarr store of version 2, read back into their numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_keys import chunk_key, parse_chunk_name

AXES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 7)), max_size=3)
NODES = AXES.map(
    lambda axes: ArrayNode("a/b", tuple(n for n, _ in axes), "<f4", tuple(c for _, c in axes))
)
DIGITS = st.text(".0123456789", max_size=6)
NAMES = st.one_of(
    DIGITS, st.text(".-+_e0123456789 \n\u0661\u00b2", max_size=8), st.text(max_size=4)
)


@given(NODES, st.data())
def test_the_name_of_a_chunk_is_read_back(node: ArrayNode, data: Any) -> None:
    number = data.draw(st.integers(0, node.n_chunks - 1))
    key = chunk_key(node, number, 2)
    assert parse_chunk_name(node, key.removeprefix("a/b/")) == number


@given(NODES, NAMES)
def test_no_other_spelling_is_a_chunk(node: ArrayNode, name: str) -> None:
    names = {
        chunk_key(node, number, 2).removeprefix("a/b/"): number for number in range(node.n_chunks)
    }
    assert parse_chunk_name(node, name) == names.get(name)


def test_an_empty_array_has_no_chunk() -> None:
    assert parse_chunk_name(ArrayNode("a", (0,), "<f4", (1,)), "0") is None


def test_a_long_number_is_none() -> None:
    assert parse_chunk_name(ArrayNode("a", (9,), "<f4", (1,)), "1" * 5000) is None
