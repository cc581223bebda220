"""The camera and the pointer: move, zoom, rotate, tooltip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_data import CELLS, GROUP, atlas, names

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import (
    BARE,
    Page,
    Places,
    far_from_others,
    moved_by,
    near,
    needs_browser,
    pixels_at,
    swatches,
)
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def test_pan_and_zoom(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    assert page.texts("#dimensions button") == ["1D", "2D", "3D"]
    start, before, colors = page.cell_pixels(), page.picture(), swatches(page)
    middle = [length / 2 for length in before.shape[1::-1]]

    page.drag((300, 200), (340, 230), (380, 250))
    assert near(page.cell_pixels(), moved_by(start, 80, 50))
    image = page.picture()
    moved = page.cell_pixels()
    there = (moved < [2 * at - 1 for at in middle]).all(axis=1)
    assert there.sum() > CELLS / 2
    assert (pixels_at(image, moved[there]) == colors[there]).all()

    page.click("#reset")
    assert np.array_equal(page.picture(), before)
    held = np.round(start[123])
    offset = [int(x - half) for x, half in zip(held, np.floor(middle), strict=True)]
    origin = ScrollOrigin.from_element(page.find("#cells"), *offset)
    page.mouse.scroll_from_origin(origin, 0, -300).perform()
    page.wait_until(f"Math.abs(cellucid.at(0)[0] - {start[0, 0]}) > 5")  # wheels come with a frame
    assert near(page.cell_pixels() - held, np.exp(0.5) * (start - held), pixels=1)
    page.mouse.double_click(page.find("#cells")).perform()
    assert np.array_equal(page.picture(), before)

    page.press_keys("#cells", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert near(page.cell_pixels(), moved_by(start, 60, -30))
    page.press_keys("#cells", "0", "+", "+", "-")
    assert near(page.cell_pixels(), 1.25 * (start - middle) + middle)
    page.press_keys("#cells", "0")
    assert near(page.cell_pixels(), start)

    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    page.state()
    start = page.cell_pixels()  # the controls are larger now
    left, top = page.js(
        "const b = document.getElementById('cells').getBoundingClientRect();return [b.left, b.top]"
    )
    kinds = ("touchStart", "touchMove", "touchMove", "touchEnd")
    for kind, half in zip(kinds, (50, 75, 100, None), strict=True):
        fingers = (
            []
            if half is None
            else [
                {"x": left + 300 + side * half, "y": top + 200, "id": i}
                for i, side in enumerate((-1, 1))
            ]
        )
        page.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
    page.state()
    assert near(page.cell_pixels(), 2 * (start - (300, 200)) + (300, 200), pixels=1)
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)


def test_dimensions_and_rotation(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    colors = swatches(page)
    state = page.show_dimension(1)
    assert (state["dimension"], state["drawn"]) == (1, CELLS)
    assert page.texts("#dimensions [aria-pressed='true']") == ["1D"]
    places = page.cell_pixels()
    x = atlas().obsm["X_umap_1d"].ravel()
    assert np.corrcoef(places[:, 0], x)[0, 1] > 0.99999
    assert np.ptp(places[:, 1]) < 0.35 * np.ptp(places[:, 0])
    free = far_from_others(places)
    assert free.sum() > 10
    assert (pixels_at(page.picture(), places[free]) == colors[free]).all()

    page.show_dimension(3)
    start = page.cell_pixels()

    def seen() -> None:
        places = page.cell_pixels()
        inside = ((places > 0) & (places < (690, 483))).all(axis=1)
        free = far_from_others(places, 14) & inside  # what is near looks larger
        assert free.sum() > 40
        assert (pixels_at(page.picture(), places[free]) == colors[free]).all()

    seen()
    z = atlas().obsm["X_umap_3d"][:, 2]
    assert np.corrcoef(start[:, 1], z)[0, 1] < -0.7, "z is up"
    page.drag((200, 200), (300, 260))
    assert np.hypot(*(page.cell_pixels() - start).T).mean() > 30
    seen()
    turned = page.cell_pixels()
    page.drag((200, 200), (230, 190), key=Keys.SHIFT)
    assert near(page.cell_pixels(), moved_by(turned, 30, -10)), "moves and does not turn"
    # Upright again and a whole turn back to where it was, by the keys: 30 pixels each.
    page.click("#reset")
    assert near(page.cell_pixels(), start)


def test_tooltip_describes_the_cell_under_the_pointer(page: Page, served: Any) -> None:
    page.open(served("uint16"), BARE)
    page.js("document.getElementById('tools').style.pointerEvents = 'none'")
    known, values = names(), atlas().obs["score"].to_numpy()

    def tooltip_at(places: Places, cell: int) -> str:
        page.move_pointer((0, 0))
        page.wait_until("document.getElementById('tooltip').hidden")
        page.move_pointer(places[cell])
        shown = "(({ hidden, innerText }) => !hidden && innerText.includes(' · cell'))"
        page.wait_until(f"{shown}(document.getElementById('tooltip'))")
        return page.find("#tooltip").text

    places = page.cell_pixels()
    for cell in (0, 77, 399):
        assert tooltip_at(places, cell) == f"cell {cell} · cell{cell}\n{GROUP}: {known[cell]}"
    box, stage = page.find("#tooltip").rect, page.find("#stage").rect
    assert box["x"] + box["width"] <= stage["x"] + stage["width"]
    assert box["y"] + box["height"] <= stage["y"] + stage["height"]

    page.entry("b").click()
    hidden = int(np.flatnonzero(known == "b")[5])
    assert tooltip_at(places, hidden).endswith(": b\nfiltered out")
    page.entry("b").click()

    page.color_by("score")
    cell, name = tooltip_at(places, 77).split("\n")
    assert cell == "cell 77 · cell77"
    assert float(name.removeprefix("score: ")) == pytest.approx(values[77], abs=0.02)
    assert tooltip_at(places, CELLS - 1).endswith("\nscore: no value")
    page.show_dimension(3)
    places = page.cell_pixels()
    cell = int(np.flatnonzero(far_from_others(places, 16))[0])
    assert tooltip_at(places, cell).startswith(f"cell {cell} · cell{cell}\nscore: ")
    page.color_by("None")
    assert tooltip_at(places, cell) == f"cell {cell} · cell{cell}"
