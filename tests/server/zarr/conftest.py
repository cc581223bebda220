"""Stores that are served, with files that must not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served_zarr import tidied, zipped
from serving import serving


@pytest.fixture(scope="module", params=["v2", "v3 sharded", "v2 zip", "v3 zip"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    """A server of a store, and the store."""
    folder = tmp_path_factory.mktemp("store")
    path = tidied(folder / "a.zarr", request.param.removesuffix(" zip"))
    path = zipped(path) if request.param.endswith(" zip") else path
    with serving(path, cache_dir=folder / "cache", index=False) as server:
        yield server, path
