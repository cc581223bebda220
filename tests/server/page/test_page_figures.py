"""Figures that the page saves."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from page_data import CELLS, QUARTERS, atlas, names
from PIL import Image

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from axe import assert_accessible
from paging import (
    BARE,
    Page,
    decode_png,
    far_from_others,
    moved_by,
    needs_browser,
    pixels_at,
)
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
ESCAPE = "\ue00c"
AROUND = ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2))  # pixels of the screen
INK_WIDTHS = """
  const context = document.createElement("canvas").getContext("2d");
  context.font = `600 ${arguments[0]}px Helvetica, Arial, sans-serif`;
  return ["north west", "south west"].map((name) => {
    const ink = context.measureText(name);
    return ink.actualBoundingBoxLeft + ink.actualBoundingBoxRight;
  });
"""
Save = Callable[..., bytes]


@pytest.fixture
def save(page: Page, tmp_path: Path) -> Save:
    """Save a figure with the settings of the dialog, by the ids of its fields."""
    folder = tmp_path / "figures"
    arrived = page.downloads(folder)
    fill = """
      for (const [id, value] of Object.entries(arguments[0])) {
        const field = document.getElementById(`figure-${id}`);
        field.value = value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    """

    def saved(name: str, **settings: Any) -> bytes:
        (folder / name).unlink(missing_ok=True)
        page.click("#save-figure")
        page.js(fill, {"format": name.rpartition(".")[2], **settings})
        page.click("#figure-save")
        return arrived(name)

    return saved


def texts(svg: ET.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def fills(svg: ET.Element, tag: str = "path") -> list[str]:
    return [element.get("fill", "") for element in svg.iter(SVG + tag)]


def hex_color(color: Any) -> str:
    return "#" + bytes(int(channel) for channel in color).hex()


def assert_fills_the_page(svg: ET.Element, width: float) -> None:
    """The plot has the whole width; the legend, in text of 7 pt, is below it up to the end."""
    units = [float(number) for number in svg.get("viewBox", "").split()]
    assert units[2] == pytest.approx(width / 25.4 * 72 / 7 * 12, abs=0.01)
    [image] = svg.iter(f"{SVG}image")
    assert float(image.get("width", 0)) == pytest.approx(units[2], abs=1)
    below = float(image.get("height", 0))
    legend = [e for e in svg.iter(f"{SVG}text") if float(e.get("y", 0)) > below]
    assert len(legend) > 8
    assert {e.get("font-size") for e in legend} == {"12"}
    assert units[3] - max(float(e.get("y", 0)) for e in legend) < 30, "no empty area"
    assert max(float(e.get("x", 0)) for e in legend) > 0.6 * units[2], "columns side by side"


def test_figure_has_the_size_the_resolution_and_the_colors_that_were_asked_for(
    page: Page, served: Any, save: Save
) -> None:
    page.open(served("uint16"), f"{BARE}&color=obs:quarter&hide=3&edges=1&theme=dark")
    screen, places, dark = page.picture(), page.cell_pixels(), page.background()
    height, width, _ = screen.shape
    seen = np.array([[*page.swatch(name)] for name in QUARTERS])
    known = names("quarter")
    shown = far_from_others(places) & (known != QUARTERS[3])
    colors = seen[[QUARTERS.index(name) for name in known]]
    for dpi, ground in ((300, "light"), (150, "screen"), (600, "light")):
        png = save("uint16-quarter.png", width=200, height=60, dpi=dpi, ground=ground)
        assert Image.open(io.BytesIO(png)).info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
        image = decode_png(png)
        size = [round(length / 25.4 * dpi) for length in (60, 200)]
        assert image.shape == (*size, 3)
        scale = math.floor(60 / 25.4 * dpi * width / height) / width  # the plot is as high
        for step in AROUND:
            found = pixels_at(image, moved_by(places[shown], *step), scale)
            assert (found == colors[shown]).all(), "whole cells, also at seams"
        plot, right = np.split(image, [math.ceil(width * scale)], axis=1)
        expected = dark if ground == "screen" else (255, 255, 255)
        assert (right == expected).all(axis=2).mean() > 0.9
        assert (plot == expected).all(axis=2).mean() > 0.3
        for number, color in enumerate(seen):
            dot = (right == color).all(axis=2).sum() / dpi**2  # square inches
            assert (dot > 0.003) == (number != 3), "what is hidden is not in the legend"
        text = np.abs(right.astype(int) - expected).sum(axis=2) > 400
        assert text.sum() > 200 * (dpi / 150) ** 2
    assert np.array_equal(page.picture(), screen), "the page is as it was"
    assert page.background() == dark

    page.open(served("uint16"), "d=2&color=obs:quarter&size=1&opacity=0.05")
    image = decode_png(save("uint16-quarter.png", width=200, dpi=300))
    labels = (image[:, : image.shape[1] // 2] < 90).all(axis=2)
    for half, width in zip(
        np.array_split(labels, 2), page.js(INK_WIDTHS, 7 / 72 * 300), strict=True
    ):
        [ink] = np.nonzero(half.any(axis=0))
        assert np.ptp(ink) == pytest.approx(width, abs=4), "labels have the font of the legend"

    page.open(served("uint16"), f"{BARE}&color=")
    image = decode_png(save("uint16.png", width=60, height=80, dpi=100))
    assert image.shape == (315, 236, 3)
    page.open(served("uint8"), "d=2&color=&size=15&at=0,0,2000")
    assert decode_png(save("uint8.png", dpi=600)).shape[1] == 4252, "large cells at a high zoom"


def test_svg_has_the_cells_as_an_image_and_all_else_as_shapes_and_text(
    page: Page, served: Any, save: Save
) -> None:
    page.open(served("uint16"), "d=2&color=obs:many&vectors=velocity_umap")
    places, screen = page.cell_pixels(), page.picture()
    svg = ET.fromstring(save("uint16-many.svg", width=160, height=90, dpi=300))
    assert (svg.get("width"), svg.get("height")) == ("160mm", "90mm")
    units = [float(number) for number in svg.get("viewBox", "").split()]
    assert units[2] / units[3] == pytest.approx(160 / 90, rel=1e-3)
    [image] = svg.iter(f"{SVG}image")
    cells = decode_png(base64.b64decode(image.get(LINK, "").removeprefix("data:image/png;base64,")))
    inches = float(image.get("width", 0)) / units[2] * 160 / 25.4
    assert cells.shape[1] == pytest.approx(inches * 300, abs=1)
    assert cells.shape[0] / cells.shape[1] == pytest.approx(screen.shape[0] / screen.shape[1], 0.01)
    kinds = [f"kind {number:02d}" for number in range(40)]
    seen = {name: page.swatch(name) for name in kinds}
    found = pixels_at(cells, places, cells.shape[1] / screen.shape[1])
    colors = np.array([seen[name] for name in names("many")])
    assert (found == colors).all(), "no label and no arrow is in the image"

    legend = [text for text in texts(svg) if text in kinds]
    assert set(kinds) <= {*legend}, "each category"
    assert {hex_color(color) for color in seen.values()} <= {*fills(svg)}
    assert texts(svg).count("10") == 40, "the number of cells of each"
    assert "many" in texts(svg)
    arrows = [path for path in svg.iter(f"{SVG}path") if path.get("stroke")]
    assert len(arrows) == 2, "a rim, and the arrows"
    assert arrows[1].get("d", "").count("M") > 300
    svg = ET.fromstring(save("uint16-many.svg", width=85))
    assert set(kinds) <= {*texts(svg)}
    assert_fills_the_page(svg, 85)

    page.open(served("uint16"), "d=2&color=obs:quarter&theme=dark")
    svg = ET.fromstring(save("uint16-quarter.svg"))
    bold = [e for e in svg.iter(f"{SVG}text") if e.get("font-weight") and not e.get("stroke")]
    assert sorted(e.text or "" for e in bold) == sorted([*QUARTERS, "quarter"]), "labels"
    assert {e.get("fill") for e in bold} == {"#1d2329"}, "the text of the light theme"
    assert {e.get("font-size") for e in bold} == {"12"}, "labels are as large as the title"
    Select(page.find("#category-order")).select_by_visible_text("Fewest cells")
    rows = page.texts(".entry .text")
    assert rows != [*QUARTERS]
    svg = ET.fromstring(save("uint16-quarter.svg", width=80))
    assert texts(svg)[-8::2] == rows, "in the order on the page"
    assert_fills_the_page(svg, 80)
    bold = [e for e in svg.iter(f"{SVG}text") if e.get("font-weight") and e.text in QUARTERS]
    assert {e.get("font-size") for e in bold} == {"8.57"}, "labels of a small plot have 5 pt"
    assert {e.text for e in bold} == {*QUARTERS}
    svg = ET.fromstring(save("uint16-quarter.svg", width=25))
    bold = [e for e in svg.iter(f"{SVG}text") if e.get("font-weight") and not e.get("stroke")]
    labels = {e.text for e in bold} - {"quarter"}
    assert labels
    assert labels <= {"north west", "south west"}, "those of the largest"

    page.open(served("uint16"), f"{BARE}&color=obs:score&map=magma&log=1&range=2,500")
    svg = ET.fromstring(save("uint16-score.svg"))
    stops = [stop.get("stop-color") for stop in svg.iter(f"{SVG}stop")]
    assert (stops[0], stops[-1]) == ("#000004", "#fcfdbf")
    assert {"score", "≤ 2", "≥ 500", "log", "cells without a value", "40"} == {*texts(svg)}
    [gradient] = svg.iter(f"{SVG}linearGradient")
    assert f"url(#{gradient.get('id')})" in fills(svg, "rect")
    page.open(served("float32"), f"{BARE}&color=gene:Gene3&range=0,500")
    svg = ET.fromstring(save("float32-Gene3.svg"))
    zeros = CELLS - atlas()[:, "Gene3"].X.count_nonzero()
    assert [*texts(svg)] == ["Gene3", "0", "500", "cells at 0", str(zeros)]


def test_figure_counts_what_is_visible_and_any_name_is_valid_xml(
    page: Page, serve: Any, save: Save, packages: Path
) -> None:
    odd = ['<a & "b">', "bell \x07\x00", "line\nbreak", "😀 & ü", "]]>", "rare"]
    rng = np.random.default_rng(0)
    kinds, side = rng.integers(5, size=300), rng.integers(2, size=300)
    kinds[7], side[7] = 5, 1
    obs = {
        "odd <key>": pd.Categorical.from_codes(kinds, odd),
        "side": pd.Categorical.from_codes(side, ["left", "right"]),
        "long": pd.Categorical(
            [f"a name that is very long {i}, up to the end" for i in range(300)]
        ),
    }
    frame = pd.DataFrame(obs, index=[f"cell{i}" for i in range(300)])
    adata = AnnData(np.ones((300, 1), "f4"), frame, pd.DataFrame(index=["gene"]))
    adata.obsm["X_umap_2d"] = rng.random((300, 2), "f4")
    server = serve(adata)
    lasso = "lasso=2,0,0,-1,-1,0,-1,0,1,-1,1"
    page.open(server, f"d=2&labels=0&color=obs:odd <key>&filter=out:1:obs:side&{lasso}")
    dataset = page.state()["dataset"]
    svg = ET.fromstring(save(f"{dataset}-odd_key_.svg"))
    rows = pd.Series(kinds[side == 0]).value_counts()
    shown = {text.replace("\n", " "): str(rows[code]) for code, text in enumerate(odd[:5])}
    found = [text.replace("\n", " ") for text in texts(svg)]
    legend = dict(zip(found[1::2], found[2::2], strict=True))
    filtered = legend.pop("cells filtered out")
    selected = int(page.find("#selection-size").text.split()[0])
    assert legend.pop("paler: not selected") == str((side == 0).sum() - selected)
    assert filtered == str((side == 1).sum())
    odd_names = {re.sub("[\x00-\x1f]", "\ufffd", name): n for name, n in shown.items()}
    assert legend == odd_names, "but no row of a category that no visible cell has"

    page.open(server, "d=2&labels=0&color=obs:long")
    page.click("#save-figure")
    page.js(
        "const field = document.getElementById('figure-height'); field.value = 30;"
        "field.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    assert_accessible(page, packages, "figure dialog")
    note = page.find("#figure-note").text
    n = int(re.findall(r"room for (\d+) of 300 rows", note)[0])
    page.press_keys("#figure-height", ESCAPE)
    assert page.js("return document.activeElement.id") == "save-figure"
    svg = ET.fromstring(save(f"{dataset}-long.svg", height=30))
    assert texts(svg)[-1] == f"and {300 - n} more"
    assert all("…" in text and text.endswith("the end") for text in texts(svg)[1:-1:2])
    svg = ET.fromstring(save(f"{dataset}-long.svg", width=400, height=300, text=5))
    assert len(texts(svg)) == 601, "all rows, if there is room"

    page.click("#save-figure")
    for width, said in {
        "5": "Width: Choose a number from 20 to 1000.",
        "85,5": 'Width: "85,5" has a comma: write decimals with a point',
    }.items():
        page.press_keys("#figure-width", Keys.CONTROL, "a", Keys.NULL, width)
        assert page.find("#figure-note").text.startswith(said)
        assert not page.find("#figure-save").is_enabled()
    page.click("#figure-cancel")
    assert not page.is_shown("#figure-dialog")
