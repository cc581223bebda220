"""Ready files and their servers; no test changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from served_ready import KINDS, READY, write_ready
from serving import serving

from cellucid_dask import CellucidServer


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
