"""What is odd in the data: a warning at the line of a caller from Python; a line of the command."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from cellucid_dask import CellucidServer, DataWarning, check, create_app, export, prepare, show
from cellucid_dask.synthetic import AtlasSpec, make_anndata

MISSING = "obs columns with NaN, shown as missing (1): odd"
COLORS = "colors of obs['kind'] are not used: uns['kind_colors'] has colors for 1 of 2 categories"


@pytest.fixture(scope="module")
def data() -> anndata.AnnData:
    """An AnnData that an export warns of twice, and a server once."""
    data = make_anndata(AtlasSpec(cells=60, genes=5))
    data.obs["odd"] = np.where(np.arange(60) < 9, np.nan, 1.0)
    data.obs["kind"] = pd.Categorical(["a", "b"] * 30)
    data.uns["kind_colors"] = ["#ff0000"]
    return data


def warned(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a call returns, and its warnings, which are all at its line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    assert {(entry.category, entry.filename) for entry in caught} == {(DataWarning, __file__)}
    lines = {entry.lineno for entry in caught}
    assert lines == {call.__code__.co_firstlineno}
    return result, [str(entry.message) for entry in caught]


def test_each_warning_is_raised_once_at_the_line_of_the_caller(
    data: anndata.AnnData, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also when the caller wants no progress."""
    for quiet in (True, False):
        call = partial(export, data, tmp_path / "a", quiet=quiet, force=True)
        result, told = warned(lambda call=call: call())
        assert sorted(told) == sorted(result.warnings)
        assert MISSING in told
        assert COLORS in told
    assert MISSING not in "".join(capfd.readouterr())
    found, told = warned(lambda: check(data))
    assert (tuple(told), found.warnings) == ((COLORS,), (COLORS,))
    arrays = {"latent_space": data.obsm["X_pca"], "X_umap_2d": data.obsm["X_umap_2d"]}
    result, told = warned(lambda: prepare(obs=data.obs, out_dir=tmp_path / "b", **arrays))
    assert told == result.warnings == [MISSING]


def test_servers_warn_when_they_open_the_data(
    data: anndata.AnnData, capsys: pytest.CaptureFixture[str]
) -> None:
    server, told = warned(lambda: CellucidServer(data, port=0))
    assert told == [COLORS]
    with server:
        assert "not used" not in capsys.readouterr().out, "it was said before"
    app, told = warned(lambda: create_app(data))
    app.close()
    assert told == [COLORS]
    looped = data.copy()
    looped.obsp["connectivities"] = looped.obsp["connectivities"] + scipy.sparse.eye(60)
    app, told = warned(lambda: create_app(looped, protocol="ready"))
    app.close()
    assert told == ["obsp/connectivities: 60 weights of cells with themselves are left out"]
    for _ in range(2):  # the data may have changed
        view, told = warned(lambda: show(data, quiet=True, open_browser=False))
        assert told == [COLORS]
    view.stop()


def test_a_warning_may_be_made_an_error(data: anndata.AnnData, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        with pytest.raises(DataWarning, match=r"odd|kind"):
            export(data, tmp_path / "out", quiet=True)
        with pytest.raises(DataWarning, match="kind"):
            CellucidServer(data, port=0)
    assert (tmp_path / "out" / "dataset_identity.json").exists(), "it warns of what it wrote"
