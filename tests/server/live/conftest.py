"""Fixtures of the tests of live data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import zarr
from live_serving import WATCHING, atlas_of, written
from serving import serving

from cellucid_dask.source.storage.direct.stored import OpenFile


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each chunk of a zarr folder is read, wherever the reading is done."""
    counted: Counter[str] = Counter()
    get = zarr.storage.LocalStore.get

    async def counting(self: Any, key: str, *args: Any, **options: Any) -> Any:
        if not key.endswith(("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")):
            counted[key] += 1
        return await get(self, key, *args, **options)

    read = OpenFile.read

    def counting_directly(self: OpenFile, path: str, *args: Any) -> None:
        counted[path.rpartition(".zarr/")[2]] += 1
        read(self, path, *args)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counting)
    monkeypatch.setattr(OpenFile, "read", counting_directly)
    return counted


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server look at its file ten times as often, so that tests need not wait."""
    monkeypatch.setattr(WATCHING, "CHECK_INTERVAL", WATCHING.CHECK_INTERVAL / 10)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A live server of a CSC file, with the answers that it must give."""
    folder = tmp_path_factory.mktemp("live")
    path = written(folder / "atlas.h5ad", atlas_of("csc"))
    with serving(path, cache_dir=folder / "cache", dataset_name="Atlas") as server:
        yield server
