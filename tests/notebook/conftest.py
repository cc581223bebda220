"""An export to show, views that are stopped, and no other Jupyter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks import CELLS, GENES

from cellucid_dask import export, show
from cellucid_dask.notebook.show import View
from cellucid_dask.synthetic import AtlasSpec, make_anndata

JUPYTER_VARIABLES = (
    "JUPYTERHUB_SERVICE_PREFIX",
    "JPY_PARENT_PID",
    "SSH_CONNECTION",
    "SLURM_JOB_ID",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an export lies, `atlas`."""
    root = tmp_path_factory.mktemp("notebook")
    export(make_anndata(AtlasSpec(cells=CELLS, genes=GENES)), root / "atlas", quiet=True)
    return root


@pytest.fixture(scope="module", autouse=True)
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No Jupyter but that of these tests; the folder where one would note itself."""
    folder = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        for name in JUPYTER_VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield folder


@pytest.fixture
def shown() -> Iterator[Callable[..., View]]:
    """Show in this process, which is no kernel, until the test is over."""
    views: list[View] = []

    def call(data: Any, *args: Any, function: Any = show, **options: Any) -> View:
        views.append(function(data, *args, **{"open_browser": False, "quiet": True, **options}))
        return views[-1]

    yield call
    for view in views:
        view.stop()
