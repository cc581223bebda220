"""The composition: bars of one column, split by another."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from page_data import GROUP, QUARTERS, atlas, names
from PIL import Image

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from axe import assert_accessible
from paging import Page, decode_png, needs_browser, rgb

pytestmark = needs_browser

ESCAPE = "\ue00c"
SVG = "{http://www.w3.org/2000/svg}"
TEAM = '["g1","Team <A>","#d55e00",["any","in:0:obs:quarter","in:1:obs:the group (x)"]]'
ORDER = ["ä/1", "b", "c", "missing"]
# The name of each bar that is drawn, with [name, color, width] of its parts.
DRAWN = """
  const found = {};
  for (const rect of document.querySelectorAll("#composition-chart rect")) {
    const [bar, part] = rect.parentNode.querySelector("title").textContent.split(" · ");
    const { width } = rect.getBBox();
    const color = getComputedStyle(rect).fill;
    (found[bar] ??= []).push([part.split(":")[0], color, width]);
  }
  return Object.entries(found);
"""
COUNT = """
const [bars, splits, mask, done] = arguments;
import(new URL("_cellucid/page/figure/composition.js", document.baseURI)).then((module) => {
  const column = ([names, codes]) => ({
    names, codes, missingCode: 65535,
    categories: [...names.map((name, code) => ({ name, code })), { name: "-", code: 65535 }],
  });
  const counted = module.countComposition(column(bars), column(splits), mask);
  const orders = ["file", "name", "count", "share:0", "share:1"];
  const [a, b] = [column(bars), column(splits)];
  const coarse = column([["x", "y"], bars[1].map((code) => (code < 2 ? 0 : 1))]);
  if ((splits[0].length > 1 && module.isDetermined(a, b)) || !module.isDetermined(a, coarse)
    || !module.isDetermined(coarse, a)) throw new Error("isDetermined");
  done([
    counted.nCells, counted.splits.map(({ name, total }) => [name, total]),
    module.formatComposition(counted),
    orders.map((order) => module.sortBars(counted, order).map(({ name }) => name)),
  ]);
});
"""


def crosstab(mask: Any = slice(None), *, bars: str = GROUP, split: str = "quarter") -> pd.DataFrame:
    return pd.crosstab(names(bars)[mask], names(split)[mask])


@pytest.fixture
def table(page: Page, tmp_path: Path) -> Callable[[str], pd.DataFrame]:
    """Save the CSV of the composition; its counts, and that its shares are those of the counts."""
    folder = tmp_path / "tables"
    arrived = page.downloads(folder)

    def saved(name: str = "uint8-the_group_x_-by-quarter.csv") -> pd.DataFrame:
        (folder / name).unlink(missing_ok=True)
        page.click("#composition-csv")
        rows = pd.read_csv(io.BytesIO(arrived(name)), keep_default_na=False)
        assert [*rows] == ["bar", "split", "count", "share"]
        totals = rows.groupby("bar")["count"].transform("sum")
        np.testing.assert_allclose(rows["share"], rows["count"] / totals, atol=1e-6)
        return rows.pivot_table(index="bar", columns="split", values="count", sort=False)

    return saved


def show(page: Page, n_cells: int, **chosen: str) -> None:
    """Choose in the panel, and wait until it has counted that many cells."""
    for field, text in chosen.items():
        page.choose(f"#composition-{field}", text)
    start = f"document.querySelector('#composition-note').textContent.startsWith('{n_cells} cells')"
    page.wait_until(start)


def test_bars_are_the_counts_of_what_is_visible_selected_or_in_a_group(
    page: Page, served: Any, table: Callable[[str], pd.DataFrame], packages: Path
) -> None:
    link = "d=2&labels=0&color=obs:quarter&lasso=2,0,0,-1,-1,0,-1,0,1,-1,1"
    page.open(served("uint8"), f"{link}&filter=in:0-19:obs:many&group={quote(TEAM)}")
    visible = names("many") < "kind 20"
    script = "document.getElementById('composition-button').click();"
    script += "return document.getElementById('composition-csv').disabled"
    assert page.js(script), "there are no bars yet"
    assert page.js("return document.activeElement.id") == "composition-bars"
    show(page, int(visible.sum()), bars=GROUP)
    assert page.find("#composition-split").get_attribute("value") == "obs:quarter", "as colored"
    counts = crosstab(visible)
    assert table().equals(counts.loc[ORDER, [*QUARTERS]].astype("f8"))
    drawn = dict(page.js(DRAWN))
    length = sum(width for _, _, width in drawn["b"])
    assert [*drawn] == ORDER
    for bar, parts in drawn.items():
        shares = counts.loc[bar, [name for name, _, _ in parts]] / counts.loc[bar].sum()
        assert [width / length for _, _, width in parts] == pytest.approx([*shares], abs=1e-3)
        assert [rgb(color) for _, color, _ in parts] == [page.swatch(name) for name, *_ in parts]
    page.js("document.activeElement.blur()")
    assert_accessible(page, packages, "composition")
    page.click("#composition-chart rect")
    part = page.find("#composition-note").text
    assert part.startswith(
        f"{ORDER[0]} · {drawn[ORDER[0]][0][0]}: {counts.loc[ORDER[0]].iloc[0]} of"
    )

    show(page, int(visible.sum()), show="Counts", order="Count")
    assert [*dict(page.js(DRAWN))] == [*counts.sum(axis=1).sort_values(ascending=False).index]
    drawn = dict(page.js(DRAWN))
    scale = length / counts.to_numpy().sum(axis=1).max()
    for bar, parts in drawn.items():
        widths = pd.Series({name: width for name, _, width in parts})
        np.testing.assert_allclose(widths / scale, counts.loc[bar, widths.index], rtol=0.02)
    page.choose("#composition-order", "Share of south west")
    shares = counts["south west"] / counts.sum(axis=1)
    by_share = [*shares.sort_values(ascending=False, kind="stable").index]
    assert [*table().index] == by_share
    page.press_keys("#composition-reverse", " ")
    assert [*table().index] == [*dict(page.js(DRAWN))] == by_share[::-1], "fewest first"
    page.click("#composition-reverse")

    team = (names("quarter") == QUARTERS[0]) | (names() == "b")
    show(page, int(team.sum()), cells="Group: Team <A>", order="Order of the file")
    assert table().fillna(0).equals(crosstab(team).loc[ORDER[:3], [*QUARTERS]].astype("f8"))
    x = atlas().obsm["X_umap_2d"][:, 0]
    selected = x < (x.min() + x.max()) / 2
    show(page, int((selected & visible).sum()), cells="Selected")
    page.choose("#composition-cells", "Visible")
    page.entry("north east").click()
    visible &= names("quarter") != "north east"
    show(page, int(visible.sum()))
    assert "north east" not in table(), "the picture and the bars have the same filters"
    # What a pointer is choosing from does not change below it.
    x, y = page.js(
        "const { x, y } = document.querySelector('#composition-order').getBoundingClientRect();"
        "return [x + 5, y + 5]"
    )
    held = {"x": x, "y": y, "button": "left", "clickCount": 1}
    page.cdp("Input.dispatchMouseEvent", type="mousePressed", **held)
    page.js("history.back()")
    page.wait_until(f"cellucid.drawn === {(names('many') < 'kind 20').sum()}")
    page.state()
    n_orders = "document.querySelector('#composition-order').length"
    assert page.js(f"return {n_orders}") == 3 + 3
    page.cdp("Input.dispatchMouseEvent", type="mouseReleased", **held)
    page.wait_until(f"{n_orders} === 3 + 4")
    page.click(".small-button[title='Hide all']")
    said = "document.querySelector('#composition-note').textContent"
    page.wait_until(f"{said} === 'No cell passes all filters.'")
    assert page.js(DRAWN) == []
    assert not page.find("#composition-csv").is_enabled()
    assert "quarter: none of 4 categories" in page.texts(".chip-text")
    assert_accessible(page, packages, "no cell is visible")

    page.press_keys("#composition-show", ESCAPE)
    assert not page.is_shown("#composition")
    assert page.js("return document.activeElement.id") == "composition-button"


def test_pictures_have_all_bars_and_the_legend(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "pictures")
    page.open(served("uint8"), "d=2&labels=0&color=obs:quarter&theme=dark")
    page.click("#composition-button")
    show(page, 400, bars="many")
    page.click("#composition-svg")
    svg = ET.fromstring(arrived("uint8-many-by-quarter.svg"))
    counts = crosstab(bars="many")
    texts = [element.text for element in svg.iter(f"{SVG}text")]
    assert {*counts.index, *QUARTERS, "many", "quarter", "0%", "100%"} <= {*texts}
    rects = [
        (group.findtext(f"{SVG}title") or "", rect)
        for group in svg.iter(f"{SVG}g")
        for rect in group.findall(f"{SVG}rect")
    ]
    parts = {title: float(rect.get("width", 0)) for title, rect in rects if " · " in title}
    assert len(parts) == (counts > 0).to_numpy().sum()
    assert f"kind 07 · south east: {counts.loc['kind 07', 'south east']} of 10" in "".join(parts)
    ground = next(svg.iter(f"{SVG}rect"))
    assert ground.get("fill") == "#ffffff", "light, though the page is dark"

    page.click("#composition-png")
    png = arrived("uint8-many-by-quarter.png")
    assert Image.open(io.BytesIO(png)).info["dpi"] == pytest.approx((300, 300), abs=0.1)
    image = decode_png(png)
    ratio = 300 / 96
    assert image.shape[1] == pytest.approx(float(ground.get("width", 0)) * ratio, abs=1)
    for title, rect in rects:
        if title in parts:
            x, y, width = (float(rect.get(name, 0)) for name in ("x", "y", "width"))
            name = title.split(" · ")[1].split(":")[0]
            found = image[round((y + 7) * ratio), round((x + width / 2) * ratio)]
            assert tuple(found) == page.swatch(name)


def test_the_first_bars_and_splits_say_something(page: Page, serve: Any) -> None:
    """Not by one group, and not a column that follows from the other one.

    Cells without a category are not called like a category.
    """
    kind = np.arange(40) % 4
    columns = {"lineage": kind // 2, "kind": kind, "donor": np.arange(40) // 10}
    obs = pd.DataFrame({key: pd.Categorical(codes.astype(str)) for key, codes in columns.items()})
    obs["kind"] = obs["kind"].cat.rename_categories({"1": "missing", "2": "3 "})
    obs.loc[:4, "kind"] = None
    obs.index = obs.index.astype(str)
    points = np.random.default_rng(0).normal(size=(40, 2)).astype("f4")
    server = serve(AnnData(obs=obs, obsm={"X_umap": points}))
    for color, bars, split in (("kind", "donor", "kind"), ("", "lineage", "donor")):
        group = quote('["g1","A","#d55e00","in:0:obs:kind"]')
        page.open(server, f"d=2&labels=0&color={color and 'obs:'}{color}&group={group}")
        page.click("#composition-button")
        show(page, 40)
        found = [
            page.find(f"#composition-{field}").get_attribute("value") for field in ("bars", "split")
        ]
        assert found == [f"obs:{bars}", f"obs:{split}"]
        if split != "kind":
            continue
        kinds = ["0", "missing", "3␣", "3", "no category"]
        assert {part for parts in dict(page.js(DRAWN)).values() for part, *_ in parts} == {*kinds}
        assert page.texts(".entry .text") == kinds
        page.entry(kinds[-1]).click()
        assert page.texts("#filters .chip-text") == [f"kind: not {kinds[-1]}"]
        assert page.state()["drawn"] == 35


def test_counts_and_orders_are_those_of_a_table(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    rng = np.random.default_rng(0)
    odd = ['a,"b"', "10", "9", "ü\nx", "c"]
    for n_bars, n_splits, share in (
        (5, 3, 0.5),
        (60, 300, None),
        (60, 400, 0.5),
        (9, 300, 0.1),
        (2, 1, 0.1),
    ):
        n = 4000
        bars, splits = rng.integers(n_bars, size=n), (n_splits * rng.random(n) ** 2).astype(int)
        mask = None if share is None else rng.random(n) < share
        seen = slice(None) if mask is None else mask
        labels = np.array([odd[i] if i < 5 else f"bar {i}" for i in range(n_bars)])
        n_cells, totals, csv, orders = page.driver.execute_async_script(
            COUNT,
            [labels.tolist(), bars.tolist()],
            [[f"s{i}" for i in range(n_splits)], splits.tolist()],
            None if mask is None else mask.astype(int).tolist(),
        )
        found = pd.read_csv(io.StringIO(csv), keep_default_na=False, lineterminator="\n", dtype=str)
        found["count"] = found["count"].astype(int)
        table = found.pivot_table(index="bar", columns="split", values="count", sort=False)
        expected = pd.crosstab(labels[bars[seen]], splits[seen]).add_prefix("s")
        assert n_cells == expected.to_numpy().sum()
        if expected.shape[1] > 254:
            largest = expected.sum().sort_values(ascending=False, kind="stable").index[:253]
            rest = expected.drop(columns=largest)
            expected = expected[largest].assign(**{f"{rest.shape[1]} others": rest.sum(axis=1)})
            assert len(totals) == 254
            assert totals[-1] == [f"{rest.shape[1]} others", rest.to_numpy().sum()]
        assert table.sort_index().equals(expected[table.columns].sort_index().astype("f8"))
        assert dict(totals) == expected.sum().to_dict()
        by_file, by_name, by_count, *by_share = orders
        assert by_file == [name for name in labels if name in expected.index]
        assert by_name[:2] == ["9", "10"] or n_bars < 3
        assert [*expected.sum(axis=1)[by_count]] == sorted(expected.sum(axis=1), reverse=True)
        for order, split in zip(by_share, ("s0", "s1"), strict=True):
            if split in table:
                shares = (expected[split] / expected.sum(axis=1))[order]
                assert shares.is_monotonic_decreasing
