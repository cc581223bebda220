"""The first view and the buttons that fit the view to cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from page_data import CELLS, GROUP, names
from scipy import sparse

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, Places, far_from_others, near, needs_browser, pixels_at, swatches

from cellucid_dask import AnnDataServer

pytestmark = needs_browser

STRAYS = 2
COVERING = """
  const { left, top } = document.getElementById("cells").getBoundingClientRect();
  return [...document.querySelectorAll("#tools, #selection, #stray-cells")]
    .filter((each) => each.checkVisibility()).map((each) => {
      const box = each.getBoundingClientRect();
      return [box.left - left, box.top - top, box.right - left, box.bottom - top];
    });
"""


def canvas_size(page: Page) -> tuple[int, int]:
    return tuple(page.js("const c = cells; return [c.clientWidth, c.clientHeight]"))


def is_free(page: Page, places: Places) -> Any:
    """Which places are on the canvas, and not below what covers it."""
    free = ((places > 0) & (places < canvas_size(page))).all(axis=1)
    for left, top, right, bottom in page.js(COVERING):
        x, y = places.T
        free &= ~((x > left) & (x < right) & (y > top) & (y < bottom))
    return free


def fills(page: Page, places: Places) -> bool:
    """Whether places are all free, and reach nearly from side to side in one direction."""
    covers = np.array(page.js(COVERING))
    tools = covers[covers[:, 1].argmin()]
    width, height = canvas_size(page)
    share = np.ptp(places, axis=0) / (width, height - tools[3])
    return bool(is_free(page, places).all()) and 0.8 < share.max() < 1


def scattered_atlas() -> AnnData:
    """Cells of which many started below the canvas in 3D; two are far outside in 2D."""
    rng = np.random.default_rng(0)
    n = 900
    corner = rng.integers(2, size=(n, 3)) * 2 - 1
    solid = np.clip(corner + rng.normal(0, 0.1, (n, 3)), -1, 1)
    flat = rng.uniform(0, 1, (n, 2))
    flat[[7, 400]] = (30, -20), (-9, 44)
    kind = pd.Categorical.from_codes((corner[:, 0] > 0).astype(int), ["left", "right"])
    return AnnData(
        sparse.csr_array((n, 1), dtype="f4"),
        obs=pd.DataFrame({"kind": kind}, index=[f"cell{i}" for i in range(n)]),
        var=pd.DataFrame(index=["gene"]),
        obsm={
            "X_umap_1d": flat[:, :1].astype("f4"),
            "X_umap_2d": flat.astype("f4"),
            "X_umap_3d": solid.astype("f4"),
        },
    )


def test_first_view_shows_all_cells_in_the_free_area(page: Page, serve: Any) -> None:
    server = serve(scattered_atlas(), AnnDataServer)
    page.open(server, "d=3&labels=0&color=obs:kind&at=0,0,1,0.5,0.4")
    below = ~is_free(page, page.cell_pixels())
    assert below.sum() > 100, "a link of an earlier version shows what it did, cut off as it was"
    page.click("#reset")
    assert fills(page, page.cell_pixels())
    page.wait_until("!location.hash.includes('at=')")
    state = page.open(server, "d=3&labels=0&color=obs:kind")
    assert state["strayCells"] == 0
    start = page.cell_pixels()
    assert fills(page, start)
    colors = swatches_of_kind(page)
    free = far_from_others(start, 12)
    assert free.sum() > 3
    assert (pixels_at(page.picture(), start[free]) == colors[free]).all()

    page.resize(1100, 700)  # at the start the view stays fitted
    page.wait_until(f"Math.abs(cellucid.at(0)[0] - {start[0, 0]}) > 3")
    page.state()
    assert fills(page, page.cell_pixels())
    page.drag((300, 300), (340, 300))
    page.wait_until("location.hash.includes('at=')")
    moved = page.cell_pixels()
    page.reload()
    assert near(page.cell_pixels(), moved, pixels=0.01)

    # In a turned view the cells around which it turns stay where they are.
    page.click("#reset")
    middle = page.cell_pixels().mean(axis=0)
    page.drag((300, 300), (390, 300))
    assert np.abs(page.cell_pixels().mean(axis=0) - middle).max() < 60


def swatches_of_kind(page: Page) -> Any:
    known = scattered_atlas().obs["kind"]
    colors = {name: page.swatch(name) for name in ("left", "right")}
    return np.array([colors[name] for name in known])


@pytest.mark.parametrize("dimension", [1, 2])
def test_stray_cells_do_not_shrink_the_rest(page: Page, serve: Any, dimension: int) -> None:
    state = page.open(serve(scattered_atlas(), AnnDataServer), f"d={dimension}&labels=0")
    places = page.cell_pixels()
    is_stray = np.isin(np.arange(len(places)), [7, 400])
    assert state["strayCells"] == STRAYS
    assert not is_free(page, places[is_stray]).any()
    assert fills(page, places[~is_stray])
    assert page.texts("#stray-cells span") == ["2 cells far outside are not in view."]
    colors = swatches_of_kind(page)
    free = far_from_others(places, 8) & ~is_stray
    assert free.sum() > 20
    assert (pixels_at(page.picture(), places[free]) == colors[free]).all()

    assert page.click("#stray-cells button")["strayCells"] == 0
    assert not page.is_shown("#stray-cells")
    assert is_free(page, page.cell_pixels()).all()
    assert np.ptp(page.cell_pixels()[~is_stray, 0]) < 40, "the others are small now"
    page.press_keys("#cells", "0")
    assert near(page.cell_pixels(), places)
    assert page.is_shown("#stray-cells")
    page.drag((300, 300), (340, 300))
    assert not page.is_shown("#stray-cells"), "the user chose where to look"


def test_view_fits_visible_and_selected_cells(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0&color=obs:quarter")
    start, quarter = page.cell_pixels(), names("quarter")
    assert fills(page, start)
    assert page.find("#fit-visible").get_attribute("disabled")
    assert page.find("#zoom-selection").get_attribute("disabled")
    page.entry("north east").click()
    page.entry("north west").click()
    page.entry("south west").click()
    page.click("#fit-visible")
    places = page.cell_pixels()
    shown = quarter == "south east"
    assert fills(page, places[shown])
    assert np.ptp(places[shown, 0]) > 1.5 * np.ptp(start[shown, 0])
    found = pixels_at(page.picture(), places[shown])
    assert (found == page.swatch("south east")).all()
    page.wait_until("location.hash.includes('at=')")

    page.click("#reset")  # the first view is of the cells that are drawn
    page.entry("south east").click()  # none is visible now
    page.click("#fit-visible")
    page.click("#reset")
    assert near(page.cell_pixels(), start)
    # One cell alone does not fill the view: it shows 15% of the extent of all cells.
    page.click(".small-button[title='Show all']")
    x, y = start[7]
    page.click("#lasso")
    page.drag((x - 2, y - 2), (x + 2, y - 2), (x + 2, y + 2), (x - 2, y + 2))
    page.click("#lasso")
    page.click("#zoom-selection")
    close = page.cell_pixels()
    assert is_free(page, close)[7]
    extents = np.ptp(close, axis=0) / np.ptp(start, axis=0)
    assert extents == pytest.approx([1 / 0.15] * 2, rel=0.01)
    page.open(served("uint8"), "d=2&labels=0&lasso=2,0,0,-0.2,-0.2,0.2,-0.2,0.2,0.2,-0.2,0.2")
    before = page.cell_pixels()
    page.click("#zoom-selection")
    zoomed = page.cell_pixels()
    free = is_free(page, zoomed)
    found = pixels_at(page.picture(), zoomed[free])
    selected = np.flatnonzero(free)[(found == swatches(page, GROUP)[free]).all(axis=1)]
    assert page.find("#selection-size").text == f"{len(selected)} cells selected"
    assert 10 < len(selected) < free.sum() < 0.5 * CELLS
    assert np.ptp(zoomed[selected], axis=0).max() > 1.5 * np.ptp(before[selected], axis=0).max()


PURE = """
const [points, done] = arguments;
(async () => {
  const url = new URL("_cellucid/page/plot/fit.js", document.baseURI);
  const { closestZoom, findBounds, fitBounds, largestFreeArea } = await import(url);
  const rotation = { yaw: 0, pitch: 0 };
  const find = (flat, width, which) => findBounds(Float32Array.from(flat), width, rotation, which);
  const flags = Uint8Array.from(points, (_, i) => (i % 3 ? 0 : 1));
  const flat = points.flat();
  done({
    all: find(flat, 2, {}),
    kept: find(flat, 2, { keepsStrays: true }),
    some: find(flat, 2, { flags, excludedBits: 1 }),
    none: find(flat, 2, { flags: flags.fill(1), excludedBits: 1 }),
    one: find([0.5, 0.25], 2, {}),
    two: find([0, 0, 1, 1], 2, {}),
    same: find(Array(400).fill(0.5).concat([0.9, 0.9]), 2, {}),
    // with yaw and pitch 0 the second coordinate goes away from the eye
    solid: find([1, 0, 0, -1, 0, 0, 0.5, -1, 0.5, 0, 1, -1], 3, {}),
    fit: fitBounds([0, 0, 0.5, 0.5], 2, [100, 0, 500, 300], [500, 500]),
    line: fitBounds([-0.001, -1, 0.001, 1], 1, [0, 100, 800, 300], [800, 300]),
    point: fitBounds([0, 0, 0, 0], 2, [0, 0, 500, 500], [500, 500]),
    closest: [1, 25, 100, 2500].map((count) => closestZoom(count, 3)),
    areas: [
      largestFreeArea([0, 0, 100, 50], []),
      largestFreeArea([0, 0, 100, 50], [[60, 0, 100, 10]]),
      largestFreeArea([0, 0, 100, 50], [[0, 0, 100, 10], [80, 20, 100, 50], [200, 0, 300, 9]]),
      largestFreeArea([0, 0, 100, 50], [[-1, -1, 200, 200]]),
    ],
  });
})();
"""


def test_bounds_and_viewpoints_are_right(page: Page, served: Any) -> None:
    page.open(served("uint8"))
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 1, (30_000, 2)).astype("f4")
    points[:3] = 1.9  # outside the box by less than its size
    points[3:12] = 7, -4
    found = page.driver.execute_async_script(PURE, points.tolist())
    lowest, highest = points[12:].min(axis=0).tolist(), points[:3].max(axis=0).tolist()
    assert found["all"]["strayCount"] == 9
    assert found["all"]["bounds"] == [*lowest, *highest]
    kept = {"count": len(points), "strayCount": 0, "bounds": [lowest[0], -4, 7, highest[1]]}
    assert found["kept"] == kept
    index = np.arange(len(points))
    some = points[(index % 3 > 0) & ((index < 3) | (index > 11))]
    assert found["some"]["bounds"] == [*some.min(axis=0).tolist(), *some.max(axis=0).tolist()]
    assert (found["some"]["count"], found["some"]["strayCount"]) == (len(some), 6)
    assert found["none"] is None
    assert found["one"] == {"bounds": [0.5, 0.25, 0.5, 0.25], "count": 1, "strayCount": 0}
    assert found["two"]["strayCount"] == 0
    assert found["same"]["bounds"] == pytest.approx([0.5, 0.5, 0.9, 0.9])
    closer, farther = 3.5 / 2.5, 3.5 / 4.5
    solid = [-1, min(-farther, 0), 1, 0.5 * closer]
    assert found["solid"]["bounds"] == pytest.approx(solid, rel=1e-6)

    fit, line, point = found["fit"], found["line"], found["point"]
    pixels = 0.47 * 500 * fit["zoom"]  # of a plane unit
    assert 250 < 0.5 * pixels < 300
    x, y = ((0.25 - fit["center"][0]) * pixels, (fit["center"][1] - 0.25) * pixels)
    assert (250 + x, 250 + y) == pytest.approx((300, 150)), "the middle of the area"
    assert 700 < 0.47 * 800 * line["zoom"] * 0.002 < 800
    assert 100 < 0.47 * 800 * line["zoom"] * line["bandScale"] * 0.35 < 200
    assert line["center"][1] == pytest.approx(50 / (0.47 * 800 * line["zoom"] * line["bandScale"]))
    assert (point["center"], point["zoom"] <= 2000) == ([0, 0], True)
    assert found["closest"] == pytest.approx([20, 20, 40, 200])
    assert found["areas"] == [[0, 0, 100, 50], [0, 10, 100, 50], [0, 10, 80, 50], [0, 0, 0, 0]]
