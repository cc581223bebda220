"""Servers of AnnData of every kind, and the clients that read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from node_client import node_client  # noqa: F401
from public_reader import public_reader  # noqa: F401
from ready_oracle import ready_oracle  # noqa: F401
from served_cases import Lineup

with suppress(ImportError):  # the tests that drive a browser skip where there is no selenium
    from browser_client import browser_client  # noqa: F401


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lineup]:
    """Serve a case; shared by all clients."""
    lineup = Lineup(tmp_path_factory.mktemp("served"))
    yield lineup
    lineup.stop()
