"""Fixtures of the hosted page: a site, and servers of its page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oracle import make_atlas
from serving import internal, serving
from upstream import Site, site

from cellucid_dask import CellucidServer, export


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export; nothing changes it."""
    folder = tmp_path_factory.mktemp("hosted") / "export"
    export(make_atlas(60, 6), folder, quiet=True, workers=1, dataset_id="atlas")
    return folder


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time that a test can wait for."""
    monkeypatch.setattr(internal("hosted.upstream"), "CONNECT", 0.5)
    monkeypatch.setattr(internal("hosted.deadline"), "SILENT", 0.5)
    monkeypatch.setattr(internal("hosted.page"), "INDEX_SECONDS", 1.5)
    monkeypatch.setattr(internal("hosted.page"), "FILE_SECONDS", 1.5)


@pytest.fixture
def hosted(exported: Path, web: Site, tmp_path: Path) -> Iterator[Callable[..., CellucidServer]]:
    """Start a server of the export with the page of the site; all share one cache folder."""
    with contextlib.ExitStack() as stack:

        def start(data: Path = exported, url: str = "", **options: Any) -> CellucidServer:
            given = {"viewer_cache": tmp_path / "web", **options}
            return stack.enter_context(
                serving(data, viewer="hosted", viewer_url=url or web.url, **given)
            )

        yield start
