"""The lasso and the panel of the selection."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_data import CELLS, GROUP, names

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, Places, moved_by, near, needs_browser, pixels_at, swatches
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def within(places: Places, outline: list[tuple[float, float]]) -> Any:
    """Which positions are inside an outline: a ray from them crosses it an odd number of times."""
    x, y = places.T
    crossed = np.zeros(len(places), int)
    for (ax, ay), (bx, by) in zip(outline, outline[1:] + outline[:1], strict=True):
        between = (y >= min(ay, by)) & (y < max(ay, by))
        if ay != by:
            crossed += between & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return crossed % 2 == 1


MASKS = """
const [points, outlines, done] = arguments;
import(new URL("_cellucid/page/plot/projection.js", document.baseURI)).then((projection) => {
  done(outlines.map((outline) => {
    const mask = new Uint8Array(points.length / 2);
    const flat = { yaw: 0, pitch: 0 };
    const numbers = points.map((value) => value ?? NaN);
    projection.maskInside(numbers, 2, flat, outline, mask);
    return [...mask];
  }));
});
"""


def test_outlines_of_any_shape(page: Page, served: Any) -> None:
    """Outlines that cross themselves, with corners at cells, level edges, without an area."""
    page.open(served("uint8"), BARE)
    rng = np.random.default_rng(7)
    grid = rng.integers(0, 12, (300, 2)) / 8
    points = np.r_[grid, rng.uniform(-1, 3, (300, 2)), [[np.nan, 0.5], [0.5, np.nan]]]
    corners = [rng.integers(0, 9, (size, 2)) / 8 for size in (3, 4, 5, 9, 40, 300)]
    outlines = [*corners, corners[3] * [1, 0], corners[3] * [0, 1], rng.uniform(-1, 2, (200, 2))]
    flat = [None if np.isnan(value) else value for value in points.ravel()]
    drawn = [outline.tolist() for outline in outlines]
    masks = page.driver.execute_async_script(MASKS, flat, drawn)
    for outline, mask in zip(drawn, masks, strict=True):
        assert mask == within(points, outline).astype(int).tolist()


def test_lasso_selects_the_cells_inside_the_outline(
    page: Page, served: Any, tmp_path: Path
) -> None:
    arrived = page.downloads(tmp_path / "rows")
    page.open(served("uint8"), BARE)
    places, colors, known = page.cell_pixels(), swatches(page), names()
    quarters = names("quarter")

    def chosen(expected: Any) -> None:
        """The panel, the counts, the file and the picture tell of the same cells."""
        n = int(expected.sum())
        assert page.find("#selection-size").text == f"{n} cell{'s' * (n != 1)} selected"
        for key, each in (("quarter", quarters), (GROUP, known)):
            page.choose("#count-by", key)
            counts = pd.Series(each[expected]).value_counts()
            shown = (
                "[...document.querySelectorAll('.category-count')]"
                ".map(e => e.innerText.split('\\n')[0])"
            )
            wanted = json.dumps("|".join(sorted(counts.index)))
            page.wait_until(f"{shown}.sort().join('|') === {wanted}")
            lines = [text.split("\n") for text in page.texts(".category-count")]
            found = dict(lines)
            everywhere = pd.Series(each).value_counts()
            assert found == {
                name: f"{count} of {everywhere[name]}" for name, count in counts.items()
            }
            assert [int(text.split()[0]) for text in found.values()] == sorted(counts)[::-1]
        (tmp_path / "rows" / "uint8-selected.csv").unlink(missing_ok=True)
        page.click("#download-selection")
        page.save_csv()
        table = pd.read_csv(io.BytesIO(arrived("uint8-selected.csv")))
        assert table["row"].tolist() == np.flatnonzero(expected).tolist()

    outline = [(250, 90), (420, 120), (330, 200), (450, 330), (220, 300)]  # with a dent
    page.click("#lasso")
    assert page.find("#lasso").get_attribute("aria-pressed") == "true"
    page.drag(*outline)
    inside = within(places, outline)
    assert 30 < inside.sum() < 200
    assert near(page.cell_pixels(), places), "the view stays"
    chosen(inside)
    picture = page.picture()
    image, image_size = pixels_at(picture, places), picture.shape[1::-1]
    faded = np.round(0.85 * np.array(page.background()) + 0.15 * colors)
    assert (image[inside] == colors[inside]).all()
    assert np.abs(image[~inside] - faded[~inside]).max() <= 1

    second = [(460, 90), (580, 90), (580, 190), (460, 190)]  # not beneath the panel
    page.drag(*second, key=Keys.SHIFT)
    assert within(places, second).sum() > 5
    both = inside | within(places, second)
    chosen(both)
    page.click("#lasso-modes [value='remove']")
    page.drag(*outline)
    chosen(both & ~inside)
    page.reload()
    chosen(both & ~inside)
    page.click("#lasso")
    page.click("#lasso-modes [value='add']")
    page.drag(*outline)
    chosen(both)
    page.drag(*outline, key=Keys.ALT)
    page.drag(*second, key=Keys.ALT)
    assert not page.is_shown("#selection"), "nothing is left of it"
    page.keep_notices()
    page.drag(*second, key=Keys.ALT)
    assert page.find("#notice").text.startswith("No selected cell inside the outline.")
    page.click("#notice button")
    page.drag(*second)
    page.drag(*outline)
    page.click("#lasso-modes [value='new']")
    page.color_by(GROUP)
    page.entry("b").click()  # what is hidden is not selected
    page.state()
    chosen(both & (known != "b"))
    page.click(".small-button[title='Show all']")
    page.drag(*second)
    chosen(within(places, second))

    page.click("#lasso")
    page.drag((300, 200), (330, 220))
    assert near(page.cell_pixels(), moved_by(places, 30, 20))
    chosen(within(places, second))
    page.show_dimension(3)  # what is selected stays so in other dimensions
    chosen(within(places, second))
    page.click("#lasso")
    flat = [(200, 100), (400, 120), (300, 330)]
    page.drag(*flat)
    turned = within(page.cell_pixels(), flat)
    page.click("#lasso")
    page.drag((200, 200), (260, 230))  # and when it is turned
    chosen(turned)
    page.click("#clear-selection")
    assert not page.is_shown("#selection")
    there = ((page.cell_pixels() > 0) & (page.cell_pixels() < image_size)).all(axis=1)
    found = pixels_at(page.picture(), page.cell_pixels()[there]) == colors[there]
    assert found.all(axis=1).mean() > 0.6, "nothing is faint"

    page.click("#lasso")  # with the keyboard: all in view
    page.press_keys("#cells", "+", "+", "+", "+", "+", Keys.ENTER)
    there = ((page.cell_pixels() > 0) & (page.cell_pixels() < image_size)).all(axis=1)
    assert 20 < there.sum() < CELLS - 20
    chosen(there)
    page.drag((10, 10), (12, 12))  # no outline
    chosen(there)


def test_nothing_can_be_done_with_a_selection_without_visible_cells(
    page: Page, served: Any
) -> None:
    page.open(served("uint8"), f"{BARE}&lasso=2,0,0,-1,-1,1,-1,1,1")
    actions = "#keep-selection, #hide-selection, #download-selection, #zoom-selection"
    buttons = f"{actions}, [title='Make a group of the selected cells']"
    disabled = f"return [...document.querySelectorAll(`{buttons}`)].map((each) => each.disabled)"
    assert page.js(disabled) == [False] * 5
    page.click(".small-button[title='Hide all']")
    assert page.find("#selection-size").text == "0 cells selected"
    assert page.js(disabled) == [True] * 5
    page.click(".small-button[title='Show all']")
    assert page.js(disabled) == [False] * 5

    page.click("#lasso")
    page.keep_notices()
    selected, picture, before = page.find("#selection-size").text, page.picture(), page.hash()
    for key, kind in (("", "visible"), (Keys.SHIFT, "visible"), (Keys.ALT, "selected")):
        page.drag((1, 1), (8, 1), (8, 8), key=key)  # where there is no cell
        assert page.texts("#notice p") == [f"No {kind} cell inside the outline."]
        page.click("#notice button")
    assert page.find("#selection-size").text == selected
    assert page.find("#status").text.endswith(selected)
    assert page.hash() == before
    assert np.array_equal(page.picture(), picture)
