"""Ready files and their servers, which no test changes; and small chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_serving import WATCHING
from served_ready import KINDS, READY, write_ready
from serving import serving

from cellucid_dask import CellucidServer
from cellucid_dask.exporter.checks.ready import graph as graph_check
from cellucid_dask.exporter.stages.ready import cell_arrays, csr_writer, graph, tables
from cellucid_dask.ready import layout


@pytest.fixture(scope="session")
def ready_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ready files of one atlas, by their names."""
    folder = tmp_path_factory.mktemp("ready")
    return {kind: write_ready(folder / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def ready_servers(ready_files: dict[str, Path]) -> Iterator[dict[str, CellucidServer]]:
    """A server of each of them."""
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(serving(path, **READY)) for kind, path in ready_files.items()
        }


@pytest.fixture(scope="module")
def small_chunks() -> Iterator[None]:
    """Chunks of few elements, and units of few chunks."""
    with pytest.MonkeyPatch.context() as changed:
        for module in (layout, csr_writer, graph):
            changed.setattr(module, "WHOLE", 64)
        changed.setattr(layout, "SLICED", 100)
        changed.setattr(cell_arrays, "UNIT_BYTES", 600)
        changed.setattr(tables, "NAME_CHUNKS", 2)
        changed.setattr(graph, "UNIT_CHUNKS", 3)
        changed.setattr(graph, "READ_CHUNKS", 2)
        changed.setattr(graph, "ENTRIES", 200)
        changed.setattr(graph_check, "ENTRIES", 200)
        yield


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server look at its file ten times as often, so that tests need not wait."""
    monkeypatch.setattr(WATCHING, "CHECK_INTERVAL", WATCHING.CHECK_INTERVAL / 10)
