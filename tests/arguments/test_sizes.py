"""Sizes as a user writes them."""

from __future__ import annotations

from dask.utils import parse_bytes
from hypothesis import given
from hypothesis import strategies as st

from cellucid_dask.options.sizes import parse_size

NUMBERS = st.one_of(st.integers(0, 10**6).map(str), st.floats(0, 1e6).map(str), st.just(""))
UNITS = st.sampled_from(["", *(k + i + b for k in "kMGTPx" for i in ("", "i") for b in ("", "B"))])


@given(NUMBERS, st.sampled_from(["", " "]), UNITS)
def test_sizes_are_read_as_dask_reads_them(number: str, space: str, unit: str) -> None:
    text = f"{number}{space}{unit}"
    try:
        size = parse_bytes(text)
    except ValueError:
        size = 0
    assert parse_size(text) == (size if size > 0 else None)


@given(st.text(max_size=6))
def test_any_text_is_a_size_or_none(text: str) -> None:
    size = parse_size(text)
    assert size is None or size > 0


def test_numbers_are_bytes() -> None:
    assert parse_size(4e9) == parse_size(4 * 10**9) == 4 * 10**9
    assert parse_size(-1) is parse_size(float("inf")) is parse_size(float("nan")) is None
