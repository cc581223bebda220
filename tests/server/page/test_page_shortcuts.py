"""Keyboard shortcuts: they do what the list says, and nothing while the user types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from page_data import GROUP

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def press(page: Page, *keys: str) -> dict[str, Any]:
    """Press keys where the focus is."""
    page.mouse.send_keys(*keys).perform()
    return page.state()


def undo(page: Page, *keys: str) -> dict[str, Any]:
    chain = page.mouse.key_down(Keys.CONTROL)
    for key in keys[:-1]:
        chain.key_down(key)
    chain.send_keys(keys[-1])
    for key in keys[:-1]:
        chain.key_up(key)
    chain.key_up(Keys.CONTROL).perform()
    return page.state()


def focused(page: Page) -> str:
    return page.js("return document.activeElement.id || document.activeElement.className")


def test_keys_do_what_the_list_says(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    assert press(page, "]")["colorBy"] == "obs:quarter"
    assert press(page, "]")["colorBy"] == "obs:many"
    assert press(page, "[")["colorBy"] == "obs:quarter"
    assert press(page, "[", "[")["colorBy"] == "obs:score", "around the start of the list"
    page.color_by("Gene3")
    assert focused(page) == "color-search"
    undo(page, "z")
    page.wait_until("cellucid.ready && cellucid.colorBy === 'obs:score'")
    undo(page, Keys.SHIFT, "z")
    page.wait_until("cellucid.ready && cellucid.colorBy === 'gene:Gene3'")
    page.find("#color-search").send_keys("xy")
    undo(page, "z")
    assert page.state()["colorBy"] == "gene:Gene3", "what is typed is taken back first"
    press(page, Keys.ESCAPE)
    assert focused(page) == "color-search", "the first Escape closes the list"
    press(page, Keys.ESCAPE)
    assert press(page, "[")["colorBy"] == "obs:score", "the second one leaves the box"
    assert press(page, "]")["colorBy"] == "gene:Gene3", "genes that were used follow the columns"
    assert press(page, "3")["dimension"] == 3
    undo(page, "z")
    page.wait_until("cellucid.ready && cellucid.dimension === 2")
    undo(page, Keys.SHIFT, "z")
    page.wait_until("cellucid.ready && cellucid.dimension === 3")
    assert press(page, "2")["dimension"] == 2
    dark = sum(page.background()) < 300
    press(page, "t")
    assert (sum(page.background()) < 300) is not dark
    press(page, "s")
    assert page.find("#lasso").get_attribute("aria-pressed") == "true"
    press(page, "s")
    press(page, "]")
    press(page, "l")
    assert page.js("return Boolean(document.activeElement.closest('#legend'))")
    press(page, "f")
    assert focused(page) == "add-filter"
    press(page, "many", Keys.ENTER)
    page.wait_until("document.activeElement.matches('.filter-editor input[type=search]')")
    press(page, Keys.TAB)
    assert page.js("return document.activeElement.textContent") == "All"
    press(page, "f")
    press(page, "score", Keys.ENTER)
    page.wait_until("document.activeElement.ariaLabel === 'At least'")
    press(page, "1", "e", "9")
    undo(page, "z")
    assert press(page, "1", "e", "9", Keys.ENTER)["drawn"] == 0
    undo(page, "z")
    page.wait_until("cellucid.drawn === cellucid.nCells")
    assert page.js("return document.activeElement.value") == ""
    page.press_keys("#cells", "+", "+")
    press(page, "v")
    press(page, "/")
    assert focused(page) == "color-search"
    assert page.is_shown("#color-search-list")
    assert page.find("#color-search").get_property("value") != "/"
    before = page.state()
    page.find("#color-search").send_keys("t3s?")  # are typed, and nothing else
    assert page.state()["dimension"] == before["dimension"]
    assert page.find("#color-search").get_property("value") == "t3s?"
    assert not page.js("return document.getElementById('shortcuts').open")


def test_dialog_lists_the_keys_and_turns_them_off(page: Page, served: Any, serve: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    press(page, "?")
    assert page.is_shown("#shortcuts")
    rows = dict(zip(page.texts("#shortcuts dt"), page.texts("#shortcuts dd"), strict=True))
    assert rows["/"] == "Search columns and genes"
    assert {"[", "]", "L", "F", "S", "V", "T", "1", "2", "3", "?"} <= set(rows)
    assert press(page, "]")["colorBy"] == f"obs:{GROUP}", "the dialog is in front"
    press(page, Keys.ESCAPE)
    assert not page.is_shown("#shortcuts")
    page.click("#help")
    page.click("#single-keys")
    page.click("#shortcuts .heading button")
    for again in (False, True):
        if again:
            page.reload()
        assert press(page, "]")["colorBy"] == f"obs:{GROUP}"
        assert undo(page, "z")["ready"]
    page.click("#help")
    page.click("#single-keys")
    press(page, Keys.ESCAPE)
    assert press(page, "]")["colorBy"] == "obs:quarter"
    page.open(serve(AnnData(obsm={"X_umap": np.eye(9, 2, dtype="f4")})))
    assert press(page, "1")["dimension"] == 2
    assert page.texts("#notice .text") == ["This dataset has no embedding in 1D."]
    press(page, "?")
    keys = [row.text for row in page.driver.find_elements("css selector", "#shortcuts dt")]
    assert {*keys} & {"1", "2", "3"} == {"2"}
