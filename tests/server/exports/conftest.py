"""Exports of all kinds, alone and in a folder, and a server of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from exported import BIG, KINDS, NAMES, ORACLES, edit_manifest, export_atlas
from oracle import make_atlas, oracle_arguments, oracle_prepare
from serving import internal, serving

from cellucid_dask import CellucidServer


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of all kinds, by this package and by the reference; no test changes them."""
    root = tmp_path_factory.mktemp("exports")
    made = {kind: export_atlas(root / kind, **options) for kind, options in KINDS.items()}
    for kind, options in ORACLES.items():
        oracle_prepare(root / kind, **oracle_arguments(make_atlas()), **options)
        made[kind] = root / kind
    return made


@pytest.fixture(scope="session")
def other_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of other cells with the same file names as ``eight``."""
    return export_atlas(tmp_path_factory.mktemp("other") / "export", seed=1)


@pytest.fixture
def export_copy(exports: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return Path(shutil.copytree(exports["eight"], tmp_path / "mine"))


@pytest.fixture(scope="module")
def server(exports: dict[str, Path]) -> Iterator[CellucidServer]:
    """A server that all tests of a module share."""
    with serving(exports["eight"]) as running:
        yield running


@pytest.fixture
def long_export(export_copy: Path) -> Path:
    """An export with a file that is too long to send in one piece."""
    assert BIG > 2 * internal("http.content").IN_MEMORY
    (export_copy / "points_3d.bin.gz").write_bytes(os.urandom(BIG))
    return export_copy


@pytest.fixture
def frequent_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server lists the folder again after a short time."""
    monkeypatch.setattr(internal("datasets.collection"), "LIST_INTERVAL", 0.2)


@pytest.fixture
def folder(exports: dict[str, Path], tmp_path: Path) -> Path:
    """Exports in folders with names of all kinds, each with its own id."""
    root = tmp_path / "root"
    for number, name in enumerate(NAMES):
        shutil.copytree(exports["eight"], root / name)
        edit_manifest(
            root / name / "dataset_identity.json", id=f"id{number}", name=f"Atlas of {name}"
        )
    return root
