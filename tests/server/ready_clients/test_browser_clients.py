"""zarrita and h5wasm in Chromium read stores, from a page of another origin and of the same one."""

from __future__ import annotations

from typing import Any

import pytest
from node_client import zarrita_misses
from served_cases import LYING, Case, Lineup

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from browser_client import BrowserClient
from paging import needs_browser

pytestmark = needs_browser
PAIRS = [
    *((case, False) for case in (*LYING[:6], Case("many", "ready h5ad"))),
    *((Case("columns", kind), False) for kind in ("h5ad", "v3")),
    (Case("many", "memory"), False),
    (Case("columns", "ready h5ad"), True),
    (Case("columns", "ready zip"), True),
    (Case("columns", "h5ad"), True),
]


@pytest.mark.parametrize(
    ("case", "same_origin"),
    PAIRS,
    ids=[f"{case}, {'same' if same else 'other'} origin" for case, same in PAIRS],
)
def test_a_page_reads_everything(
    case: Any, same_origin: bool, served: Lineup, browser_client: BrowserClient
) -> None:
    store = served(case)
    found = browser_client.read(store.url, same_origin=same_origin)
    store.assert_found(found, without=zarrita_misses(store.url))
    assert (206 in browser_client.statuses) == (store.file["layout"] != "folder")
