"""Servers of one small export: plain, with a token, with short timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle import CREATED, make_atlas
from serving import TOKEN, internal, serving

from cellucid_dask import CellucidServer, export


@pytest.fixture(scope="session")
def atlas_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export with all parts; no test changes it."""
    folder = tmp_path_factory.mktemp("safety") / "export"
    names = {"dataset_id": "atlas", "dataset_name": "An atlas", "created_at": CREATED}
    export(make_atlas(60, 6), folder, quiet=True, workers=1, **names)
    (folder / "stray.txt").write_text("a byte from outside")
    return folder


@pytest.fixture(scope="module")
def server(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server on a loopback address without a token."""
    with serving(atlas_export) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_server(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server that waits only one second for the rest of a request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(internal("http.listener"), "IDLE_MS", 1000)
        with serving(atlas_export) as running:
            yield running


@pytest.fixture(scope="module")
def token_server(atlas_export: Path) -> Iterator[CellucidServer]:
    """A server with a token."""
    with serving(atlas_export, token=TOKEN) as running:
        yield running
