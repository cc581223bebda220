"""Ranks and quantiles of distances are those of numpy, category by category."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cellucid_dask.exporter.stages.obs.outliers import outlier_quantiles, quantile_distances
from cellucid_dask.format import U8, U16, Code

NANS = (np.nan, -np.nan, np.array(0x7FC00001, np.uint32).view(np.float32))  # of three bit patterns
DISTANCES = st.one_of(
    st.integers(0, 5).map(float), st.floats(0, 2.0**100, width=32), st.sampled_from([np.inf, *NANS])
)
CODES = st.sampled_from([U8, U16])
CELLS = st.lists(st.tuples(st.integers(-1, 4), DISTANCES), min_size=1, max_size=60)
N_CATEGORIES = 5


def stored(cells: list[tuple[int, float]], code: Code) -> tuple[NDArray[Any], NDArray[Any]]:
    """Codes as they lie in scratch, and distances; those of cells without category are NaN."""
    kinds = np.asarray([kind for kind, _ in cells], np.int64)
    distance = np.asarray([x for _, x in cells], np.float32)
    distance[kinds < 0] = np.nan
    return np.where(kinds < 0, code.missing, kinds).astype(code.dtype), distance


def count(codes: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(codes, minlength=N_CATEGORIES)[:N_CATEGORIES]


@given(CELLS, CODES, st.integers(1, 6))
def test_ranks(cells: list[tuple[int, float]], code: Code, min_points: int) -> None:
    codes, distance = stored(cells, code)
    made = outlier_quantiles(codes, distance, count(codes), min_points)
    for i, own in enumerate(distance):
        group = distance[codes == codes[i]]
        if codes[i] == code.missing or group.size < min_points:
            assert np.isnan(made[i])
            continue
        nearer = group.size if np.isnan(own) else np.count_nonzero(group <= own)
        assert made[i] == np.float32(nearer) / np.float32(group.size)


@given(CELLS, CODES, st.sampled_from([0.51, 0.7, 0.95, 0.999]))
def test_quantiles(cells: list[tuple[int, float]], code: Code, quantile: float) -> None:
    codes, distance = stored(cells, code)
    made = quantile_distances(codes, distance, count(codes), quantile)
    for kind in range(N_CATEGORIES):
        group = distance[codes == kind].astype(np.float64)
        if group.size and np.isfinite(group).all():
            expected = np.quantile(group, quantile)
            np.testing.assert_allclose(made[kind], expected, rtol=1e-12, atol=1e-300)
