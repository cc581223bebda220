"""Pictures that the page saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import QUARTERS, names

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import (
    BARE,
    Page,
    Pixels,
    decode_png,
    far_from_others,
    moved_by,
    needs_browser,
    pixels_at,
)

pytestmark = needs_browser


LEGEND = 230  # CSS pixels of a picture, on its right


def test_saved_picture_is_the_screen_at_any_scale(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "pictures")

    def saved(name: str, scale: int) -> Pixels:
        (tmp_path / "pictures" / name).unlink(missing_ok=True)
        page.choose("#picture-scale", f"{scale}×")
        page.click("#save-picture")
        return decode_png(arrived(name))

    page.open(served("uint16"), "d=2&color=obs:quarter&hide=3&edges=1&theme=dark")
    screen, places, ground = page.picture(), page.cell_pixels(), page.background()
    height, width, _ = screen.shape
    seen = np.array([[*page.swatch(name)] for name in QUARTERS])
    known = names("quarter")
    shown = far_from_others(places) & (known != QUARTERS[3])
    centroids = np.stack([places[known == name].mean(axis=0) for name in QUARTERS])
    for centroid in centroids:  # labels lie there
        shown &= (np.abs(places - centroid) > (60, 14)).any(axis=1)
    colors = seen[[QUARTERS.index(name) for name in known]]
    for scale in (1, 2, 3, 4):
        image = saved("uint16-quarter.png", scale)
        assert image.shape == (height * scale, (width + LEGEND) * scale, 3)
        for step in ((0, 0), (2.2, 0), (-2.2, 0), (0, 2.2), (0, -2.2)):  # whole, also at seams
            found = pixels_at(image, moved_by(places[shown], *step), scale)
            assert (found == colors[shown]).all()
        right = image[:, width * scale :].reshape(-1, 3)
        for number, color in enumerate(seen):
            dots = (right == color).all(axis=1).sum()
            assert (dots > 60 * scale**2) == (number != 3), "what is hidden is not in the legend"
        assert (right == ground).all(axis=1).mean() > 0.9
        assert (right.sum(axis=1) > 600).sum() > 200 * scale, "text"
        if scale == 1:
            assert (image[:, :width] == screen).all(axis=2).mean() > 0.995
    assert np.array_equal(page.picture(), screen), "the page is as it was"

    page.open(served("uint16"), f"{BARE}&color=obs:score&map=magma&log=1")
    image = saved("uint16-score.png", 2)
    right = image[:, 2 * width :]
    bar = np.abs(right.astype(int) - (183, 55, 121)).max(axis=2) <= 4
    columns = np.flatnonzero(bar.any(axis=0))
    assert columns.mean() == pytest.approx(LEGEND, abs=4), "the middle of the bar is in the middle"
    page.color_by("None")
    assert saved("uint16.png", 1).shape == (height, width, 3)


def test_picture_of_large_cells_at_a_high_zoom(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "pictures")
    page.open(served("uint8"), "d=2&color=&size=15&at=0,0,2000")
    page.choose("#picture-scale", "4×")
    page.click("#save-picture")
    assert decode_png(arrived("uint8.png")).shape[1] > 2000
