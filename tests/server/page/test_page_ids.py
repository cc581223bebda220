"""Ids of cells and pinned columns: in the tooltip, and in downloads."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellucid_dask import AnnDataServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, needs_browser
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser
ACROSS, DOWN = 80, 32
CELLS = ACROSS * DOWN  # two blocks of ids
ODD = ["", 'a,"b"', "=1+1", "two\nlines", "ünï 数😀", " x ", "cr\rlf\r\n"]
TOOLTIP = "document.getElementById('tooltip')"
ID_REQUESTS = """
  return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)
    .filter((name) => name.includes('_index'))
"""


ONE_LINE = """
  const line = document.querySelector('#tooltip span');
  const [box, area] = ['tooltip', 'cells'].map((id) =>
    document.getElementById(id).getBoundingClientRect());
  const isInside = box.left >= area.left && box.right <= area.right && box.bottom <= area.bottom;
  return [line.textContent, isInside && line.scrollWidth <= line.clientWidth
    && line.offsetHeight < 25];
"""


def grid() -> AnnData:
    """Cells on a grid, with ids and categories that a CSV file must quote."""
    rng = np.random.default_rng(0)
    kinds = pd.Categorical.from_codes(rng.integers(-1, len(ODD), CELLS), ODD)
    score = rng.normal(size=CELLS).astype("f4")
    score[::7] = np.nan
    ids = [f"{ODD[i % len(ODD)]}{i}" for i in range(CELLS)]
    ids[-1] = f"sample-1_{'ACGT' * 20}-2"
    obs = {"kind, of cell": kinds, "score": score, "n": np.arange(CELLS, dtype="f4") + 1e6}
    places = np.column_stack([np.arange(CELLS) % ACROSS, np.arange(CELLS) // ACROSS])
    return AnnData(
        rng.integers(0, 4, (CELLS, 3)).astype("f4"),
        obs=pd.DataFrame(obs, index=ids),
        var=pd.DataFrame(index=["=A", "score", "C"]),
        obsm={"X_umap_2d": places.astype("f4")},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of the grid: compressed, plain, and without ids."""
    root = tmp_path_factory.mktemp("grids")
    for name, options in (
        ("packed", {"var_quantization": 8, "obs_quantization": 16}),
        ("plain", {"compression": 0, "var_quantization": None, "obs_quantization": None}),
        ("without", {"cell_ids": False}),
    ):
        export(grid(), root / name, quiet=True, dataset_id=name, **options)
    return root


def hover(page: Page, cell: int) -> None:
    page.move_pointer((2, 2))
    page.wait_until(f"{TOOLTIP}.hidden")
    page.move_pointer(page.js("return cellucid.at(arguments[0])", cell))
    page.wait_until(f"!{TOOLTIP}.hidden")


def lines(page: Page) -> list[str]:
    return page.texts("#tooltip span")


def plain(text: str) -> str:
    """The text with spaces as a browser shows them."""
    return " ".join(text.split())


def test_tooltip_has_the_id_and_pinned_values(page: Page, serve: Any, folder: Path) -> None:
    adata, exports, live = grid(), serve(folder), serve(grid(), AnnDataServer)
    for server, link in (
        (exports, "dataset=packed"),
        (exports, "dataset=plain"),
        (live, ""),
    ):
        page.open(server, f"{BARE}&{link}")
        assert page.js(ID_REQUESTS) == [], "no ids before they are asked for"
        for cell, n_requests in ((85, 1), (4, 1), (CELLS - 6, 2)):
            hover(page, cell)
            page.wait_until(f"{TOOLTIP}.innerText.includes(' · ')")
            first, second = lines(page)
            assert first == plain(f"cell {cell:,} · {adata.obs_names[cell]}")
            kind = adata.obs["kind, of cell"].iloc[cell]
            assert second == plain(f"kind, of cell: {'missing' if pd.isna(kind) else kind}")
            assert len(page.js(ID_REQUESTS)) == n_requests, "one block for each"
        hover(page, CELLS - 1)
        page.wait_until(f"{TOOLTIP}.innerText.includes(' · ')")
        first, inside = page.js(ONE_LINE)
        assert re.fullmatch(f"cell {CELLS - 1:,} · sample-1.*…[ACGT]+-2", first), first
        assert inside, "in one line, on the canvas"
    page.open(exports, f"{BARE}&dataset=without")
    hover(page, 85)
    page.state()
    assert lines(page)[0] == "cell 85"


def test_groups_of_a_session_without_ids_may_be_of_other_cells(
    page: Page, serve: Any, folder: Path, tmp_path: Path
) -> None:
    """The page says so, if the session is of another dataset."""
    arrived = page.downloads(tmp_path / "files")
    group = quote(json.dumps(["g1", "first", "#d55e00", "in:0:obs:kind, of cell"]))
    page.open(serve(folder), f"{BARE}&dataset=without&group={group}")
    page.click("button[title^='Save filters']")
    session = json.loads(arrived("without-session.json"))
    session["groups"][0]["rows"], path = [[5, 5]], tmp_path / "mine.json"
    session["view"] += "&filter=group:g1"
    for name, said in (("without", []), ("elsewhere", ['the dataset "elsewhere"', "no cell ids"])):
        session["dataset"]["id"] = name
        path.write_text(json.dumps(session))
        page.find("#groups input[type='file']").send_keys(str(path))
        page.wait_until("location.hash.includes('rows')")
        page.wait_until(f"document.getElementById('notice').hidden === {str(not said).lower()}")
        assert all(part in page.find("#notice").text for part in said)
    assert page.find("#visible-count").text == f"1 of {CELLS:,} cells visible (<0.1%)"


HOLD_FIRST = """
  const send = window.fetch;
  window.fetch = async (...request) => {
    const response = await send(...request);
    if (!window.letGo) await new Promise((resolve) => { window.letGo = resolve; });
    return response;
  };
"""


def test_a_late_id_is_never_that_of_another_cell(page: Page, serve: Any, folder: Path) -> None:
    page.open(serve(folder), f"{BARE}&dataset=plain")
    page.js(HOLD_FIRST)
    hover(page, 85)
    assert lines(page)[0] == "cell 85"
    page.wait_until("Boolean(window.letGo)")
    last = CELLS - 6
    hover(page, last)
    page.wait_until(f"{TOOLTIP}.innerText.includes(' · ')")
    page.js("window.letGo()")
    page.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert lines(page)[0] == plain(f"cell {last:,} · {grid().obs_names[last]}")


def test_pins_are_shown_kept_in_the_link_and_dropped(page: Page, serve: Any, folder: Path) -> None:
    adata, server = grid(), serve(folder / "plain")
    page.open(server, f"{BARE}&color=obs:score")
    assert page.find("#pin").get_attribute("aria-pressed") == "false"
    page.click("#pin")
    assert page.find("#pin").get_attribute("aria-pressed") == "true"
    page.color_by("=A")
    page.click("#pin")
    assert page.find("#pin").get_attribute("aria-pressed") == "true"
    page.color_by("kind")

    def values(cell: int) -> list[str]:
        hover(page, cell)
        page.wait_until(f"!{TOOLTIP}.innerText.includes('…')")
        return lines(page)[2:]

    score = str(np.float32(adata.obs.score.iloc[85]))  # the shortest text of this float32
    expected = [f"score: {score}", f"=A: {adata.X[85, 0]:g}"]
    assert values(85) == expected
    assert values(84)[0] == "score: no value"
    link = page.hash()
    assert link.count("pin=") == 2
    page.js("location.hash = ''")
    page.open(server, link + "&pin=gene:Nope")
    assert 'The pinned column "Nope" is left out' in page.find("#notice").text
    assert values(85) == expected
    page.open_display()
    assert page.texts("#pins .text") == ["score", "=A"]
    page.click("#pins li:first-child button")
    assert page.texts("#pins .text") == ["=A"]
    page.click("#display-button")
    assert values(85) == expected[1:]
    page.click("#undo")
    assert values(85) == expected


def expected_csv(rows: Any, columns: dict[str, Any]) -> pd.DataFrame:
    values = {name: np.asarray(column)[rows] for name, column in columns.items()}
    return pd.DataFrame({"row": rows, **values})


def add_column(page: Page, text: str) -> None:
    box = page.find("#csv-search")
    box.click()
    box.send_keys(text, Keys.ENTER)


def test_csv_is_what_pandas_has(page: Page, serve: Any, folder: Path, tmp_path: Path) -> None:
    adata = grid()
    arrived = page.downloads(tmp_path / "tables")
    kind, score = adata.obs["kind, of cell"].astype(object), adata.obs["score"]
    plain_ids = np.flatnonzero(adata.obs_names.str.startswith("=1+1"))
    contents = []

    def table(name: str) -> pd.DataFrame:
        content = arrived(name)
        (tmp_path / "tables" / name).unlink()
        assert b"nan" not in content
        contents.append(content.decode().split("\n"))
        return pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])

    def check(found: pd.DataFrame, expected: pd.DataFrame, *, exact: bool = True) -> None:
        floats = expected.select_dtypes("float32").columns
        found[floats] = found[floats].astype("f4")
        pd.testing.assert_frame_equal(
            found, expected, check_dtype=False, check_exact=exact, atol=0 if exact else 0.002
        )

    # The lasso of the link holds the lower left quarter.
    exports = serve(folder)
    lasso = "lasso=2,0,0,-2,-2,0.01,-2,0.01,0.01,-2,0.01"
    page.open(exports, f"{BARE}&dataset=plain&{lasso}&pin=obs:n&pin=gene:score&pin=obs:score")
    x, y = adata.obsm["X_umap_2d"].T
    selected = np.flatnonzero((x < ACROSS / 2) & (y < DOWN / 2))
    page.click("#download-selection")
    assert page.texts("#csv-columns .text") == ["kind, of cell", "n", "score", "score"]
    add_column(page, "=A")
    page.click("#csv-columns li:nth-child(2) button")
    assert page.find("#csv-note").text == f"{len(selected)} rows"
    assert not page.is_shown("#csv-caveats"), "these are the numbers of the file"
    page.save_csv()
    columns = {"id": adata.obs_names, "kind, of cell": kind, "score": adata.X[:, 1]}
    columns |= {"obs:score": score, "=A": adata.X[:, 0]}
    empty, kind = kind == "", kind.replace("", np.nan)  # pandas does not tell them apart
    columns["kind, of cell"] = kind
    check(table("plain-selected.csv"), expected_csv(selected, columns))
    for rows, field in ((np.flatnonzero(empty), '""'), (np.flatnonzero(kind.isna() & ~empty), "")):
        known = np.intersect1d(np.intersect1d(rows, selected), plain_ids)
        assert len(known) > 5
        for i in known:
            assert any(line.startswith(f"{i},=1+1{i},{field},") for line in contents[0])

    # A group, whose cells are also in another one; the values are quantized.
    code = list(adata.obs["kind, of cell"].cat.categories).index(ODD[1])
    cells = ["#d55e00", f"in:{code}:obs:kind, of cell"]
    group, twin = (
        quote(json.dumps([*names, *cells])) for names in (("g1", "the group"), ("g2", "twin"))
    )
    page.open(exports, f"{BARE}&dataset=packed&color=obs:score&group={group}&group={twin}")
    page.click(".group-list .chip-text")
    page.click("[title^='Rows, ids and values of the cells, as a table']")
    add_column(page, "C")
    range_of = "steps from the lowest to the highest"
    assert page.find("#csv-caveats").text == (
        "Numbers are rounded, as this dataset has them: "
        f"score in 65,534 {range_of}; C in 254 {range_of}."
    )
    page.click("#csv-columns li:nth-child(2) button")
    add_column(page, "Groups")
    assert page.find("#csv-caveats").text.endswith(
        "A cell of several groups has the name of the last of them."
    )
    page.save_csv()
    members = np.flatnonzero(kind == ODD[1])
    found = table("packed-the_group.csv")
    columns = {"id": adata.obs_names, "score": score, "group": np.full(len(adata), "twin")}
    check(found, expected_csv(members, columns), exact=False)

    # All cells, of live data.
    page.open(serve(grid(), AnnDataServer), f"{BARE}&pin=obs:n")
    page.click("#csv-button")
    page.save_csv()
    columns = {"id": adata.obs_names, "kind, of cell": kind, "n": adata.obs["n"]}
    check(table(f"{page.state()['dataset']}-visible.csv"), expected_csv(np.arange(CELLS), columns))

    # Visible cells, without ids.
    page.open(exports, f"{BARE}&dataset=without&color=&filter=in:{code}:obs:kind, of cell")
    page.click("#csv-button")
    assert not page.is_shown("#csv-ids-control")
    page.save_csv()
    check(table("without-visible.csv"), expected_csv(members, {}))


def test_a_csv_download_can_be_cancelled_and_fail(
    page: Page, serve: Any, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder / "plain", tmp_path / "plain"))
    arrived = page.downloads(tmp_path / "tables")
    page.open(serve(copy), BARE)
    page.js(HOLD_FIRST)
    page.click("#csv-button")
    page.wait_until("!document.getElementById('csv-save').disabled")
    page.find("#csv-save").click()
    page.wait_until("Boolean(window.letGo)")
    page.find("#csv-cancel").click()
    page.js("window.letGo()")
    page.click("#csv-button")
    page.save_csv()
    assert len(pd.read_csv(io.BytesIO(arrived("plain-visible.csv")))) == CELLS
    assert len([*(tmp_path / "tables").iterdir()]) == 1, "no file of what was cancelled"

    path = copy / "obs" / "_index.ids"
    path.write_bytes(b"{" * path.stat().st_size)
    page.open(serve(copy), BARE)
    page.click("#csv-button")
    page.wait_until("!document.getElementById('csv-save').disabled")
    page.find("#csv-save").click()
    page.wait_until("document.getElementById('csv-note').innerText.includes('damaged')")
    assert page.find("#csv-save").is_enabled()
