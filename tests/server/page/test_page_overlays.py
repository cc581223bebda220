"""Labels, edges, arrows of vector fields, size and opacity of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_data import QUARTERS, codes, has_edge, names, pairs

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, Pixels, moved_by, needs_browser, pixels_at, swatches
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def test_labels_are_at_the_centroids(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&color=obs:quarter")
    places, known = page.cell_pixels(), codes("quarter")
    page.open_display()
    page.click("#labels")
    assert page.js("return cellucid.labels") == 0
    bare = page.picture()
    page.click("#labels")
    image = page.picture()
    assert page.js("return cellucid.labels") == 4
    changed = (image != bare).any(axis=2)
    for code, name in enumerate(QUARTERS):
        x, y = places[known == code].mean(axis=0)
        box = changed[int(y) - 12 : int(y) + 12, int(x) - 60 : int(x) + 60]
        assert box.sum() > 150, name
        columns = np.flatnonzero(box.any(axis=0))
        assert np.mean(columns[[0, -1]]) == pytest.approx(60, abs=6), name
        changed[int(y) - 12 : int(y) + 12, int(x) - 60 : int(x) + 60] = False
    assert not changed.any(), "nothing else"
    page.show_dimension(1)
    assert page.js("return cellucid.labels") >= 1


def test_edges_between_visible_cells_are_drawn(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, known, ground = page.cell_pixels(), names(), page.background()
    middles = places[pairs()].mean(axis=1)
    steps = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]

    def seen() -> Any:
        image = page.picture()
        around = np.stack([pixels_at(image, middles + step) for step in steps])
        return (around < np.array(ground) - 20).any(axis=(0, 2))

    assert not seen().any()
    page.open_display()
    page.click("#edges")
    assert np.array_equal(seen(), has_edge())
    colors = swatches(page)
    assert (pixels_at(page.picture(), places) == colors).all(), "cells lie on top"
    page.set_slider("#opacity", 0.5)
    assert np.array_equal(seen(), has_edge())
    page.set_slider("#opacity", 1)
    page.entry("b").click()
    assert np.array_equal(seen(), has_edge() & (known[pairs()] != "b").all(axis=1))
    page.click(".small-button[title='Show all']")
    page.show_dimension(3)
    assert page.find("#edges").is_selected()
    page.click("#edges")
    page.show_dimension(2)
    assert not seen().any()


def test_arrows_point_where_the_vector_field_points(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places = page.cell_pixels()
    page.open_display()
    bare = page.picture()
    options = """return [...document.getElementById("vectors").options].map((each) =>
      [each.text, each.disabled])"""
    names = ("None", "Velocity (UMAP)", "Drift (UMAP)")
    assert page.js(options) == [[name, False] for name in names]

    def dark(dx: int, dy: int, image: Pixels) -> float:
        """Share of the cells that have something dark on them there."""
        there = moved_by(places, dx, dy)
        there = there[((there > 0) & (there < bare.shape[1::-1])).all(axis=1)]
        found = pixels_at(image, there).astype(int)
        before = pixels_at(bare, there).astype(int)
        return float((np.abs(found - before).sum(axis=1) > 150).mean())

    page.choose("#vectors", "Velocity (UMAP)")
    image = page.picture()
    shares = [dark(*step, image) for step in ((2, 0), (-2, 0), (0, -2), (0, 2))]
    assert shares[0] > 0.65, shares
    assert max(shares[1:]) < 0.2, shares
    page.choose("#vectors", "Drift (UMAP)")
    image = page.picture()
    shares = [dark(*step, image) for step in ((0, -2), (0, 2), (2, 0), (-2, 0))]
    assert shares[0] > 0.65, shares
    assert max(shares[1:]) < 0.2, shares
    page.click(".small-button[title='Hide all']")  # arrows are of what is seen
    colors = page.color_counts()
    assert min(min(color) for color in colors) >= min(page.context()), "only the context is left"
    page.click(".small-button[title='Show all']")
    page.show_dimension(3)
    assert page.js(options)[2] == ["Drift (UMAP)", True], "there is none in 3D"
    page.choose("#vectors", "None")
    bare, places = page.picture(), page.cell_pixels()
    page.choose("#vectors", "Velocity (UMAP)")
    image = page.picture()
    assert dark(0, -3, image) > dark(0, 3, image) + 0.2, "up is where z grows"
    page.show_dimension(1)
    page.choose("#vectors", "None")
    bare = page.picture()
    page.choose("#vectors", "Velocity (UMAP)")
    assert (page.picture() != bare).any()


def test_size_and_opacity_of_cells(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, colors, ground = page.cell_pixels(), swatches(page), np.array(page.background())
    page.open_display()
    for size in (4, 9):
        page.set_slider("#size", size)
        assert page.find("#size-value").text == f"{size} px"
        image = page.picture()
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            edge = np.array(step) * size / 2
            inner = pixels_at(image, places + edge - 1.1 * np.array(step))
            outer = pixels_at(image, places + edge + 1.1 * np.array(step))
            assert (inner == colors).all()
            assert (outer == ground).all()
    page.set_slider("#opacity", 0.4)
    assert page.find("#opacity-value").text == "40%"
    mixed = 0.4 * colors + 0.6 * ground
    assert np.abs(pixels_at(page.picture(), places) - mixed).max() <= 1
    page.press_keys("#opacity", Keys.END)
    assert (pixels_at(page.picture(), places) == colors).all()
