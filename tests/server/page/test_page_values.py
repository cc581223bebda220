"""Colors of genes and continuous columns at first sight, and the histogram in the legend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from page_data import MAPS, STORAGE_OPTIONS
from scipy import sparse

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Color, Page, needs_browser, pixels_at, rgb
from selenium.webdriver.common.keys import Keys

from cellucid_dask import export

pytestmark = needs_browser

CELLS = 600
PLACES = 200  # three cells at each
GENES = ("Common", "Sparse", "Scaled", "Outlier")
MODULES = """
const [ground, done] = arguments;
const load = (name) => import(new URL(`_cellucid/page/${name}.js`, document.baseURI));
const names = ["color/colormaps", "figure/view-legend"];
Promise.all(names.map(load)).then(([maps, { createViewLegend }]) => {
  const palettes = maps.COLORMAP_NAMES.map((name) => [...maps.colormapPalette(name, ground)]);
  const same = { key: "same", codes: [0, 0, 9], missingCode: 9, zeroCode: -1, lo: 3.7, hi: 3.7,
    usualRange: [3.7, 3.7] };
  const colors = { canvas: ground, zero: ground, missing: ground, context: ground };
  const legend = createViewLegend({ column: same, hidden: new Set(), visible: null, colors,
    appearance: {}, view: { map: "viridis", range: null } });
  done([palettes, legend]);
});
"""
LIMITS = "return [...document.querySelectorAll('.limit')].map((e) => +e.value)"


def expression() -> Any:
    """(cells, genes): the first cell of each place is low, the second at 0, the last one high."""
    rng = np.random.default_rng(3)
    found = np.zeros((CELLS, len(GENES)), "f4")
    found[0::3, 0] = rng.uniform(0.5, 1, PLACES)
    found[2::3, 0] = rng.uniform(4, 5, PLACES)
    found[[5, 302, 599], 1] = 2, 3, 7  # half a percent of the cells
    found[60:, 2] = rng.normal(1, 2, CELLS - 60)  # 0 at the first places
    found[:, 3] = rng.uniform(1, 2, CELLS)
    found[300, 3] = 500
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("values")
    rng = np.random.default_rng(0)
    places = {d: rng.uniform(-1, 1, (PLACES, d)).astype("f4") for d in (1, 2, 3)}
    grid = np.stack([np.arange(PLACES) % 20, np.arange(PLACES) // 20], axis=1)
    places[2] = (grid + rng.uniform(-0.1, 0.1, grid.shape)).astype("f4")
    adata = AnnData(
        sparse.csr_array(expression()),
        obs=pd.DataFrame(
            {
                "kind": pd.Categorical(["low", "zero", "high"] * PLACES),
                "same": 3.7,
                "time": np.arange(CELLS) % 100 + 2**40,  # of which float32 knows one value
            },
            index=[f"cell{i}" for i in range(CELLS)],
        ),
        var=pd.DataFrame(index=list(GENES)),
        obsm={f"X_umap_{d}d": each.repeat(3, axis=0) for d, each in places.items()},
    )
    for name, options in STORAGE_OPTIONS.items():
        export(adata, root / name, quiet=True, centroid_min_points=1, dataset_id=name, **options)
    return root


def limits(page: Page) -> Any:
    return page.js(LIMITS)


def test_usual_range_of_colors(page: Page, serve: Any, exported: Path) -> None:
    """Percentiles of all cells, of the cells that are not 0, and around 0."""
    server, values = serve(exported), expression()
    for name in STORAGE_OPTIONS:
        page.open(server, f"dataset={name}&d=2&color=gene:Common&labels=0")
        steps = {"uint8": 254, "uint16": 65534, "float32": 1e9}[name]

        def usual(gene: int, *shares: float, column: Any = None, steps: float = steps) -> Any:
            column = values[:, gene] if column is None else column
            ends = np.percentile(column, shares, method="nearest")
            return pytest.approx(ends, abs=float(np.ptp(values[:, gene])) / steps + 1e-3)

        assert limits(page)[0] == 0
        assert limits(page)[1:] == usual(0, 99)
        assert page.texts("#legend .note:not(#labels-note)") == ["33% of cells are 0"]
        page.color_by("Sparse")
        assert limits(page)[1:] == usual(1, 99, column=values[[5, 302, 599], 1])
        assert page.texts("#legend .note:not(#labels-note)") == ["99.5% of cells are 0"]
        page.color_by("Outlier")
        if name != "uint8":  # 8 bits have no room for the others beside the outlier
            assert limits(page)[0] == pytest.approx(1, abs=0.02)
            assert limits(page)[1:] == usual(3, 99)
            assert page.texts("#legend .note:not(#labels-note)") == [
                "1 cell above the bar, up to 500"
            ]
            at = page.find(".handle:nth-of-type(2)").get_attribute("value")
            assert 300 < int(at) < 1000, "the outlier does not take all of the bar"
        page.color_by("Scaled")
        assert limits(page) == usual(2, 1, 99)
        assert page.texts("#legend .note:not(#labels-note)") == []
        page.choose("#map", "coolwarm")
        low, high = limits(page)
        assert low == -high
        assert high == usual(2, 99)
        colors = pixels_at(page.picture(), page.cell_pixels()[:60]).astype(int)
        assert np.abs(colors - MAPS["coolwarm"][1]).max() < 5, "0 is in the middle"
        page.choose("#map", "viridis")


def test_zeros_are_grey_and_beneath_and_high_values_on_top(
    page: Page, serve: Any, exported: Path
) -> None:
    page.open(serve(exported), "dataset=uint16&d=3&color=gene:Common&labels=0")
    zero = rgb(page.find(".swatch.zero").value_of_css_property("background-color"))
    assert min(zero) > 200, "light grey"
    assert zero != page.context(), "and not like cells that are filtered out"
    for dimension in (3, 1, 2):
        page.show_dimension(dimension)
        places = page.cell_pixels()[::3]
        found = pixels_at(page.picture(), places).astype(int)
        if dimension < 3:
            assert (found != zero).any(axis=1).all()
        else:
            high = (found[:, 1] > 180) & (found[:, 2] < 100)
            assert high.mean() > 0.97, "over nearer cells too, but for rims of others"
    # Without the high and the low cells, those at 0 are there.
    page.color_by("kind")
    for name in ("low", "high"):
        page.entry(name).click()
    page.color_by("Common")
    found = pixels_at(page.picture(), page.cell_pixels()[::3])
    assert (found == zero).all()
    assert page.texts("#legend .note:not(#labels-note)") == ["100% of cells are 0"]
    assert page.js("return document.querySelector('.value-histogram path').getAttribute('d')") == ""
    page.set_slider("#opacity", 0.5)
    page.show_dimension(3)
    assert page.texts("#legend .note:not(#labels-note)") == ["100% of cells are 0"]


def test_exact_ends_and_histogram_in_the_legend(page: Page, serve: Any, exported: Path) -> None:
    page.open(serve(exported), "dataset=float32&d=2&color=gene:Common&labels=0")
    usual = limits(page)
    bars = page.js("return document.querySelector('.value-histogram path').getAttribute('d')")
    starts = [int(bar.split(" ")[0]) for bar in bars.split("M")[1:]]
    values = expression()[:, 0]
    expected = np.unique(np.minimum(75, np.floor(76 * values[values > 0] / values.max())))
    assert len(set(starts) ^ set(expected.astype(int))) <= 2, "bins where there are values"

    high = page.find(".limit:nth-of-type(2)")
    high.send_keys(Keys.CONTROL + "a" + Keys.NULL, "0.75", Keys.ENTER)
    page.state()
    assert limits(page) == [0, 0.75]
    page.wait_until("location.hash.includes('range=0,0.75')")
    found = pixels_at(page.picture(), page.cell_pixels()[2::3])
    assert (found == MAPS["viridis"][2]).all()
    low = page.find(".limit")
    low.send_keys(Keys.CONTROL + "a" + Keys.NULL, "2", Keys.ENTER)  # above the other end
    page.state()
    assert limits(page) == [0, 0.75]
    page.find(".limit").send_keys(Keys.CONTROL + "a" + Keys.NULL, "0,5", Keys.ENTER)
    assert page.find("#legend .refused").text.startswith('"0,5" has a comma')
    assert limits(page) == [0, 0.75]
    page.click("#undo")
    page.wait_until("+document.querySelectorAll('.limit')[1].value > 1")
    assert limits(page) == usual, "the legend follows an undo"
    page.find(".limit:nth-of-type(2)").send_keys(Keys.CONTROL + "a" + Keys.NULL, "1", Keys.ENTER)
    page.click("#legend .small-button")
    assert limits(page) == usual
    page.wait_until("!location.hash.includes('range=')")


def contrast(a: Color, b: Color) -> float:
    """Contrast of two colors as in WCAG."""
    shares = np.array([a, b]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ (0.2126, 0.7152, 0.0722))
    return float((high + 0.05) / (low + 0.05))


def test_all_colors_stand_out_from_a_dark_ground_also_of_one_value(
    page: Page, serve: Any, exported: Path
) -> None:
    link = "dataset=float32&d=2&labels=0&theme=dark&color=obs:same&log=1"
    page.open(serve(exported), link)
    assert page.texts("#legend .note:not(#labels-note)") == ["All cells are 3.7."]
    assert not page.texts(".handle, .limit, .value-histogram")
    (seen,) = np.unique(pixels_at(page.picture(), page.cell_pixels()), axis=0).tolist()
    assert rgb(page.find(".color-bar").value_of_css_property("background-color")) == tuple(seen)
    page.color_by("Scaled")
    gradient = page.find(".color-bar").value_of_css_property("background-image")
    assert rgb(gradient.removeprefix("linear-gradient(to right, ")) == tuple(seen), "its start"
    page.set_slider(".handle", 1000)  # up to the other one
    found = pixels_at(page.picture(), page.cell_pixels()[2::3])
    assert (found == seen).all(axis=1).mean() > 0.9, "and of the cells that are lower"

    dark = page.background()
    palettes, legend = page.driver.execute_async_script(MODULES, dark)
    row = {"name": "cells at 3.7", "color": f"rgb({' '.join(map(str, seen))})", "count": "2"}
    assert legend["bar"] is None
    assert legend["rows"][0] == row
    for palette in palettes:
        least = min(contrast(tuple(color), dark) for color in np.reshape(palette, (256, 4))[:, :3])
        assert least > 1.99
    palettes, _ = page.driver.execute_async_script(MODULES, (255, 255, 255))
    for palette, (first, _, last) in zip(palettes, MAPS.values(), strict=True):
        assert palette[:3] == [*first], "the whole map on a light ground"
        assert palette[-4:-1] == [*last]


TEXTS = """
const [values, done] = arguments;
const load = (name) => import(new URL(`_cellucid/page/${name}.js`, document.baseURI));
Promise.all(["data/value-text", "data/columns", "dom"].map(load)).then(([text, columns, dom]) => {
  const { ContinuousColumn } = columns;
  const codes = Uint16Array.from({ length: 65536 }, (_, code) => code);
  const column = ContinuousColumn.fromCodes("large", codes, 65534, 1e6, 1e6 + 9);
  const lost = Array.from({ length: 150 }, (_, i) => 437 * i).filter((code) => {
    const shown = Number(column.formatValue(code));
    return !column.passingCodes(shown, shown)[code];
  });
  const small = ContinuousColumn.fromCodes("small", codes, 65534, 10, 19);
  const farthest = Array.from({ length: 150 }, (_, i) => // in steps
    Math.abs(Number(small.formatValue(437 * i)) - small.value(437 * i)) / small.step);
  const { lo, hi } = ContinuousColumn.fromCodes("constant", new Uint8Array([0, 255, 0]), 254, 3, 4);
  const shares = [[0, 9], [1, 3000], [10, 3000], [2990, 3000], [2999, 3000], [9, 9], [1, 3]];
  done([
    values.map((value) => text.formatValue(Math.fround(value))), lost.length,
    Math.max(...farthest), [lo, hi],
    shares.map(([n, total]) => dom.formatShare(n, total)),
  ]);
});
"""


def test_numbers_are_shown_as_they_are(page: Page, serve: Any, exported: Path) -> None:
    """Also constants, for which the format has a range, and whole numbers that float32 rounds."""
    server = serve(exported)
    rng = np.random.default_rng(5)
    values = rng.choice([-1, 1], 500) * 10 ** rng.uniform(-30, 30, 500)
    for name in STORAGE_OPTIONS:
        for column, text in {"same": "3.7", "time": "≈ 1099511600000"}.items():  # 2**40 in float32
            value = text.removeprefix("≈ ")
            link = (
                f"dataset={name}&d=2&color=obs:{column}&filter=range:{value},{value}:obs:{column}"
            )
            assert page.open(server, link)["drawn"] == CELLS, column
            assert page.texts("#legend .note:not(#labels-note)") == [f"All cells are {text}."]
            page.click("#filters .chip-text")
            page.wait_until("document.querySelector('.range-editor')")
            assert page.texts(".range-editor .note")[0].startswith(
                f"Values from {text} to {text}. "
            )
        page.move_pointer(page.cell_pixels()[30])
        page.wait_until("!document.getElementById('tooltip').hidden")
        assert page.find("#tooltip").text.endswith(f"\ntime: {text}"), "not the digits of 2**40"
    texts, n_lost, farthest, ends, shares = page.driver.execute_async_script(TEXTS, values.tolist())
    assert np.array_equal(np.array(texts, "f8").astype("f4"), values.astype("f4"))
    assert n_lost == 0, "a filter of what is shown keeps the cell that shows it"
    assert farthest < 0.13, "the texts of two codes differ"
    assert ends == [3, 3]
    assert shares == ["", "<0.1%", "0.3%", "99.7%", ">99.9%", "100%", "33%"]
