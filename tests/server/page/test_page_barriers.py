"""No state of the page has barriers that axe-core finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from axe import assert_accessible, find_barriers
from paging import FAILED_REQUEST, Page, needs_browser
from selenium.webdriver.common.by import By

pytestmark = needs_browser

SELECTED = "d=2&lasso=2,0,0,-1,-1,1,-1,1,1"
FILTERED = f"{SELECTED}&filter=in:0-1:obs:quarter&filter=-outside:2,0,0,-1,-1,1,-1,1,1"
STATES = {
    "start": "",
    "gene": "d=2&color=gene:Gene5",
    "values in 3D": "d=3&color=obs:score",
    "selection": SELECTED,
    "filters": f"{FILTERED}&filter=range:0,:obs:score",
    "filters, dark": f"{FILTERED}&theme=dark&context=hide",
    "dark": f"{SELECTED}&theme=dark",
}


def test_axe_finds_a_barrier(page: Page, served: Any, packages: Path) -> None:
    page.open(served("uint8"))
    page.js("document.body.append(document.createElement('button'))")
    assert [line.split()[0] for line in find_barriers(page, packages)] == ["button-name"]


def test_no_state_has_barriers(page: Page, served: Any, packages: Path) -> None:
    for state, link in STATES.items():
        page.open(served("uint8"), link)
        assert_accessible(page, packages, state)
    page.click("#lasso")
    page.open_display()
    assert_accessible(page, packages, "display settings, and the lasso")
    page.click("#help")
    assert_accessible(page, packages, "shortcuts")
    page.click("#shortcuts button")
    page.find("#color-search").send_keys("gene1")
    assert_accessible(page, packages, "matching columns")


def test_no_panel_and_no_dialog_has_barriers(page: Page, served: Any, packages: Path) -> None:
    page.open(served("uint8"), f"{FILTERED}&filter=range:0,:obs:score")
    page.click(".chip-text")
    assert page.texts("#filters .check-list li"), "the editor of a filter is open"
    page.driver.find_element(By.XPATH, "//button[text()='New from visible']").click()
    page.state()
    assert page.texts("#groups li")
    assert_accessible(page, packages, "the editor of a filter, and a group")
    page.press_keys("#cells", "?")
    assert page.js("return document.querySelector('dialog[open]').innerText").startswith("Keyboard")
    assert_accessible(page, packages, "shortcuts")
    page.js("document.querySelector('dialog[open]').close()")
    page.click("#save-figure")
    assert page.is_shown("#figure-dialog")
    assert_accessible(page, packages, "figure")
    page.js("document.querySelector('dialog[open]').close()")
    page.js("document.getElementById('composition-button').click()")
    page.state()
    assert_accessible(page, packages, "composition")
    page.click("#composition-close")
    page.click("#csv-button")
    assert page.texts("#csv-columns li")
    assert_accessible(page, packages, "CSV")
    page.click("#csv-cancel")
    page.driver.find_elements(By.CSS_SELECTOR, "#filters .chip-text")[-1].click()
    page.wait_until("document.querySelector('.histogram')")
    page.click("#pin")
    page.color_by("=Gene5")
    page.move_pointer(page.cell_pixels()[7])
    page.wait_until("!document.getElementById('tooltip').hidden")
    page.js("document.getElementById('display').showPopover()")
    assert page.texts("#pins li")
    assert_accessible(page, packages, "the editor of a range, the tooltip, what is pinned")


def test_an_error_and_a_notice_have_no_barriers(
    page: Page, serve: Any, exports: Path, packages: Path
) -> None:
    page.expected_errors = (FAILED_REQUEST,)
    (exports / "uint8" / "obs" / "score.values.u8.gz").unlink()
    assert page.open(serve(exports / "uint8"), "d=9&color=obs:score")["error"]
    assert_accessible(page, packages, "error")
    page.open(serve(exports / "uint8"), "color=obs:none&filter=range:0,:gene:none")
    assert len(page.texts("#notice li")) == 2
    assert_accessible(page, packages, "notice")
