"""The rows of the legend: order, search, numbers, colors, and the cells of one row."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from page_data import CELLS, GROUP, codes

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, needs_browser, pixels_at
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser

N_MANY = 1500
SHOW_COLOR = """
const [input, color] = arguments;
input.value = color;
input.dispatchEvent(new Event("input", { bubbles: true }));
"""


LONG_NAME = "a name that is far too long for a row of the legend, ends with an alpha"
MANY = [
    LONG_NAME,
    *(f"clone {i:05d}" for i in np.random.default_rng(0).permutation(N_MANY - 1) + 1),
]


@pytest.fixture
def long_legend(serve: Any) -> Any:
    """A server of cells in many categories; most cells are in the first of them."""
    clone = pd.Categorical.from_codes(np.r_[np.arange(N_MANY), np.zeros(500, int)], MANY)
    points = np.random.default_rng(1).uniform(-1, 1, (len(clone), 2)).astype("f4")
    obs = pd.DataFrame({"clone": clone}, index=[f"c{i}" for i in range(len(clone))])
    obsm = {"X_umap": points, "X_tsne": -points, "X_pca": np.c_[points, points]}
    return serve(anndata.AnnData(obs=obs, obsm=obsm))


def names(page: Page) -> list[str]:
    return page.js("return [...document.querySelectorAll('.entry')].map((e) => e.title)")


def order_by(page: Page, text: str) -> None:
    Select(page.find("#category-order")).select_by_visible_text(text)


def test_a_long_legend_is_ordered_and_scrolled(page: Page, long_legend: Any) -> None:
    """All categories can be reached; few of them are in the document; one element scrolls."""
    page.resize(1280, 720)
    page.open(long_legend, "d=2&labels=0&color=obs:clone&filter=outliers:0.5:obs:clone")
    of_file = names(page)
    assert len(of_file) < 200
    scrolled = """return [...document.querySelectorAll("#controls, #controls *")]
      .filter((e) => e.scrollHeight > e.clientHeight + 1
        && getComputedStyle(e).overflowY === "auto").map((e) => e.className)"""
    assert page.js(scrolled) == ["entries"]
    assert page.js("return document.querySelector('.entries').clientHeight") >= 12 * 26
    cut = page.texts(".entry .text")[0]
    assert cut.startswith("a name")
    assert cut.endswith("alpha")
    assert "…" in cut
    assert len(cut) > 12, "beside the number of visible cells and the total"

    # To the end with the keyboard, and back.
    page.find(".entry").send_keys(Keys.END)
    shown = page.js("return [document.activeElement.title, document.activeElement.ariaPressed]")
    last = page.js("return [...document.querySelectorAll('.entries li')].at(-1).ariaPosInSet")
    assert shown == [names(page)[-1], "true"]
    assert last == str(N_MANY)
    page.driver.switch_to.active_element.send_keys(Keys.HOME)
    assert page.js("return document.activeElement.title") == of_file[0]
    page.js("document.querySelector('.entries').scrollTop = 26 * 700")
    page.wait_until("document.querySelector('.entries li').ariaPosInSet > 500")
    middle = page.js("""const { x, y } = document.querySelector(".entries").getBoundingClientRect();
      return document.elementFromPoint(x + 60, y + 15).closest("li").ariaPosInSet""")
    assert abs(int(middle) - 701) <= 1

    order_by(page, "Name")
    assert names(page)[1:4] == sorted(MANY)[1:4]
    order_by(page, "Most cells")
    assert names(page)[0] == of_file[0], "the largest"
    order_by(page, "Fewest cells")
    page.find(".entry").send_keys(Keys.END)
    assert names(page)[-1] == of_file[0]
    order_by(page, "File order")
    assert names(page)[:50] == of_file[:50]

    # None says what to do; the search narrows what the buttons act on.
    page.click(".small-button[title='Hide all']")
    assert page.state()["drawn"] == 0
    assert page.texts("#legend [role='status']") == ["All are hidden: click All or a category."]
    assert not page.find("#fit-visible").is_enabled()
    page.js("""const notice = document.getElementById("notice");
      notice.firstElementChild.innerText = "a line\\n".repeat(20);
      notice.hidden = false;""")
    page.click("#no-cells button")  # no notice covers it
    page.click("#notice > button")
    assert page.state()["drawn"] == len(MANY) + 500, "the filters are off"
    assert not page.is_shown("#no-cells")
    page.driver.back()
    page.wait_until("cellucid.ready && cellucid.drawn === 0")
    page.find("#legend input[type='search']").send_keys("clone 0001")
    assert len(names(page)) == 10
    page.click(".small-button[title='Show all']")
    assert page.state()["drawn"] == 10
    assert page.texts(".entry .share") == ["10%"] * 10
    page.mouse.key_down(Keys.SHIFT).click(page.find(".entry")).key_up(Keys.SHIFT).perform()
    assert page.state()["drawn"] == 1, "only, of those that were found"
    page.click(".small-button[title='Hide all']")
    assert page.state()["drawn"] == 0


def test_pointing_at_a_row_highlights_its_cells(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, known = page.cell_pixels(), codes()
    colors = np.array([page.swatch(name) for name in page.texts(".entry .text")])[known]
    assert (pixels_at(page.picture(), places) == colors).all()
    page.mouse.move_to_element(page.entry("b")).perform()
    found = pixels_at(page.picture(), places)
    assert (found == colors).all(axis=1).tolist() == (known == 1).tolist()
    ground = np.array(page.background(), float)
    faded = np.abs(found - ground).max(axis=1) < 0.3 * np.abs(colors - ground).max(axis=1)
    assert faded.tolist() == (known != 1).tolist()
    page.move_pointer((5, 5))
    assert (pixels_at(page.picture(), places) == colors).all()
    page.entry("c").send_keys(Keys.ARROW_UP)  # the focus of the keyboard does the same
    found = pixels_at(page.picture(), places)
    assert (found == colors).all(axis=1).tolist() == (known == 1).tolist()


def test_numbers_are_of_visible_cells_with_the_total(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    known, quarter = codes(), codes("quarter")
    totals = np.bincount(known[known >= 0])

    def numbers() -> tuple[list[str], list[str]]:
        page.state()
        counts = [" ".join(text.split()) for text in page.texts(".entry .number")]  # two lines
        return counts, page.texts(".entry .share")

    def share(n: int, total: int) -> str:
        percent = 100 * n / total
        return f"{int(percent + 0.5)}%" if percent >= 9.95 else f"{percent:.1f}%"

    texts, shares = numbers()
    assert texts[:3] == [str(n) for n in totals]
    assert shares[:3] == [share(n, CELLS) for n in totals]
    page.color_by("quarter")
    page.entry("south east").click()
    page.entry("north east").click()
    page.color_by(GROUP)
    shown = np.isin(quarter, [1, 3])
    counts = [(shown & (known == code)).sum() for code in range(3)]
    texts, shares = numbers()
    assert texts[:3] == [f"{n} of {total}" for n, total in zip(counts, totals, strict=True)]
    assert shares[:3] == [share(n, shown.sum()) for n in counts]
    assert not page.driver.find_elements("css selector", ".entry.empty")
    page.entry("b").click()
    assert page.texts(".entry.empty .text") == ["b"]
    texts, shares = numbers()
    assert texts[1] == f"0 of {totals[1]}"
    assert shares == [share(counts[0], shown.sum() - counts[1]), "", *shares[2:]]


def test_rows_are_ordered_by_the_cells_that_pass_the_other_filters(page: Page, served: Any) -> None:
    page.open(served("uint8"), f"{BARE}&filter=in:7-9:obs:many")
    order_by(page, "Most cells")
    ranked = ["c", "ä/1", "b", "missing"]  # of all cells, most are in b
    assert names(page) == ranked
    page.entry("c").click()
    assert names(page) == ranked, "a click does not move the row"
    page.click(".filter-chip input")
    page.state()
    assert names(page) == ["b", "c", "ä/1", "missing"]


def test_colors_of_categories_can_be_changed(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, known = page.cell_pixels(), codes()
    before = [page.swatch(name) for name in ("ä/1", "b", "c", "missing")]
    reset = page.find(".small-button[title^='Undo all changes']")
    assert not reset.is_displayed()

    def seen(*colors: Any) -> None:
        page.state()
        assert [page.swatch(name) for name in ("ä/1", "b", "c", "missing")] == [*colors]
        assert (pixels_at(page.picture(), places) == np.array(colors)[known]).all()

    page.js(SHOW_COLOR, page.find("[aria-label='Color of b']"), "#12ab34")
    changed = [before[0], (0x12, 0xAB, 0x34), *before[2:]]
    seen(*changed)
    page.wait_until("location.hash.includes('colors=1-12ab34')")
    page.reload()
    seen(*changed)
    page.click(".small-button[title^='Undo all changes']")
    seen(*before)
    page.click("#undo")
    seen(*changed)
