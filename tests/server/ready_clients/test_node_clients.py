"""zarrita and h5wasm, which web pages read AnnData with, read every store in node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from node_client import zarrita_misses
from served_cases import CASES, Lineup
from stored_tree import Tree


@pytest.mark.parametrize("case", CASES, ids=str)
def test_node_reads_everything(
    case: Any, served: Lineup, node_client: Callable[[str], Tree]
) -> None:
    store = served(case)
    store.assert_found(node_client(store.url), without=zarrita_misses(store.url))
