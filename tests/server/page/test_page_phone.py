"""The page on a phone: the plot first, and the panels in a sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_data import CELLS, names

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser, pixels_at, swatches
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

WIDTH, HEIGHT = 390, 844


def test_plot_is_first_and_panels_come_in_a_sheet(page: Page, served: Any) -> None:
    page.resize(WIDTH, HEIGHT)
    page.open(served("uint8"), "d=2&labels=0")
    stage = page.find("#stage").rect
    assert stage["height"] > 0.6 * HEIGHT
    assert stage["width"] == WIDTH
    assert not page.is_shown("#controls")
    assert not page.is_shown("#cells-panel")
    places, colors = page.cell_pixels(), swatches(page)
    assert (places > 0).all()
    assert (places < (stage["width"], stage["height"])).all(), "all cells are in view"
    found = pixels_at(page.picture(), places)
    assert (found == colors).all(axis=1).mean() > 0.9

    page.click("#sheet-color")
    assert page.find("#controls").rect["width"] == WIDTH
    top = page.find("#controls").rect["y"]
    assert top > 0.3 * HEIGHT, "the plot stays in view"
    above = places[:, 1] + stage["y"] < top - 30
    found = pixels_at(page.picture(), places[above])
    assert (found == colors[above]).all(axis=1).mean() > 0.9
    page.entry("b").click()
    assert page.state()["drawn"] == (names() != "b").sum()
    page.click("#sheet-cells")
    assert not page.is_shown("#controls")
    assert page.texts("#cells-panel .chip-text")[0].endswith("not b")
    page.click(".filter-chip button[title^='Remove']")
    assert page.state()["drawn"] == CELLS
    page.find("#add-filter").send_keys(Keys.ESCAPE, Keys.ESCAPE)
    page.wait_until("!document.getElementById('cells-panel').checkVisibility()")
    assert page.js("return document.documentElement.scrollWidth") == WIDTH
    assert np.array_equal(page.cell_pixels(), places), "the sheet does not move the plot"
