"""Fixtures of the tests of ready files."""

from __future__ import annotations

import pytest

from cellucid_dask.exporter.planning import cuts, strips
from cellucid_dask.exporter.stages.genes import driver
from cellucid_dask.native.library import SWITCH, load
from cellucid_dask.ready import layout


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny chunks, and many strips, so that a small matrix has all that a large one has."""
    monkeypatch.setattr(layout, "SLICED", 64)
    for name in ("CUT_NNZ", "CUT_LEAST_NNZ", "CHUNK_NNZ", "LEAST_NNZ"):
        monkeypatch.setattr(cuts, name, 700)
    monkeypatch.setattr(driver, "MiB", 1500)
    monkeypatch.setattr(strips, "STRIP_VALUES", 400)
    monkeypatch.setattr(strips, "ROW_VALUES", 1)
    monkeypatch.setattr(strips, "MIN_VALUES", 1)


@pytest.fixture(params=["native", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the native library, and without."""
    if request.param == "numpy":
        monkeypatch.setenv(SWITCH, "0")
    elif load() is None:
        pytest.skip("there is no native library here")
    return str(request.param)
