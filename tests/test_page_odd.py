"""What a careless or a hostile user does to the page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from page_data import CELLS, GROUPS

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, decoded, needs_browser

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, make_anndata

pytestmark = needs_browser


def test_links_that_harm(page: Page, served: Any) -> None:
    server = served("uint8")
    long = "d=2&hide=" + ",".join(["0-65535"] * 12_500)  # of 100 kB
    assert page.open(server, long)["drawn"] == 0
    state = page.open(server, "d=constructor&color=obs:gone&hide=0-2&log=1")
    assert (state["dimension"], state["drawn"]) == (3, CELLS), "what is hidden is of another field"
    page.open(server, "d=2&labels=0&color=obs:score&log=1&range=-100,-90")
    assert page.colours()[(0xFD, 0xE7, 0x25)] > 300, "all are above such a range"


def test_a_picture_of_large_cells_zoomed_far(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "pictures")
    page.open(served("uint8"), "d=2&color=&size=15&at=0,0,2000")
    page.choose("#picture-scale", "4×")
    page.click("#picture")
    assert decoded(arrived("uint8.png")).shape[1] > 2000


def test_high_contrast_keeps_the_colours(page: Page, served: Any) -> None:
    page.cdp(
        "Emulation.setEmulatedMedia",
        features=[
            {"name": "forced-colors", "value": "active"},
            {"name": "prefers-color-scheme", "value": "dark"},
        ],
    )
    try:
        page.open(served("uint8"), "d=2&labels=0")
        colours = page.colours()
        assert all(colours[page.swatch(name)] > 300 for name in GROUPS)
        assert sum(page.picture()[0, 0].tolist()) < 100, "the ground is dark"
    finally:
        page.cdp("Emulation.setEmulatedMedia", features=[])


def test_retry_after_another_export(page: Page, serve: Any, exports: Path) -> None:
    folder = exports / "uint8"
    page.open(serve(folder), "d=2")
    shutil.rmtree(folder)
    export(make_anndata(AtlasSpec(cells=300, genes=5)), folder, quiet=True)
    assert page.show(3)["error"]["path"].startswith("points_3d")
    state = page.click("#retry")
    assert (state["error"], state["drawn"]) == (None, 300)
