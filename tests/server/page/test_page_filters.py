"""Filters that stay: chips, their editor, context, links and undo."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, GROUP, MISSING, atlas, names

from cellucid_dask import AnnDataServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, far_from_others, needs_browser, pixels_at, swatches
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

GENE = "Gene3"


TWO_CLICKS = "for (let i = 0; i < 2; i++) document.getElementById(arguments[0]).click()"
# The page is loaded again before it writes the change into its address.
CHANGE_AND_LEAVE = """
  const slider = document.getElementById("opacity");
  slider.value = 0.5;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  window.cellucid = null;
  location.reload();
"""


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
    part = f"{shown.sum()} of {CELLS} cells visible"
    said = page.find("#visible-count").text
    assert said.startswith(part if shown.sum() < CELLS else f"{CELLS} cells, all visible")


def test_filters_stay_through_any_change(page: Page, served: Any) -> None:
    """Hide a group, limit a gene, color by others: all of it applies, and the link has it."""
    page.open(served("float32"), BARE)
    group, quarter, values = names(), names("quarter"), gene()
    page.entry("b").click()
    assert_drawn(page, group != "b", swatches(page))
    assert chips(page) == [f"{GROUP}: not b"]
    page.js(TWO_CLICKS, "undo")  # there is one change to take back
    page.wait_until("!document.querySelector('.filter-chip') && cellucid.rests()")
    page.js(TWO_CLICKS, "redo")
    page.wait_until("document.querySelector('.filter-chip') && cellucid.rests()")
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
    page.js(CHANGE_AND_LEAVE)
    page.state()
    assert page.find("#opacity").get_attribute("value") == "0.5"
    assert {*page.hash().split("&")} == {*link.split("&"), "opacity=0.5"}
    page.set_slider("#opacity", 1)

    # Off and on again, dropped, brought back by undo.
    page.click(".filter-chip:nth-child(1) input")
    assert_drawn(page, values >= limit, swatches(page, "quarter"))
    page.click(".filter-chip:nth-child(1) input")
    assert_drawn(page, both, swatches(page, "quarter"))
    page.click(".filter-chip:nth-child(2) button[title^='Remove']")
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
    press(page, "All", "#legend")  # shows what is shown: no change, and what can be redone stays
    assert page.find("#redo").is_enabled()
    press(page, "Remove all")
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
    page.open(served("uint8"), "d=2&color=gene:Gene3&hide=1&pin=obs:gone")
    lines = page.texts("#notice li")
    assert [line.split(" is left out")[0] for line in lines] == [
        'What is hidden of "Gene3"',
        'The pinned column "gone"',
    ]
    page.open(served("uint8"), "d=2&color=groups:")
    assert page.texts("#notice p") == ["There are no groups to color the cells by."]


def test_editor_of_a_filter(page: Page, served: Any) -> None:
    """The chip opens an editor: check boxes for categories, a histogram and numbers for values."""
    page.open(served("float32"), f"{BARE}&filter=out:1:obs:{GROUP}&filter=range:0.5,:gene:{GENE}")
    group, values, colors = names(), gene(), swatches(page)
    page.click(".filter-chip:nth-child(1) .chip-text")
    page.wait_until("document.querySelectorAll('.check-list input').length === 4")
    boxes = page.driver.find_elements(By.CSS_SELECTOR, ".check-list input")
    assert [box.is_selected() for box in boxes] == [True, False, True, True]
    list_heights = "const { scrollHeight, clientHeight } = document.querySelector('.check-list');"
    assert page.js(f"{list_heights} return scrollHeight - clientHeight") == 0, "nothing to scroll"
    boxes[0].click()
    assert_drawn(page, ~np.isin(group, ["ä/1", "b"]) & (values >= 0.5), colors)
    visible = ((group == "c") & (values >= 0.5)).sum()
    said = page.texts(".check-list li")[2].split()
    assert said == ["c", str(visible), "of", str((group == "c").sum()), "only"]
    assert not page.driver.find_elements(By.CSS_SELECTOR, ".filter-editor input[type='search']")
    only = page.find(".filter-editor [title^='Show only b;']")
    page.mouse.move_to_element(only).click().perform()
    assert_drawn(page, (group == "b") & (values >= 0.5), colors)
    page.mouse.click(only).perform()
    assert_drawn(page, values >= 0.5, colors)
    page.mouse.click(only).perform()
    assert_drawn(page, (group == "b") & (values >= 0.5), colors)
    page.click(".filter-chip:nth-child(1) .chip-text")  # the other one was new again
    page.wait_until("document.querySelector('.histogram')")
    numbers = page.driver.find_elements(By.CSS_SELECTOR, ".range-editor input")
    assert [box.get_attribute("value") for box in numbers] == ["0.5", ""]
    numbers[0].clear()
    numbers[0].send_keys("1", Keys.ENTER)
    numbers[1].send_keys("2", Keys.TAB)
    numbers[0].send_keys("e", Keys.TAB)  # which is no number
    assert [box.get_attribute("value") for box in numbers] == ["1", "2"]
    numbers[0].send_keys(Keys.CONTROL, "a", Keys.NULL, "1,5", Keys.TAB)  # is not 15
    assert [box.get_attribute("value") for box in numbers] == ["1", "2"]
    assert '"1,5" has a comma' in page.find(".range-editor").text
    assert_drawn(page, (group == "b") & (values >= 1) & (values <= 2), colors)
    numbers[1].clear()
    numbers[1].send_keys("2e", Keys.TAB)  # in an empty box, whose change no browser tells
    assert not page.js("return arguments[0].validity.badInput", numbers[1]), "the box is empty"
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
    assert f"{(values == 0).sum()} cells" in page.find(".range-editor .note").text
    page.find("#add-filter").send_keys("score", Keys.ENTER)
    page.wait_until("document.querySelector('.filter-editor h2')?.title === 'score'")
    note = page.find(".range-editor .note").text
    assert note.startswith(f"{MISSING} cells without a value, which no range keeps. Values from ")


def test_click_that_ends_typing_does_both(page: Page, served: Any) -> None:
    """The limit that was typed applies, and so does the click on what the change draws again."""
    link = f"{BARE}&filter=range:0.5,:gene:{GENE}&filter=out:1:obs:{GROUP}"
    page.open(served("float32"), link)
    group, values = names(), gene()

    def type_limit(*keys: str) -> None:
        box = page.find(".range-editor input[aria-label='At least']")
        box.send_keys(Keys.CONTROL, "a", Keys.NULL, *keys)

    def drawn() -> int:
        return int(page.state()["drawn"])

    page.click(".filter-chip:nth-child(1) .chip-text")
    page.wait_until("document.querySelector('.histogram')")
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)
    type_limit("0.8")
    box = page.find(".filter-chip:nth-child(2) input").rect
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind, fingers in {"touchStart": [middle], "touchEnd": []}.items():
        page.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
    page.wait_until(f"cellucid.drawn === {(values >= 0.8).sum()}")
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
    page.click(".filter-chip:nth-child(2) input")
    type_limit("1")
    page.click(".filter-chip:nth-child(2) input")  # a later filter
    assert drawn() == (values >= 1).sum()
    assert not page.find(".filter-chip:nth-child(2) input").is_selected()
    assert page.js("return document.activeElement.ariaLabel") == f"Apply: {GROUP}: not b"
    type_limit("1.5")
    page.click(".filter-chip:nth-child(1) input")  # the filter itself
    assert drawn() == CELLS
    assert chips(page)[0] == f"{GENE} ≥ 1.5"
    page.click(".filter-chip:nth-child(1) input")
    type_limit("2")
    page.entry("c").click()  # the legend shows filters too
    assert chips(page) == [f"{GENE} ≥ 2", f"{GROUP}: not b", f"{GROUP}: not c"]
    assert drawn() == ((values >= 2) & (group != "c")).sum()
    type_limit(Keys.DELETE)
    page.click(".filter-chip:nth-child(3) button[title^='Remove']")  # which is the second by now
    assert chips(page) == [f"{GROUP}: not b"]
    type_limit("1")
    page.click("#composition-button")  # which the new filter moves
    assert page.is_shown("#composition")
    page.click("#composition-close")


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
    lines = page.texts("#notice li")
    for part in ('"none"', '"gone"', "a group", 'gene "nothing"', '"X_lost"'):
        assert sum(part in line for line in lines) == 1
    assert chips(page) == [f"{GROUP}: not ä/1"]


def test_limits_of_ranges_are_those_of_the_data(page: Page, served: Any, serve: Any) -> None:
    """Cells at a limit pass, also where quantization took them down; zeros are not at 0.001."""
    adata = atlas()
    adata.obs["level"] = np.arange(CELLS) % 5
    adata.obs["large"] = np.float32(2_000_000) + np.arange(CELLS)
    adata.obs["age"] = 20 + np.arange(CELLS) / CELLS  # two cells in a step of 8 bits
    level, large, age = (adata.obs[key] for key in ("level", "large", "age"))
    for data in (serve(adata, AnnDataServer), serve(export_levels(adata))):
        for limits, passing in {
            "1,:obs:level": level >= 1,
            "0.001,:obs:level": level >= 1,
            ",3:obs:level": level <= 3,
            "2,2:obs:level": level == 2,
        }.items():
            state = page.open(data, f"{BARE}&filter=range:{limits}")
            assert state["drawn"] == passing.sum(), limits
    state = page.open(data, f"{BARE}&filter=range:{age.iloc[1]:.4f},:obs:age")
    assert state["drawn"] == CELLS, "all that may have been in the range, also in the lowest step"
    page.open(serve(adata, AnnDataServer), f"{BARE}&filter=range:2000123,2000128:obs:large")
    assert page.state()["drawn"] == large.between(2_000_123, 2_000_128).sum() == 6
    page.reload()
    assert page.state()["drawn"] == 6
    assert chips(page) == ["large 2000123 to 2000128"]


SET_FILTERS = """
const [cases, done] = arguments;
const load = (name) => import(new URL(`_cellucid/page/ask/${name}.js`, document.baseURI));
Promise.all([load("filters"), load("groups")]).then(([filters, groups]) => {
  const { hiddenCodes, outlierQuantile, rangeOf } = filters;
  done(cases.map(({ before, hidden, quantile, range, named }) => {
    const [id, codes] = ["obs:a", [0, 1, 2, 3, 9]];
    const lists = [
      filters.setHiddenCodes(before, id, new Set(hidden), codes),
      filters.setOutlierQuantile(before, id, quantile),
      filters.setRange(before, id, ...range),
      groups.setHiddenGroups(before, named, 255, new Set(hidden)),
    ];
    return [lists, [
      [...hiddenCodes(lists[0], id, codes)], outlierQuantile(lists[1], id), rangeOf(lists[2], id),
      [...groups.hiddenGroups(lists[3], named, 255)],
    ]];
  }));
});
"""


def random_column_filter(rng: random.Random) -> dict[str, Any]:
    column, keep, on = rng.choice(["obs:a", "obs:b"]), rng.random() < 0.5, rng.random() < 0.5
    low, high = sorted(rng.sample(range(9), 2))
    about = {
        "categories": {"column": column, "codes": rng.sample(range(4), 2), "keep": keep},
        "range": {"column": column, "from": rng.choice([low, None]), "to": high},
        "outliers": {"column": column, "quantile": rng.random()},
        "group": {"group": rng.choice(["g0", "g1", "any"]), "keep": keep},
    }
    kind = rng.choice(list(about))
    return {"kind": kind, **about[kind], "on": on}


def test_setting_what_a_column_shows_leaves_other_filters_and_those_that_are_off(
    page: Page, served: Any
) -> None:
    """What was set is what is shown, and comes from one filter of the column that is on."""
    rng = random.Random(7)
    group_names = [{"id": f"g{i}", "name": f"g{i}", "cells": {"any": []}} for i in range(4)]
    cases = [
        {
            "before": [random_column_filter(rng) for _ in range(rng.randrange(7))],
            "hidden": rng.sample([0, 1, 2, 3], rng.randrange(5)),
            "quantile": rng.choice([1, 0.25, 0.75]),
            "range": rng.choice([[None, None], [1, None], [None, 2], [1, 2]]),
            "named": group_names,
        }
        for _ in range(300)
    ]
    page.open(served("uint8"), BARE)
    results = page.driver.execute_async_script(SET_FILTERS, cases)
    kinds = ("categories", "outliers", "range", "group")
    for case, (lists, shown) in zip(cases, results, strict=True):
        hidden = sorted(case["hidden"])
        assert [sorted(shown[0]), *shown[1:3], sorted(shown[3])] == [
            hidden,
            case["quantile"],
            case["range"],
            hidden,
        ]
        for kind, after in zip(kinds, lists, strict=True):

            def is_set(each: dict[str, Any], kind: str = kind) -> bool:
                return each["kind"] == kind and each["on"] and each.get("column") != "obs:b"

            assert [each for each in after if not is_set(each)] == [
                each for each in case["before"] if not is_set(each)
            ]
            assert kind == "group" or sum(map(is_set, after)) <= 1


def test_a_filter_that_is_off_is_left_alone_by_the_legend(page: Page, served: Any) -> None:
    """Until the user clicks its line: then it is on, and its editor is open."""
    page.open(served("uint8"), f"{BARE}&filter=-out:0:obs:{GROUP}")
    group, colors = names(), swatches(page)
    assert_drawn(page, np.ones(CELLS, bool), colors)
    page.entry("b").click()
    assert chips(page) == [f"{GROUP}: not ä/1", f"{GROUP}: not b"]
    assert_drawn(page, group != "b", colors)
    page.entry("b").click()
    assert chips(page) == [f"{GROUP}: not ä/1"]
    page.click(".filter-chip .chip-text")
    page.wait_until("document.querySelector('.check-list input')")
    assert_drawn(page, group != "ä/1", colors)
    assert page.texts(".filter-editor h2") == [GROUP]
    # Off again: the editor still shows what it says, and a change switches it on.
    page.click(".filter-chip input")
    assert_drawn(page, np.ones(CELLS, bool), colors)
    boxes = page.driver.find_elements(By.CSS_SELECTOR, ".check-list input")
    assert [box.is_selected() for box in boxes] == [False, True, True, True]
    assert page.is_shown(".filter-editor > .note")
    boxes[1].click()
    assert chips(page) == [f"{GROUP}: not ä/1, b"]
    assert_drawn(page, ~np.isin(group, ["ä/1", "b"]), colors)
    assert not page.is_shown(".filter-editor > .note")
