"""Filters that stay: chips, their editor, context, links and undo."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, GROUP, atlas, names

from cellucid_dask import AnnDataServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, far_from_others, needs_browser, pixels_at, swatches
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

GENE = "Gene3"


def gene() -> Any:
    adata = atlas()
    return np.asarray(adata[:, GENE].X.todense()).ravel()


def export_levels(adata: Any) -> Any:
    out = Path(tempfile.mkdtemp()) / "levels"
    export(adata, out, quiet=True, obs_quantization=8)
    return out


def chips(page: Page) -> list[str]:
    return page.texts(".filter-chip .chip-text")


def press(page: Page, text: str, within: str = "#cells-panel") -> dict[str, Any]:
    """Click a button by its text."""
    xpath = f".//button[normalize-space()='{text}']"
    page.find(within).find_element(By.XPATH, xpath).click()
    return page.state()


def assert_drawn(page: Page, shown: Any, colors: Any) -> None:
    """Cells that pass have their colors, the others that of the context, and the counts agree."""
    assert page.state()["drawn"] == shown.sum()
    places = page.cell_pixels()
    apart = far_from_others(places)
    found = pixels_at(page.picture(), places)
    wanted = np.where(shown[:, None], colors, page.context())
    assert (found == wanted)[apart].all()
    part = f"{shown.sum()} of {CELLS} cells are visible"
    said = page.find("#visible-count").text
    assert said.startswith(part if shown.sum() < CELLS else f"All {CELLS} cells")


def test_filters_stay_through_any_change(page: Page, served: Any) -> None:
    """Hide a group, limit a gene, color by others: all of it applies, and the link has it."""
    page.open(served("float32"), BARE)
    group, quarter, values = names(), names("quarter"), gene()
    page.entry("b").click()
    assert_drawn(page, group != "b", swatches(page))
    assert chips(page) == [f"{GROUP}: not b"]
    limit = float(np.quantile(values, 0.8))
    page.open(served("float32"), f"{page.hash()}&filter=range:{limit:.6g},:gene:{GENE}")
    both = (group != "b") & (values >= limit)
    assert chips(page) == [f"{GROUP}: not b", f"{GENE} ≥ {float(f'{limit:.6g}')}"]
    assert_drawn(page, both, swatches(page))
    page.color_by("quarter")
    assert_drawn(page, both, swatches(page, "quarter"))
    page.show_dimension(3)
    assert page.state()["drawn"] == both.sum()
    page.show_dimension(2)
    before, link = page.picture(), page.hash()
    page.reload()
    assert page.hash() == link
    assert np.array_equal(page.picture(), before)

    # Off and on again, dropped, brought back by undo.
    page.click(".filter-chip:nth-child(1) input")
    assert_drawn(page, values >= limit, swatches(page, "quarter"))
    page.click(".filter-chip:nth-child(1) input")
    assert_drawn(page, both, swatches(page, "quarter"))
    page.click(".filter-chip:nth-child(2) button[title^='Drop']")
    assert chips(page) == [f"{GROUP}: not b"]
    assert_drawn(page, group != "b", swatches(page, "quarter"))
    page.click("#undo")
    page.wait_until("document.querySelectorAll('.filter-chip').length === 2")
    assert_drawn(page, both, swatches(page, "quarter"))
    page.click("#redo")
    page.wait_until("document.querySelectorAll('.filter-chip').length === 1")
    assert_drawn(page, group != "b", swatches(page, "quarter"))
    page.driver.back()  # the button of the browser does the same
    page.wait_until("document.querySelectorAll('.filter-chip').length === 2")
    assert_drawn(page, both, swatches(page, "quarter"))
    press(page, "Drop all")
    assert_drawn(page, np.ones(CELLS, bool), swatches(page, "quarter"))
    assert set(quarter) <= set(page.texts(".entry .text"))


def test_filtered_cells_are_hidden_if_the_user_wants(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    group, colors = names(), swatches(page)
    page.entry("b").click()
    page.click("#show-context")
    found = pixels_at(page.picture(), page.cell_pixels())
    assert (found[group == "b"] == page.background()).all()
    assert (found[group != "b"] == colors[group != "b"]).all()
    page.click("#show-context")
    assert_drawn(page, group != "b", colors)


def test_old_links_hide_what_they_hid(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0&hide=1")
    found = pixels_at(page.picture(), page.cell_pixels())
    assert (found[names() == "b"] == page.background()).all()
    assert chips(page) == [f"{GROUP}: not b"]


def test_editor_of_a_filter(page: Page, served: Any) -> None:
    """The chip opens an editor: check boxes for categories, a histogram and numbers for values."""
    page.open(served("float32"), f"{BARE}&filter=out:1:obs:{GROUP}&filter=range:0.5,:gene:{GENE}")
    group, values, colors = names(), gene(), swatches(page)
    page.click(".filter-chip:nth-child(1) .chip-text")
    page.wait_until("document.querySelectorAll('.check-list input').length === 4")
    boxes = page.driver.find_elements(By.CSS_SELECTOR, ".check-list input")
    assert [box.is_selected() for box in boxes] == [True, False, True, True]
    boxes[0].click()
    assert_drawn(page, ~np.isin(group, ["ä/1", "b"]) & (values >= 0.5), colors)
    page.find(".filter-editor input[type='search']").send_keys("b")
    press(page, "Only these")
    assert_drawn(page, (group == "b") & (values >= 0.5), colors)
    page.click(".filter-chip:nth-child(2) .chip-text")
    page.wait_until("document.querySelector('.histogram')")
    numbers = page.driver.find_elements(By.CSS_SELECTOR, ".range-editor input")
    assert [box.get_attribute("value") for box in numbers] == ["0.5", ""]
    numbers[0].clear()
    numbers[0].send_keys("1", Keys.ENTER)
    numbers[1].send_keys("2", Keys.TAB)
    assert_drawn(page, (group == "b") & (values >= 1) & (values <= 2), colors)
    # A drag over the left half of the histogram keeps the lower values.
    histogram = page.find(".histogram")
    width = histogram.size["width"]
    chain = page.mouse.move_to_element_with_offset(histogram, 2 - width // 2, 0)
    chain.click_and_hold().move_by_offset(width // 4, 0)
    chain.move_by_offset(width // 2 - width // 4, 0).release().perform()
    middle = values.min() + (values.max() - values.min()) * (width // 2 + 2) / width
    sure = np.abs(values - middle) > (values.max() - values.min()) / 50
    kept = (group == "b") & (values <= middle)
    assert abs(page.state()["drawn"] - kept.sum()) <= (~sure & (group == "b")).sum()
    assert chips(page)[1].startswith(f"{GENE} ≤ ")


def test_selection_becomes_a_filter(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    colors, places = swatches(page), page.cell_pixels()
    page.click("#lasso")
    x = np.median(places[:, 0])
    page.drag((5, 20), (x, 20), (x, 480), (5, 480))
    left = int(page.find("#selection-size").text.split()[0])
    page.click("#keep-selection")
    assert page.state()["drawn"] == left
    assert chips(page) == ["inside an outline"]
    page.click(".filter-chip .chip-text")  # the other way round
    assert chips(page) == ["outside an outline"]
    assert page.state()["drawn"] == CELLS - left
    inside = (places[:, 0] < x) & (places[:, 1] > 20) & (places[:, 1] < 480)
    sure = (np.abs(places - (x, 20)).min(axis=1) > 2) & (np.abs(places[:, 1] - 480) > 2)
    found = pixels_at(page.picture(), places)
    wanted = np.where(inside[:, None], page.context(), colors)
    assert (found == wanted)[sure & far_from_others(places)].all()


def test_wrong_filters_of_a_link_are_named_together(page: Page, served: Any) -> None:
    page.open(
        served("uint8"),
        f"{BARE}&filter=in:0:obs:none&filter=range:1,2:gene:gone&filter=group:g9"
        f"&filter=out:0:obs:{GROUP}&color=gene:nothing&embedding=X_lost",
    )
    page.wait_until("!document.getElementById('notice').hidden")
    said = page.find("#notice p").text
    for part in ("obs:none", "gene:gone", "a group", 'gene "nothing"', '"X_lost"'):
        assert part in said
    assert chips(page) == [f"{GROUP}: not ä/1"]


def test_limits_of_ranges_are_those_of_the_data(page: Page, served: Any, serve: Any) -> None:
    """Cells at a limit pass, also where quantization took them down; zeros are not at 0.001."""
    adata = atlas()
    adata.obs["level"] = np.arange(CELLS) % 5
    adata.obs["large"] = np.float32(2_000_000) + np.arange(CELLS)
    level, large = adata.obs["level"], adata.obs["large"]
    for data in (serve(adata, AnnDataServer), serve(export_levels(adata))):
        for limits, passing in {
            "1,:obs:level": level >= 1,
            "0.001,:obs:level": level >= 1,
            ",3:obs:level": level <= 3,
            "2,2:obs:level": level == 2,
        }.items():
            state = page.open(data, f"{BARE}&filter=range:{limits}")
            assert state["drawn"] == passing.sum(), limits
    page.open(serve(adata, AnnDataServer), f"{BARE}&filter=range:2000123,2000128:obs:large")
    assert page.state()["drawn"] == large.between(2_000_123, 2_000_128).sum() == 6
    page.reload()
    assert page.state()["drawn"] == 6
    assert chips(page) == ["large 2000123 to 2000128"]
