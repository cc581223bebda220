"""The page in small windows and with fingers: the plot first, the panels below or beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, names

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from axe import assert_accessible
from paging import Page, moved_by, near, needs_browser, pixels_at, swatches
from selenium.webdriver.common.keys import Keys

from cellucid_dask import CellucidServer

pytestmark = needs_browser

WIDTH, HEIGHT = PHONE = (390, 844)
LANDSCAPE, TABLET, SMALL_WINDOW = (844, 390), (820, 1180), (999, 700)
LASSO = "lasso=2,0,0,-1,-1,1,-1,1,1"
# By a frame, the page has each move: a browser that is busy tells it only the last one.
NEXT_FRAME = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
FILTERS = "filter=in:0-1:obs:quarter&filter=-range:0,:obs:score"


@pytest.fixture
def touch(page: Page) -> Iterator[Touch]:
    """Fingers instead of a mouse."""
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    yield Touch(page)
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)


class Touch:
    """Fingers on the screen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, size: tuple[int, int], server: CellucidServer, link: str) -> dict[str, Any]:
        """Open the page on a phone or a tablet."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": True}
        self.page.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        return self.page.open(server, link)

    def move(self, *steps: Sequence[Sequence[float]]) -> dict[str, Any]:
        """Put fingers on the plot, move them, and lift them; a step has a pixel of each finger."""
        box = self.page.find("#cells").rect
        self.page.js(
            "window.isLifted = false;"
            "addEventListener('pointerup', () => { isLifted = true; }, { once: true })"
        )
        kinds = ["touchStart", *["touchMove"] * (len(steps) - 1), "touchEnd"]
        for kind, step in zip(kinds, [*steps, []], strict=True):
            fingers = [
                {"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(step)
            ]
            self.page.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
            self.page.driver.execute_async_script(NEXT_FRAME)
        self.page.wait_until("isLifted")
        return self.page.state()


def test_plot_is_first_and_panels_come_in_a_sheet(page: Page, served: Any) -> None:
    page.resize(*PHONE)
    page.open(served("uint8"), "d=2&labels=0")
    stage = page.find("#stage").rect
    assert stage["height"] > 0.75 * HEIGHT
    assert stage["width"] == WIDTH
    assert page.find("header").rect["height"] < 60, "one line"
    assert not page.is_shown("#controls")
    assert not page.is_shown("#cells-panel")
    colors = swatches(page)

    def assert_all_in_view() -> None:
        stage, places = page.find("#stage").rect, page.cell_pixels()
        assert (places > 0).all()
        assert (places < (stage["width"], stage["height"])).all()
        found = pixels_at(page.picture(), places)
        assert (found == colors).all(axis=1).mean() > 0.8

    assert_all_in_view()
    page.click("#sheet-color")
    assert page.find("#controls").rect["width"] == WIDTH
    assert page.find("#stage").rect["height"] > 0.4 * HEIGHT
    assert_all_in_view()
    page.entry("b").click()
    assert page.state()["drawn"] == (names() != "b").sum()
    page.click("#sheet-cells")
    assert not page.is_shown("#controls")
    assert page.texts("#cells-panel .chip-text")[0].endswith("not b")
    page.click(".filter-chip button[title^='Remove']")
    assert page.state()["drawn"] == CELLS
    page.find("#add-filter").send_keys(Keys.ESCAPE, Keys.ESCAPE)
    page.wait_until("!document.getElementById('cells-panel').checkVisibility()")
    assert page.find("#stage").rect == stage
    assert_all_in_view()


def test_fingers_move_the_plot_ask_for_cells_and_select(
    page: Page, touch: Touch, served: Any
) -> None:
    touch.open(PHONE, served("uint8"), "d=2&labels=0")
    assert "pinch" in page.find("#status").text
    start = page.cell_pixels()
    touch.move([(100, 300)], [(110, 290)], [(130, 280)])
    assert near(page.cell_pixels(), moved_by(start, 30, -20), pixels=1)
    assert not page.is_shown("#tooltip"), "a drag is no tap"
    start = page.cell_pixels()
    touch.move(*[[(200 - half, 300), (200 + half, 300)] for half in (50, 75, 100)])
    assert near(page.cell_pixels(), 2 * (start - (200, 300)) + (200, 300), pixels=1)

    page.click("#reset")
    at = page.cell_pixels()[7]
    touch.move([at])
    assert page.find("#tooltip").text.startswith("cell ")
    touch.move([at], [at + np.array((40, 0))], [at])
    assert not page.is_shown("#tooltip"), "nor is one that ends where it began"
    touch.move([at])
    touch.move([(4, 4)])
    assert not page.is_shown("#tooltip"), "a tap beside the cells hides it"
    touch.move([at])
    assert page.is_shown("#tooltip")
    page.click("#lasso")
    assert not page.is_shown("#tooltip"), "as any touch of something else"
    assert page.find("#status").text.endswith("draw around cells to select them")

    touch.move([at])
    assert not page.is_shown("#tooltip"), "a tap with the lasso is an outline of nothing"

    corners = [(10, 200), (380, 200), (380, 450), (10, 450)]
    touch.move(*[[corner] for corner in corners])
    x, y = page.cell_pixels().T
    n = ((x > 10) & (x < 380) & (y > 200) & (y < 450)).sum()
    assert page.find("#status").text.endswith(f"{n:,} cells selected")
    page.click("#lasso-modes [value='remove']")
    touch.move(*[[(corner[0], corner[1] + 100)] for corner in corners])
    n = ((x > 10) & (x < 380) & (y > 200) & (y < 300)).sum()
    assert page.find("#status").text.endswith(f"{n:,} cells selected")
    page.click("#sheet-cells")
    assert page.find("#selection-size").text == f"{n:,} cells selected"
    page.click("#sheet-color")
    page.click("li:has([title='b']) .only")
    assert page.state()["drawn"] == (names() == "b").sum()


# Whether a panel is open at first, and the least part of the window that the plot has beside one.
WINDOWS = {
    PHONE: (False, 0.4),
    LANDSCAPE: (False, 0.5),
    TABLET: (True, 0.6),
    SMALL_WINDOW: (True, 0.6),
}
FOUND = """
  const shown = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility());
  const box = (each) => each.getBoundingClientRect();
  const textOf = (each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return range;
  };
  const names = (elements) => elements.map((each) => each.id || each.className || each.innerText);
  const { width, height } = box(document.getElementById("stage"));
  const panel = shown.find((each) => each.matches("#controls, #cells-panel"));
  const scrolls = (each) => /auto|scroll/.test(getComputedStyle(each).overflowY)
    && each.scrollHeight > each.clientHeight + 1;
  const controls = "button, select, input:is([type=text], [type=search], [type=number])";
  const tools = shown.filter((each) => each.matches("#tools button, #stray-cells"));
  const overlaps = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const status = document.getElementById("status");
  return {
    panel: panel?.id ?? null,
    plot: (width * height) / innerWidth / innerHeight,
    header: box(document.querySelector("header")).height,
    outside: names(shown.filter((each) => box(each).right > innerWidth + 1)),
    scrollers: panel ? names([panel, ...panel.querySelectorAll("*")].filter(scrolls)) : [],
    low: names(shown.filter((each) => each.matches(controls) && box(each).height < 40)),
    overlapping: names(tools.filter((each) =>
      tools.some((other) => other !== each && overlaps(box(each), box(other))))),
    status: status.scrollWidth - status.clientWidth,
    cut: names(shown.filter((each) => each.matches("h2, #sheet-buttons button")
      && (each.scrollWidth > each.clientWidth + 1 || box(textOf(each)).height > 30))),
  };
"""


def test_small_windows_cut_nothing_and_have_no_barriers(
    page: Page, touch: Touch, served: Any, packages: Path
) -> None:
    for size, (is_open, least) in WINDOWS.items():
        theme = "dark" if size == PHONE else "light"
        touch.open(size, served("uint8"), f"d=2&theme={theme}&{LASSO}&{FILTERS}")
        first = page.js(FOUND)
        assert first["panel"] == ("controls" if is_open else None)
        for panel, button in (("cells-panel", "#sheet-cells"), ("controls", "#sheet-color")):
            page.click(button)
            found = page.js(FOUND)
            assert found["panel"] == panel, size
            assert found["plot"] > least, size
            assert found["header"] < 60, size
            assert found["status"] <= 0, size
            assert set(found["scrollers"]) <= {panel}, size
            assert (found["outside"], found["low"], found["overlapping"]) == ([], [], []), size
            assert found["cut"] == [], size
            assert page.js("return document.documentElement.scrollWidth") == size[0]
            if size == PHONE:
                assert_accessible(page, packages, f"{panel} at {size}")
        page.click("#sheet-color")
        assert page.js(FOUND)["panel"] is None
