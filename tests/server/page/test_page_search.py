"""The search box that chooses the color of the cells: columns, genes and their symbols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_data import CELLS, GENES, GROUP, atlas

from cellucid_dask import CellucidServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser, pixels_at
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

OPTIONS = "#color-search-list [role='option']"
ACTIVE = "#color-search-list [aria-selected='true']"
SYMBOLS = ["CD3E", "CD3D", "CD4", "MS4A1", None, "TWIN", "TWIN"]
SYMBOLS += [f"SYM{i}" for i in range(len(SYMBOLS), GENES)]


def gene_id(i: int) -> str:
    return f"ENSG{i:011d}"


@pytest.fixture
def ensembl(serve: Any, tmp_path: Path) -> CellucidServer:
    """Genes with Ensembl ids and symbols; two of them have the same symbol, one has none."""
    adata = atlas()
    adata.var_names = [gene_id(i) for i in range(GENES)]
    adata.var["symbol"] = SYMBOLS
    export(adata, tmp_path / "ensembl", dataset_id="ensembl", quiet=True)
    return serve(tmp_path / "ensembl")


def box_text(page: Page) -> str:
    return page.find("#color-search").get_property("value")


def listed(page: Page) -> list[str]:
    """The groups and the choices of the list, from top to bottom."""
    texts = page.texts(f".choice-heading, {OPTIONS}")
    return [text.replace("\n", " · ") for text in texts]


def test_list_shows_all_columns_and_filters_while_typing(
    page: Page, ensembl: CellucidServer
) -> None:
    page.open(ensembl, "d=2&labels=0")
    assert box_text(page) == GROUP
    assert not page.is_shown("#color-search-list")
    page.click("#color-search")
    groups = ["Categories", f"{GROUP} · 3 categories", "quarter · 4 categories"]
    groups += ["many · 40 categories", "Values", "score"]
    assert listed(page) == ["None", *groups]
    assert page.texts("#color-control .choice-popup .note") == ["Type to search 30 genes"]
    assert page.texts(ACTIVE)[0].startswith(GROUP), "the list opens at the current column"
    box = page.find("#color-search")
    box.send_keys("cd3")  # replaces the name, which is selected
    assert listed(page) == ["Genes", f"CD3D · {gene_id(1)}", f"CD3E · {gene_id(0)}"]
    box.send_keys(Keys.ESCAPE)
    assert not page.is_shown("#color-search-list")
    assert box_text(page) == GROUP, "nothing was chosen"
    box.send_keys(Keys.CONTROL, "a", Keys.NULL, "xyz")
    assert listed(page) == []
    said = "No column and none of the 30 genes matches."
    assert page.texts("#color-control .choice-popup .note") == [said]
    assert page.find("#color-search").get_attribute("aria-activedescendant") is None
    box.send_keys(Keys.ENTER, Keys.ENTER)
    assert box_text(page) == "xyz"
    assert page.texts("#color-control .choice-popup .note") == [f"Nothing is chosen. {said}"]
    assert box.get_attribute("aria-invalid") == "true"
    box.send_keys("w")
    assert page.texts("#color-control .choice-popup .note") == [said]
    assert box.get_attribute("aria-invalid") is None
    box.send_keys(Keys.TAB)
    assert not page.is_shown("#color-search-list")
    assert page.state()["colorBy"] == f"obs:{GROUP}"
    assert page.color_by("None")["colorBy"] is None
    assert box_text(page) == ""
    assert page.texts("#legend *") == []


def test_keys_go_through_the_list(page: Page, served: Any) -> None:
    """The combobox pattern of WAI-ARIA 1.2: the focus stays in the input."""
    page.open(served("uint8"), "d=2&labels=0")
    box = page.find("#color-search")
    page.js("arguments[0].focus()", box)
    roles = ("role", "aria-autocomplete", "aria-haspopup", "aria-controls", "aria-expanded")
    found = [box.get_attribute(role) for role in roles]
    assert found == ["combobox", "list", "listbox", "color-search-list", "false"]

    def active() -> str:
        option = page.find(f"#{box.get_attribute('aria-activedescendant')}")
        assert page.texts(ACTIVE) == [option.text]
        assert option.is_displayed()
        return option.text.partition("\n")[0]

    box.send_keys(Keys.ARROW_DOWN)
    assert box.get_attribute("aria-expanded") == "true"
    walk = {GROUP: Keys.ARROW_UP, "None": Keys.ARROW_UP, "score": Keys.ARROW_DOWN}
    for name, key in walk.items():
        assert active() == name
        box.send_keys(key)
    for key, name in ((Keys.END, "score"), (Keys.HOME, "None"), (Keys.PAGE_DOWN, "score")):
        box.send_keys(key)
        assert active() == name
    box.send_keys(Keys.ESCAPE, "gene1")
    found = [text.partition("\n")[0] for text in page.texts(OPTIONS)]
    assert found == ["Gene1", *(f"Gene{i}" for i in range(10, 20))]
    assert active() == "Gene1"
    box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.press_keys("#color-search", Keys.ENTER)["colorBy"] == "gene:Gene11"
    assert (box_text(page), box.get_attribute("aria-expanded")) == ("Gene11", "false")
    assert page.js("return document.activeElement.id") == "color-search"
    assert page.press_keys("#color-search", "many", Keys.ENTER)["colorBy"] == "obs:many"
    groups = page.js(
        "return [...document.querySelectorAll('#color-search-list > *')].map((each) =>"
        "[each.role, document.getElementById(each.getAttribute('aria-labelledby'))?.innerText])"
    )
    assert groups == [["group", "Categories"]]
    page.click("#color-search")
    assert page.texts(f"{OPTIONS}.current")[-1].startswith("many")
    box.send_keys("score")  # instead of the name, which a click into the closed box selects
    assert page.press_keys("#color-search", Keys.ENTER)["colorBy"] == "obs:score"


def test_gene_is_found_by_symbol_and_id(page: Page, ensembl: CellucidServer) -> None:
    page.open(ensembl, "d=2&labels=0")
    values = atlas().X.toarray()
    for text, i in (("ms4", 3), (gene_id(4), 4), (gene_id(6)[-3:], 6)):
        page.click("#color-search")
        page.find("#color-search").send_keys(text)
        option = next(each for each in page.driver.find_elements("css selector", OPTIONS))
        option.click()
        assert page.state()["colorBy"] == f"gene:{gene_id(i)}"
        found = pixels_at(page.picture(), page.cell_pixels())
        highest = values[:, i].argmax()
        assert (found[highest] != found[values[:, i].argmin()]).any()
        named = gene_id(i) if SYMBOLS[i] is None else f"{SYMBOLS[i]} · {gene_id(i)}"
        assert box_text(page) == named
    assert page.texts("#legend h2") == [f"TWIN · {gene_id(6)}"]
    page.color_by("CD3E")
    assert page.texts("#legend h2") == ["CD3E"]
    page.click("#color-search")
    page.find("#color-search").send_keys("twin")
    assert listed(page) == ["Genes", f"TWIN · {gene_id(5)}", f"TWIN · {gene_id(6)}"]


def test_link_may_have_a_symbol(page: Page, ensembl: CellucidServer) -> None:
    assert page.open(ensembl, "d=2&color=gene:CD4")["colorBy"] == f"gene:{gene_id(2)}"
    assert f"color=gene:{gene_id(2)}" in page.hash()
    assert page.open(ensembl, "d=2&color=gene:TWIN")["colorBy"] == f"obs:{GROUP}"
    both = f"{gene_id(5)}, {gene_id(6)}"
    assert page.texts("#notice p") == [f'2 genes have the symbol "TWIN": {both}. Choose one.']


def test_recent_columns_are_kept(page: Page, served: Any, ensembl: CellucidServer) -> None:
    server = served("uint8")
    page.open(server, "d=2&labels=0&color=obs:score")
    page.js("localStorage.clear()")
    for name in ("quarter", *(f"Gene{i}" for i in range(8)), "Gene3", "None"):
        page.color_by(name)
    recent = ["Gene3", *(f"Gene{i}" for i in (7, 6, 5, 4, 2, 1, 0))]
    for again in (False, True):
        if again:
            page.reload()
        page.click("#color-search")
        assert listed(page)[:10] == ["None", "Recent", *recent]
        page.press_keys("#color-search", Keys.ESCAPE)
    first = page.js("return localStorage.length")
    # Where the browser keeps nothing, as in some frames, all else works.
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    page.js(refuse)
    assert page.color_by("quarter")["colorBy"] == "obs:quarter"
    page.click("#color-search")
    assert "Recent" not in listed(page)
    assert first == 1


SEARCH = """
const [texts, done] = arguments;
const part = (name) => import(new URL(`_cellucid/page/data/${name}.js`, document.baseURI));
Promise.all([part("search-columns"), part("gene-names")]).then(([search, names]) => {
  const n = 30000;
  const genes = Array.from({ length: n }, (_, i) => `ENSG${String(i).padStart(11, "0")}`);
  const symbols = genes.map((_, i) => (i % 10 ? `SYM${i}` : null));
  const given = { 7: "CD3E", 8: "CD3EAP", 9: "NCD3E", 11: "AS-CD3E", 12: "cd3e", 13: "ACTB",
    14: "SAME", 15: "SAME", 17: "HLA-DRA", 18: "CD14", 19: "CD4", 21: "CD40" };
  Object.assign(symbols, given);
  const index = new search.ColumnIndex({
    categories: [["cell_type", 12], ["ACTB", 2], ["one", 1]], values: ["cell.size", "size"],
    genes: new names.GeneNames(genes, symbols).choices });
  const found = texts.map((text) => {
    const options = { recent: ["obs:size", "gene:gone"], hasNone: true };
    const { groups, note } = index.search(text, options);
    const choices = groups.map(({ label, choices }) => [label, choices.map((each) => each.value)]);
    return [choices, note];
  });
  const symbolsAsIds = new names.GeneNames(["CD4", "X"], ["ENSG00000010610", "Y"]);
  done([found, [...symbolsAsIds.choices, symbolsAsIds.find("Y"), symbolsAsIds.describe("CD4")]]);
});
"""


def test_groups_of_cells_are_a_column(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    page.click("#color-search")
    assert "Groups of cells" not in listed(page)
    page.press_keys("#color-search", Keys.ESCAPE)
    page.js(
        "[...document.querySelectorAll('#groups button')].find((each) =>"
        " each.innerText === 'New from visible').click()"
    )
    page.press_keys("#groups input[type='text']", "all", Keys.ENTER)
    page.click("#color-search")
    assert listed(page)[-2:] == ["Groups of cells", "Groups · 1 group"]
    assert page.color_by("groups")["colorBy"] == "groups:"
    assert box_text(page) == "Groups"


def test_touch_opens_the_list_and_chooses(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True)

    def tap(selector: str) -> None:
        rect = page.find(selector).rect
        point = {"x": rect["x"] + rect["width"] / 2, "y": rect["y"] + rect["height"] / 2}
        page.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        page.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    try:
        tap("#color-search")
        page.wait_until("document.getElementById('color-search').ariaExpanded === 'true'")
        assert page.js("return document.activeElement.id") == "color-search"
        tap("#color-search-list [data-value='obs:score']")
        page.wait_until("cellucid.ready && cellucid.colorBy === 'obs:score'")
        assert not page.is_shown("#color-search-list")
    finally:
        page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)


def test_search_ranks_matches_of_30000_genes(page: Page, served: Any) -> None:
    """Same text, equal but for case, prefix, start of a word, inside; then by name."""
    page.open(served("uint8"))

    def genes(*numbers: int) -> list[Any]:
        return ["Genes", [f"gene:{gene_id(i)}" for i in numbers]]

    categories = ["Categories", ["obs:cell_type", "obs:ACTB", "obs:one"]]
    every = [["", [""]], ["Recent", ["obs:size"]], categories]
    every.append(["Values", ["obs:cell.size", "obs:size"]])
    cases: dict[str, tuple[list[Any], str]] = {
        " ": (every, "Type to search 30,000 genes"),
        "CD3E": ([genes(7, 12, 8, 11, 9)], ""),
        "cd3e": ([genes(12, 7, 8, 11, 9)], ""),
        " CD3EA ": ([genes(8)], ""),
        "SAME": ([genes(14, 15)], ""),
        "hla dr": ([genes(17)], ""),
        "cd": ([genes(12, 7, 8, 19, 18, 21, 11, 9)], ""),  # CD4 before CD14
        gene_id(20001): ([genes(20001)], ""),
        "00000000009": ([genes(9)], ""),
        "ACTB": ([["Categories", ["obs:ACTB"]], genes(13)], ""),
        "actb": ([["Categories", ["obs:ACTB"]], genes(13)], ""),
        "size": ([["Values", ["obs:size", "obs:cell.size"]]], ""),
        "Cell Type": ([["Categories", ["obs:cell_type"]]], ""),
        "cell": ([["Categories", ["obs:cell_type"]], ["Values", ["obs:cell.size"]]], ""),
        "none": ([["", [""]]], ""),
        "nothing at all": ([], "No column and none of the 30,000 genes matches."),
    }
    texts = [*cases, "SYM", "ENSG"]
    results, other_names = page.driver.execute_async_script(SEARCH, texts)
    found = dict(zip(texts, results, strict=True))
    for text, (groups, note) in cases.items():
        assert found[text] == [groups, note], text
    assert other_names == [
        {"value": "gene:CD4", "label": "CD4", "detail": "ENSG00000010610"},
        {"value": "gene:X", "label": "X", "detail": "Y"},
        ["X"],
        "CD4",
    ]
    [[_, symbols]], note = found["SYM"]
    given = 12  # of the genes with a symbol, so many have another one
    assert symbols[:3] == [f"gene:{gene_id(i)}" for i in (1, 2, 3)], "in natural order"
    assert (len(symbols), note) == (30, f"{27_000 - given - 30:,} more in Genes")
    [[_, ids]], note = found["ENSG"]
    assert ids[:2] == [f"gene:{gene_id(i)}" for i in (0, 10)], "of genes without a symbol first"
    assert note == "29,970 more in Genes"


def test_export_without_genes_lists_only_columns(page: Page, serve: Any, tmp_path: Path) -> None:
    export(atlas(), tmp_path / "export", quiet=True, expression=False)
    assert page.open(serve(tmp_path / "export"))["ready"]
    assert page.texts("#dataset-counts") == [f"{CELLS} cells · 0 genes"]
    page.click("#color-search")
    assert page.texts("#color-control .choice-popup .note") == ["No genes"]
    assert page.color_by("score")["colorBy"] == "obs:score"
