"""Processes that start runs, and a small export that tests interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from atlas import atlas, save
from scenes import PIECES, Launcher, Scene

# As modules, for setattr.
stage_genes = import_module("cellucid_dask.exporter.stages.genes.driver")
cuts = import_module("cellucid_dask.exporter.planning.cuts")
strips = import_module("cellucid_dask.exporter.planning.strips")


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(tmp_path_factory.mktemp("logs"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def _small(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    data = save(atlas(genes=24), tmp_path_factory.mktemp("data") / "small.h5ad")
    first = PIECES.format(nnz=60, block=256)
    return Scene(tmp_path_factory.mktemp("small"), data, launcher, first)


@pytest.fixture
def small(_small: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A few cells, in about twenty pieces also in this process."""
    for name in ("CHUNK_NNZ", "CUT_NNZ", "CUT_LEAST_NNZ"):
        monkeypatch.setattr(cuts, name, 60)
    monkeypatch.setattr(strips, "STRIP_VALUES", 256 // 6)
    monkeypatch.setattr(strips, "ROW_VALUES", 1)
    monkeypatch.setattr(stage_genes, "MiB", 256)
    _small.reset()
    return _small
