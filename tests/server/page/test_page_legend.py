"""The legend: colors of cells, categories to hide, color scales, the outlier filter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import (
    CELLS,
    GROUPS,
    MAPS,
    MISSING,
    atlas,
    codes,
    outlier_quantiles,
    score,
    stacked_cells,
)

from cellucid_dask import export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, count_colors, far_from_others, needs_browser, pixels_at, rgb
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def test_cells_have_the_colors_of_the_legend(page: Page, served: Any) -> None:
    state = page.open(served("uint8"), "d=2&labels=0")
    assert state == {
        "ready": True,
        "error": None,
        "nCells": CELLS,
        "drawn": CELLS,
        "colorBy": "obs:the group (x)",
        "dataset": "uint8",
        "dimension": 2,
        "strayCells": 0,
    }
    assert page.texts("h1") == ["Atlas uint8"]
    assert page.texts("#dataset-counts") == [f"{CELLS} cells · 30 genes"]
    assert not page.is_shown("#dataset-control")
    names = [*GROUPS, "missing"]
    assert page.texts(".entry .text") == names
    cells = [int(text) for text in page.texts(".entry .number")]
    known = codes()
    assert cells == [*np.bincount(known[known >= 0]).tolist(), MISSING]
    swatches = np.array([page.swatch(name) for name in names])
    assert len(np.unique(swatches, axis=0)) == 4
    image, places = page.picture(), page.cell_pixels()
    assert far_from_others(places).all()
    assert (pixels_at(image, places) == swatches[known]).all()
    found = count_colors(image)
    assert sum(found[tuple(color)] for color in swatches.tolist()) > CELLS * 25
    assert found[page.background()] > image.shape[0] * image.shape[1] - CELLS * 60

    state = page.color_by("None")
    assert (state["colorBy"], state["drawn"]) == (None, CELLS)
    assert page.texts("#legend *") == []
    plain = np.unique(pixels_at(page.picture(), places), axis=0)
    assert len(plain) == 1
    assert plain.tolist()[0] not in swatches.tolist()


def test_range_log_and_colormap_set_the_color_of_each_value(page: Page, served: Any) -> None:
    """Each cell has the color of its value."""
    page.open(served("uint16"), "d=2&color=obs:score")
    places, values = page.cell_pixels(), score()
    grey = rgb(page.find(".note .swatch").value_of_css_property("background-color"))
    assert page.texts("#legend .note:not(#labels-note)") == [f"{MISSING} cells without a value"]
    there = ~np.isnan(values)
    lo, hi = np.nanmin(values), np.nanmax(values)

    def seen(low: float, high: float, *, log: bool, name: str) -> None:
        """Ends, middle and what is beyond of the scale are at the cells of these values."""
        found = pixels_at(page.picture(), places).astype(int)
        assert (found[~there] == grey).all()
        scaled, ends = (np.log(values), np.log([low, high])) if log else (values, [low, high])
        at = (scaled - ends[0]) / (ends[1] - ends[0])
        cases = (at <= 0.002, np.abs(at - 0.5) < 0.004, at >= 0.998)
        for which, color in zip(cases, MAPS[name], strict=True):
            assert which.any() or name != "viridis"
            assert np.abs(found[which] - color).max(initial=0) <= 3, (name, color)
        steps = np.abs(np.diff(found[there][np.argsort(values[there])], axis=0)).sum(axis=1)
        assert steps.max() < 400 if log else 800
        assert limits() == pytest.approx([low, high], rel=1e-3)

    def limits() -> Any:
        return page.js("return [...document.querySelectorAll('.limit')].map((e) => +e.value)")

    usual = np.nanpercentile(values, 99, method="nearest")
    seen(lo, usual, log=False, name="viridis")
    page.press_keys(".handle:nth-of-type(2)", Keys.END)
    seen(lo, hi, log=False, name="viridis")
    page.press_keys("#log", Keys.SPACE)
    assert page.js("return document.activeElement.id") == "log", "the focus stays"
    for name in MAPS:
        page.choose("#map", name)
        seen(lo, hi, log=True, name=name)
    assert page.texts("#map option") == list(MAPS)
    page.choose("#map", "viridis")

    def handles() -> list[Any]:
        return page.driver.find_elements("css selector", ".handle")

    low, high = handles()
    low.send_keys(*[Keys.PAGE_UP] * 3)  # each a tenth of the bar
    high.send_keys(Keys.PAGE_DOWN)
    page.state()
    ends = lo * (hi / lo) ** 0.3, lo * (hi / lo) ** 0.9
    seen(*ends, log=True, name="viridis")
    assert float(low.get_attribute("aria-valuetext")) == pytest.approx(ends[0], rel=1e-3)
    low.send_keys(Keys.END)  # stops below the other
    assert limits()[0] < limits()[1]
    page.click("#legend .small-button")
    seen(lo, usual, log=True, name="viridis")

    page.drag_slider(".handle:nth-of-type(2)", 1, 0.8, 1.05, 0.5)  # by the pointer, there and back
    middle = limits()[1]
    assert middle == pytest.approx(np.sqrt(lo * hi), rel=0.05)
    seen(lo, middle, log=True, name="viridis")


def test_legend_hides_and_shows_categories(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    places, known = page.cell_pixels(), codes()
    names = np.array([*GROUPS, "missing"])[known]
    colors = {name: page.swatch(name) for name in (*GROUPS, "missing")}
    ground = page.context()

    def seen(*shown: str) -> None:
        assert page.state()["drawn"] == np.isin(names, shown).sum()
        expected = [colors[name] if name in shown else ground for name in names]
        assert (pixels_at(page.picture(), places) == expected).all()
        pressed = "return [...document.querySelectorAll('.entry')].map((e) => e.ariaPressed)"
        pressed_by_name = dict(zip(page.texts(".entry .text"), page.js(pressed), strict=True))
        assert {name for name, on in pressed_by_name.items() if on == "true"} == set(shown)

    page.entry("b").click()
    seen("ä/1", "c", "missing")
    drawn = int((names != "b").sum())
    assert page.find("#status").text.startswith(f"{drawn} of {CELLS} cells")
    page.show_dimension(3)  # what is hidden stays so
    assert colors["b"] not in page.color_counts()
    page.show_dimension(2)
    page.mouse.move_to_element(page.entry("c")).perform()
    page.click(".only[title^='Show only c']")
    seen("c")
    page.click(".only[title^='Show only c']")
    seen(*colors)
    page.click(".small-button[title='Hide all']")
    seen()
    page.entry("missing").click()
    seen("missing")
    page.click(".small-button[title='Show all']")
    seen(*colors)

    # With the keyboard: one stop, arrows from row to row, Shift+Enter alone.
    stops = "return [...document.querySelectorAll('.entry')].map((e) => e.tabIndex)"
    assert sorted(page.js(stops)) == [-1, -1, -1, 0]
    page.entry("ä/1").send_keys(Keys.ARROW_DOWN)
    assert page.js(stops) == [-1, 0, -1, -1]
    page.driver.switch_to.active_element.send_keys(Keys.SPACE)
    seen("ä/1", "c", "missing")
    page.driver.switch_to.active_element.send_keys(Keys.END, Keys.ARROW_UP)
    active = page.driver.switch_to.active_element
    assert active.get_attribute("title") == "c"
    page.mouse.key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
    seen("c")
    page.driver.switch_to.active_element.send_keys(Keys.HOME, Keys.ENTER)
    seen("c", "ä/1")


def test_search_box_finds_a_category_among_many(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0&color=obs:many")
    names = page.texts(".entry .text")
    assert names == [f"kind {i:02d}" for i in range(40)]
    assert len({page.swatch(name) for name in names}) == 40
    find = page.find("#legend input[type='search']")
    find.send_keys("KIND 3")
    assert page.texts(".entry .text") == names[30:]
    page.entry("kind 31").click()
    assert page.state()["drawn"] == CELLS - 10
    find.send_keys("x")
    assert "no category matches" in page.texts("#legend .note")
    find.send_keys(*[Keys.BACKSPACE] * 7)
    assert page.texts(".entry .text") == names
    assert page.entry("kind 31").get_attribute("aria-pressed") == "false"


def test_high_values_are_drawn_over_low_and_missing_ones(
    page: Page, serve: Any, tmp_path: Path
) -> None:
    """For cells at the same position, whatever their order in the file."""
    for upside_down in (False, True):
        folder = tmp_path / f"{upside_down}"
        adata = stacked_cells(upside_down=upside_down)
        export(adata, folder, quiet=True, centroid_min_points=1, dataset_id=f"{upside_down}")
    server = serve(tmp_path)
    translucent = []
    for name in ("False", "True"):
        page.open(server, f"dataset={name}&color=obs:kind&labels=0")
        grey, seen = page.swatch("missing"), page.swatch("seen")
        colors = page.color_counts()
        assert grey not in colors
        assert colors[seen] > 300
        page.color_by("value")
        assert grey not in page.color_counts()
        page.show_dimension(2)
        found = pixels_at(page.picture(), page.cell_pixels())
        assert (found == MAPS["viridis"][2]).all(), "the end of the color bar"
        page.move_pointer(page.cell_pixels()[30])
        page.wait_until("!document.getElementById('tooltip').hidden")
        assert page.find("#tooltip").text.endswith("\nvalue: 9"), "the cell on top"
        page.set_slider("#opacity", 0.5)
        found = pixels_at(page.picture(), page.cell_pixels()).astype(int)
        assert (found[:, 2] < 140).all(), "what is missing is beneath"
        translucent.append(found)
        page.show_dimension(3)
        translucent.append(pixels_at(page.picture(), page.cell_pixels()))
    assert (translucent[0] == translucent[2]).all(), "the order of rows does not matter"
    assert (translucent[1] == translucent[3]).all(), "nor in 3D"


def test_outlier_filter_hides_the_farthest_cells_of_each_category(page: Page, served: Any) -> None:
    """Each field has its own filter, which stays when another field is shown."""
    adata = atlas()
    for name in ("uint8", "float32"):
        page.open(served(name), "d=2&labels=0")
        places, ground = page.cell_pixels(), page.context()
        far = outlier_quantiles(adata, "the group (x)")
        colors = np.array([page.swatch(text) for text in (*GROUPS, "missing")])[codes()]
        for quantile in (0.8, 0.5, 1) if name == "uint8" else (0.8,):
            state = page.set_slider("#outliers", quantile)
            slack = 1 / 254 if name == "uint8" else 1e-6
            sure = np.abs(far - quantile) > slack
            shown = np.isnan(far) | (far <= quantile) | (quantile == 1)
            found = pixels_at(page.picture(), places)
            expected = np.where(shown[:, None], colors, ground)
            assert (found == expected)[sure | np.isnan(far)].all()
            assert abs(state["drawn"] - shown.sum()) <= (~sure).sum()
            assert state["drawn"] == (found != ground).any(axis=1).sum()
            percent = f"farthest {round(100 - 100 * quantile)}% hidden"
            label = percent if quantile < 1 else "off"
            assert page.texts("#legend output") == [label.removeprefix("farthest ")]
            assert page.find("#outliers").get_attribute("aria-valuetext") == label
        if name == "uint8":  # by the pointer, which holds the slider while the file comes
            page.reload()
            page.drag_slider("#outliers", 1, 0.9, 0.5)
            assert float(page.find("#outliers").get_attribute("value")) == pytest.approx(
                0.51, abs=0.02
            )
    page.entry("b").click()  # together with what is hidden
    shown &= codes() != 1
    assert page.state()["drawn"] == shown.sum()
    page.color_by("quarter")  # each field has a filter of its own; all of them stay
    assert page.state()["drawn"] == shown.sum()
    assert page.find("#outliers").get_attribute("value") == "1"
    page.color_by("the group (x)")
    assert page.state()["drawn"] == shown.sum()
    assert page.find("#outliers").get_attribute("value") == "0.8"
    page.color_by("score")
    assert page.driver.find_elements("css selector", "#outliers") == []
