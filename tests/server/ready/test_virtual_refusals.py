"""What is no ready file, and what does not fit into memory, is no virtual store either."""

from __future__ import annotations

import numpy as np
import pytest
from ready_inputs import INPUTS, base
from virtual_inputs import OPTIONS, everything

from cellucid_dask import CellucidDaskError
from cellucid_dask.errors import Problem
from cellucid_dask.exporter import on_demand_ready
from cellucid_dask.exporter.on_demand_ready import check_ready_on_demand
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source


def test_all_problems_are_told_at_once() -> None:
    adata = base()
    adata.obsm["X_umap"][3] = np.nan
    adata.obs["a:b"] = 1.0
    known = Problem("is known", "--token")
    with pytest.raises(CellucidDaskError) as caught:
        check_ready_on_demand(open_source(adata), ExportOptions(genes=("none",)), 1 << 30, [known])
    places = {problem.where for problem in caught.value.problems}
    assert places == {"--token", "obsm/X_umap", "obs columns", "--gene"}


def test_what_fits_neither_the_limit_nor_the_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(on_demand_ready, "available_memory", lambda: 2_000)
    options, _ = ExportOptions.from_keywords({"format": "zarr", **OPTIONS})
    with pytest.raises(CellucidDaskError) as caught:
        check_ready_on_demand(open_source(everything()), options, 1_000)
    told = [problem.what.partition(" need")[0] for problem in caught.value.problems]
    assert told == [
        "a column of obs of 119 cells",
        "an array of obsm of 119 cells",
        "the graph of 119 cells",
        "outlier quantiles of 119 cells",
    ]
    assert all("--cache-size" in problem.fix for problem in caught.value.problems)
    assert check_ready_on_demand(open_source(everything()), options, 1 << 30).n_cells == 119


def test_half_of_the_free_memory_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand_ready, "available_memory", lambda: 1 << 30)
    source = open_source(INPUTS["spaces"].make())
    assert check_ready_on_demand(source, ExportOptions(), 1_000).problems == []
