"""Exports to verify: of the reference, of this package, and copies to be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atlas import atlas as make_atlas
from atlas import save
from verifying import OPTIONS, MutableExport, make_adata, reference

from cellucid_dask import export
from cellucid_dask.verify import verify


@pytest.fixture(scope="session")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "atlas.h5ad"
    make_adata().write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int | None, int | None], Path]:
    native, adata = tmp_path_factory.mktemp("exports"), make_adata()
    return {
        (bits, level): reference(adata, native / f"{bits}-{level}", bits, level)
        for bits in (8, 16, None)
        for level in (6, None)
    }


@pytest.fixture
def plain(exports: dict[Any, Path], tmp_path: Path) -> Path:
    """A copy of the 8-bit export without compression, to be damaged."""
    return Path(shutil.copytree(exports[8, None], tmp_path / "plain"))


@pytest.fixture
def packed(exports: dict[Any, Path], tmp_path: Path) -> Path:
    """A copy of the 8-bit export with compression."""
    return Path(shutil.copytree(exports[8, 6], tmp_path / "packed"))


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Atlas ``a.h5ad`` with exports of it, ``plain`` and ``gzip``."""
    folder = tmp_path_factory.mktemp("verify")
    data = save(make_atlas(genes=6), folder / "a.h5ad")
    export(data, folder / "plain", compression=0, **OPTIONS)
    export(data, folder / "gzip", **OPTIONS)
    return folder


@pytest.fixture(scope="session")
def mutable_exports(
    native: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, MutableExport]:
    copies = tmp_path_factory.mktemp("mutable")
    return {
        kind: MutableExport(Path(shutil.copytree(native / kind, copies / kind)))
        for kind in ("plain", "gzip")
    }


@pytest.fixture
def mutable_export(mutable_exports: dict[str, MutableExport], kind: str) -> Iterator[MutableExport]:
    yield mutable_exports[kind]
    assert verify(mutable_exports[kind].folder, workers=1).ok, "it was not restored"
