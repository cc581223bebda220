"""Fixtures of tests with SLURM: data, their export, and a starter of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas import atlas, save, tree
from forks import forks
from scenes import NAMES, Launcher
from slurm_local import Slurm
from slurm_scripts import SAY, programs

from cellucid_dask import export


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small atlas, in a folder that no worker is told of but as data."""
    return save(atlas(), tmp_path_factory.mktemp("data") / "a.h5ad")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What its export holds."""
    out = tmp_path_factory.mktemp("whole") / "out"
    export(data, out, quiet=True, workers=1, **NAMES)
    return tree(out)


@pytest.fixture(scope="module")
def launcher(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("logs"))
    forks().load("distributed.dashboard.scheduler")  # with bokeh, half a second for each of them
    yield launcher
    launcher.close()


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Programs that say what they are given, in place of ours and of those of SLURM."""
    return programs(tmp_path / "fakes", cellucid_dask=SAY, sbatch=SAY, scontrol=SAY)
