"""What `fuzz.py` does to the functions that check, sort and cut rows, compared with numpy."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from fuzz_case import HOSTILE, Case, Target

MOST_STRIP_GENES = 65535
INDEX, LENGTH, CAPACITY = -1, -4, -3


def _draw_rows(case: Case, dtype: type, *, rising: bool) -> tuple[int, Any, Any]:
    """Columns, pointers from any start, and indices."""
    n_columns = max(1, case.size(case.choose(5, 300, 200_000)))
    rows = []
    for _ in range(max(0, case.size(case.choose(3, 60)))):
        row = case.random.integers(0, n_columns, max(0, case.size(case.choose(3, 60, 2000))))
        rows.append(np.unique(row) if rising else row)
        if case.chance(0.1):
            rows[-1].sort()
    lengths = [row.size for row in rows]
    pointers = np.cumsum([case.choose(0, 7, 2**40), *lengths]).astype(np.int64)
    return n_columns, pointers, np.concatenate([np.zeros(0), *rows]).astype(dtype)


def _split(pointers: Any, array: Any) -> list[Any]:
    bounds = (pointers - pointers[0]).tolist()
    return [array[a:b] for a, b in pairwise(bounds)]


def check_rows(case: Case, name: str, dtype: type) -> None:
    """Rows that rise or not, and pointers and indices of any numbers."""
    n_columns, pointers, indices = _draw_rows(case, dtype, rising=case.chance(0.6))
    for array in (pointers, indices):
        if case.chance(0.3):
            case.spoil(array)
    n_columns = case.choose(*[n_columns] * 9, *HOSTILE)
    n_rows = pointers.size - 1 if case.chance(0.95) else -1
    found = case.call(
        name, n_rows, n_columns, indices.size, case.place(pointers), case.place(indices)
    )
    steps = [b - a for a, b in pairwise(pointers.tolist())]
    if n_rows < 0 or min(steps, default=0) < 0 or sum(steps) != indices.size:
        assert found == LENGTH
    elif indices.size and not 0 <= indices.min() <= indices.max() < n_columns:
        assert found == INDEX
    else:
        assert found == all(np.all(np.diff(row) > 0) for row in _split(pointers, indices))


def sort_rows(case: Case, name: str, dtype: type) -> None:
    """Rows of any order, with values of any size and too little scratch."""
    _, pointers, indices = _draw_rows(case, dtype, rising=False)
    size = case.choose(1, 2, 3, 4, 8, 16)
    values = case.random.integers(0, 256, (indices.size, size)).astype(np.uint8)
    needed = int(np.diff(pointers).max(initial=0)) * (32 + size)
    scratch = case.room(case.choose(needed, needed, max(0, needed - 1), 0))
    said = case.choose(*[size] * 8, 0, -32, 17, 2**62)
    placed, moved = case.place(indices), case.place(values)
    found = case.call(
        name, pointers.size - 1, case.place(pointers), placed, moved, said, scratch, scratch.size
    )
    if said != size:
        assert found == LENGTH
        return
    if found == CAPACITY:
        assert scratch.size < needed
        return
    rows = _split(pointers, indices)
    orders = [np.argsort(row, kind="stable") for row in rows]
    expected = [row[order] for row, order in zip(rows, orders, strict=True)]
    for order, row, now, before, after in zip(
        orders,
        expected,
        _split(pointers, placed),
        _split(pointers, values),
        _split(pointers, moved),
        strict=True,
    ):
        np.testing.assert_array_equal(now, row)
        np.testing.assert_array_equal(after, before[order])
    assert found == sum(int(np.sum(np.diff(row) == 0)) for row in expected)


def are_small_counts(case: Case) -> None:
    """Counts, and counts among which there is something else."""
    values = case.random.integers(0, 256, max(0, case.size(10_000))).astype(np.float32)
    if case.chance(0.5):
        bits = case.random.integers(0, 2**32, values.size, np.uint32).view(np.float32)
        others = case.random.random(values.size) < case.choose(0, 0.0001, 0.01, 1)
        values[others] = case.choose(bits, np.float32([-0.0] * values.size))[others]
    with np.errstate(invalid="ignore"):
        fits = np.array_equal(values.astype(np.uint8).astype(np.float32), values)
    assert case.call("are_small_counts", values.size, case.place(values)) == fits


def _draw_cuts(case: Case, suffix: str, dtype: type) -> tuple[Any, ...]:
    """Rows that rise, bounds of strips, what find_cuts fills, and what it returns."""
    n_columns, pointers, indices = _draw_rows(case, dtype, rising=True)
    bounds = np.sort(case.random.integers(0, n_columns + 1, case.choose(0, 1, 5, 30)))
    bounds = np.concatenate([[0], bounds, [n_columns]]).astype(np.int64)
    hostile = case.chance(0.2)
    if hostile:
        case.spoil(bounds)
    n_rows, n_strips = pointers.size - 1, bounds.size - 1
    cuts = case.place(np.zeros((n_rows, n_strips + 1), np.uint32))
    sizes = case.place(np.zeros(n_strips, np.int64))
    facts = (case.place(bounds), case.place(pointers), case.place(indices), cuts, sizes)
    found = case.call(f"find_cuts_{suffix}", n_rows, n_strips, *facts)
    steps = [b - a for a, b in pairwise(bounds.tolist())]
    fits = bounds[0] == 0 and 0 <= min(steps) <= max(steps) <= MOST_STRIP_GENES
    assert found == (0 if fits else LENGTH)
    return hostile, found, bounds, pointers, indices, cuts, sizes


def find_cuts(case: Case, suffix: str, dtype: type) -> None:
    """Strips of any bounds."""
    hostile, found, bounds, pointers, indices, cuts, sizes = _draw_cuts(case, suffix, dtype)
    if found == 0 and not hostile:
        rows = _split(pointers, indices)
        starts = pointers[:-1, None] - pointers[0]
        expected = [np.searchsorted(row, bounds) for row in rows]
        np.testing.assert_array_equal(cuts, starts + np.reshape(expected, cuts.shape))
        np.testing.assert_array_equal(sizes, np.diff(cuts.astype(np.int64)).sum(axis=0))
    if case.chance(0.05):
        facts = (case.place(bounds), case.place(pointers), case.place(indices), cuts, sizes)
        assert case.call(f"find_cuts_{suffix}", 0, -1, *facts) == LENGTH


def cut_rows(case: Case, suffix: str, dtype: type) -> None:
    """Outputs of any size; indices that change after they were cut spoil no other memory."""
    hostile, found, bounds, pointers, indices, cuts, sizes = _draw_cuts(case, suffix, dtype)
    if found:
        return
    width = case.choose(1, 4, 8)
    dtype_of = {1: np.uint8, 4: np.float32, 8: np.float64}
    values = case.random.integers(0, 256, indices.size).astype(dtype_of[max(4, width)])
    if case.chance(0.2):
        hostile = True
        case.spoil(indices)
    n_rows, n_strips = cuts.shape[0], sizes.size
    needed = int(2 * n_rows * n_strips + (2 + width) * sizes.sum())
    out = case.room(case.choose(needed, needed, needed, max(0, needed - 1), needed + 1))
    facts = (case.place(indices), case.place(values), width, cuts, sizes)
    scratch = case.place(np.zeros((3, n_strips), np.int64))
    done = case.call(
        f"cut_rows_{suffix}", n_rows, n_strips, case.place(bounds), *facts, scratch, out, out.size
    )
    assert done == (needed if out.size == needed else CAPACITY)
    if hostile or done < 0:
        return
    strip_of = np.searchsorted(bounds[1:], indices, side="right")
    row_of = np.repeat(np.arange(n_rows), np.diff(pointers))
    expected = []
    for strip, first in enumerate(bounds[:-1]):
        there = strip_of == strip
        lengths = np.bincount(row_of[there], minlength=n_rows).astype(np.uint16)
        genes = (indices[there] - first).astype(np.uint16)
        kept = values[there].astype(dtype_of[width])
        expected += [lengths.tobytes(), genes.tobytes(), kept.tobytes()]
    assert out.tobytes() == b"".join(expected)


TARGETS: dict[str, Target] = {"are_small_counts": are_small_counts}
for suffix, dtype in (("i32", np.int32), ("i64", np.int64)):
    TARGETS[f"check_rows_{suffix}"] = partial(check_rows, name=f"check_rows_{suffix}", dtype=dtype)
    TARGETS[f"sort_rows_{suffix}"] = partial(sort_rows, name=f"sort_rows_{suffix}", dtype=dtype)
    TARGETS[f"find_cuts_{suffix}"] = partial(find_cuts, suffix=suffix, dtype=dtype)
    TARGETS[f"cut_rows_{suffix}"] = partial(cut_rows, suffix=suffix, dtype=dtype)
