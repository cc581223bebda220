"""What is done on the stage: the view, the pointer, the lasso, overlays, pictures, links."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from page_data import CELLS, GROUPS, QUARTERS, atlas, joined, pairs

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, Pixels, Places, alone, decoded, needs_browser, pixels_at, rgb
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

GROUP = "the group (x)"
BARE = "d=2&labels=0"
LEGEND = 230  # CSS pixels of a picture, on its right


def names(key: str = GROUP) -> Any:
    """Category of each cell."""
    return np.array(atlas().obs[key].astype(object).where(atlas().obs[key].notna(), "missing"))


def swatches(page: Page, key: str = GROUP) -> Pixels:
    """(n, 3): the colour of each cell, as the legend has it."""
    colours = {name: page.swatch(name) for name in page.texts(".entry .text")}
    return np.array([colours[name] for name in names(key)])


def within(places: Places, outline: list[tuple[float, float]]) -> Any:
    """Which places lie within an outline: a ray from them crosses it an odd number of times."""
    x, y = places.T
    crossed = np.zeros(len(places), int)
    for (ax, ay), (bx, by) in zip(outline, outline[1:] + outline[:1], strict=True):
        between = (y >= min(ay, by)) & (y < max(ay, by))
        if ay != by:
            crossed += between & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return crossed % 2 == 1


def moved_by(places: Places, dx: float, dy: float) -> Places:
    return places + np.array((dx, dy))


def near(found: Places, expected: Any, *, pixels: float = 0.1) -> bool:
    return bool(np.abs(found - expected).max() < pixels)


# -------------------------------------------------------------------------------------- the view


def test_pan_and_zoom(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    assert page.texts("#dimensions button") == ["1D", "2D", "3D"]
    start, before, colours = page.places(), page.picture(), swatches(page)
    middle = [length / 2 for length in before.shape[1::-1]]

    page.drag((300, 200), (340, 230), (380, 250))
    assert near(page.places(), moved_by(start, 80, 50))
    image = page.picture()
    moved = page.places()
    there = (moved < [2 * at - 1 for at in middle]).all(axis=1)
    assert there.sum() > CELLS / 2
    assert (pixels_at(image, moved[there]) == colours[there]).all()

    page.click("#reset")
    assert np.array_equal(page.picture(), before)
    held = np.round(start[123])
    offset = [int(x - half) for x, half in zip(held, np.floor(middle), strict=True)]
    origin = ScrollOrigin.from_element(page.one("#cells"), *offset)
    page.mouse.scroll_from_origin(origin, 0, -300).perform()
    page.until(f"Math.abs(cellucid.at(0)[0] - {start[0, 0]}) > 5")  # wheels come with a frame
    assert near(page.places() - held, np.exp(0.5) * (start - held), pixels=0.5)
    page.mouse.double_click(page.one("#cells")).perform()
    assert np.array_equal(page.picture(), before)

    page.keys("#cells", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert near(page.places(), moved_by(start, 60, -30))
    page.keys("#cells", "0", "+", "+", "-")
    assert near(page.places(), 1.25 * (start - middle) + middle)
    page.keys("#cells", "0")
    assert near(page.places(), start)

    page.cdp("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    left, top = page.js(
        "const b = document.getElementById('cells').getBoundingClientRect();return [b.left, b.top]"
    )
    kinds = ("touchStart", "touchMove", "touchMove", "touchEnd")
    for kind, half in zip(kinds, (50, 75, 100, None), strict=True):
        fingers = (
            []
            if half is None
            else [
                {"x": left + 300 + side * half, "y": top + 200, "id": i}
                for i, side in enumerate((-1, 1))
            ]
        )
        page.cdp("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
    page.state()
    page.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
    assert near(page.places(), 2 * (start - (300, 200)) + (300, 200), pixels=1)


def test_dimensions_and_orbit(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    colours = swatches(page)
    state = page.show(1)
    assert (state["dimension"], state["drawn"]) == (1, CELLS)
    assert page.texts("#dimensions [aria-pressed='true']") == ["1D"]
    places = page.places()
    x = atlas().obsm["X_umap_1d"].ravel()
    assert np.corrcoef(places[:, 0], x)[0, 1] > 0.99999
    assert np.ptp(places[:, 1]) < 0.35 * np.ptp(places[:, 0])
    free = alone(places)
    assert free.sum() > 10
    assert (pixels_at(page.picture(), places[free]) == colours[free]).all()

    page.show(3)
    start = page.places()

    def seen() -> None:
        places = page.places()
        inside = ((places > 0) & (places < (690, 483))).all(axis=1)
        free = alone(places, 14) & inside  # what is near looks larger
        assert free.sum() > 40
        assert (pixels_at(page.picture(), places[free]) == colours[free]).all()

    seen()
    z = atlas().obsm["X_umap_3d"][:, 2]
    assert np.corrcoef(start[:, 1], z)[0, 1] < -0.7, "z is up"
    page.drag((200, 200), (300, 260))
    assert np.hypot(*(page.places() - start).T).mean() > 30
    seen()
    turned = page.places()
    page.drag((200, 200), (230, 190), shift=True)
    assert near(page.places(), moved_by(turned, 30, -10)), "moves and does not turn"
    # Upright again and a whole turn back to where it was, by the keys: 30 pixels each.
    page.click("#reset")
    assert near(page.places(), start)


# ------------------------------------------------------------------------------------ the pointer


def test_the_cell_under_the_pointer_is_told(page: Page, served: Any) -> None:
    page.open(served("uint16"), BARE)
    known, values = names(), atlas().obs["score"].to_numpy()

    def told(places: Places, cell: int) -> str:
        page.point((0, 0))
        page.until("document.getElementById('tooltip').hidden")
        page.point(places[cell])
        page.until("!document.getElementById('tooltip').hidden")
        return page.one("#tooltip").text

    places = page.places()
    for cell in (0, 77, 399):
        assert told(places, cell) == f"cell {cell} · {GROUP}: {known[cell]}"
    box, stage = page.one("#tooltip").rect, page.one("#stage").rect
    assert box["x"] + box["width"] <= stage["x"] + stage["width"]
    assert box["y"] + box["height"] <= stage["y"] + stage["height"]

    page.entry("b").click()
    hidden = int(np.flatnonzero(known == "b")[5])
    page.point(places[hidden])
    page.until("performance.now() > (window.later ??= performance.now() + 120)")
    assert not page.seen("#tooltip")

    page.choose("#color", "score")
    cell, name = told(places, 77).split(" · ")
    assert cell == "cell 77"
    assert float(name.removeprefix("score: ")) == pytest.approx(values[77], abs=0.02)
    assert told(places, CELLS - 1) == f"cell {CELLS - 1} · score: no value"
    page.show(3)
    places = page.places()
    cell = int(np.flatnonzero(alone(places, 16))[0])
    assert told(places, cell).startswith(f"cell {cell} · score: ")
    page.choose("#color", "None")
    assert told(places, cell) == f"cell {cell}"


def test_lasso(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "rows")
    page.open(served("uint8"), BARE)
    places, colours, known = page.places(), swatches(page), names()
    quarters = names("quarter")

    def chosen(expected: Any) -> None:
        """The panel, the counts, the file and the picture tell of the same cells."""
        n = int(expected.sum())
        assert page.one("#selection-size").text == f"{n} cell{'s' * (n != 1)} selected"
        for key, each in (("quarter", quarters), (GROUP, known)):
            page.choose("#count-by", key)
            counts = pd.Series(each[expected]).value_counts()
            shown = (
                "[...document.querySelectorAll('.category-count')]"
                ".map(e => e.innerText.split('\\n')[0])"
            )
            wanted = json.dumps("|".join(sorted(counts.index)))
            page.until(f"{shown}.sort().join('|') === {wanted}")
            lines = [text.split("\n") for text in page.texts(".category-count")]
            found = dict(lines)
            everywhere = pd.Series(each).value_counts()
            assert found == {
                name: f"{count} of {everywhere[name]}" for name, count in counts.items()
            }
            assert [int(text.split()[0]) for text in found.values()] == sorted(counts)[::-1]
        (tmp_path / "rows" / "uint8-rows.txt").unlink(missing_ok=True)
        page.click("#download-rows")
        assert [int(row) for row in arrived("uint8-rows.txt").split()] == np.flatnonzero(
            expected
        ).tolist()

    outline = [(250, 90), (420, 120), (330, 200), (450, 330), (220, 300)]  # with a dent
    page.click("#lasso")
    assert page.one("#lasso").get_attribute("aria-pressed") == "true"
    page.drag(*outline)
    inside = within(places, outline)
    assert 50 < inside.sum() < 200
    assert near(page.places(), places), "the view stays"
    chosen(inside)
    picture = page.picture()
    image, image_size = pixels_at(picture, places), picture.shape[1::-1]
    faded = np.round(0.85 * np.array(page.ground()) + 0.15 * colours)
    assert (image[inside] == colours[inside]).all()
    assert np.abs(image[~inside] - faded[~inside]).max() <= 1

    second = [(460, 90), (580, 90), (580, 190), (460, 190)]  # not beneath the panel
    page.drag(*second, shift=True)
    assert within(places, second).sum() > 5
    both = inside | within(places, second)
    chosen(both)
    page.choose("#color", GROUP)
    page.entry("b").click()  # what is hidden is not selected
    page.state()
    chosen(both & (known != "b"))
    page.click(".small-button[title='Show all']")
    page.drag(*second)
    chosen(within(places, second))

    page.click("#lasso")
    page.drag((300, 200), (330, 220))
    assert near(page.places(), moved_by(places, 30, 20))
    chosen(within(places, second))
    page.show(3)  # what is selected stays so in other dimensions
    chosen(within(places, second))
    page.click("#lasso")
    flat = [(200, 100), (400, 120), (300, 330)]
    page.drag(*flat)
    turned = within(page.places(), flat)
    page.click("#lasso")
    page.drag((200, 200), (260, 230))  # and when it is turned
    chosen(turned)
    page.click("#clear-selection")
    assert not page.seen("#selection")
    there = ((page.places() > 0) & (page.places() < image_size)).all(axis=1)
    found = pixels_at(page.picture(), page.places()[there]) == colours[there]
    assert found.all(axis=1).mean() > 0.6, "nothing is faint"

    page.click("#lasso")  # with the keyboard: all in view
    page.keys("#cells", "+", "+", "+", "+", "+", Keys.ENTER)
    there = ((page.places() > 0) & (page.places() < image_size)).all(axis=1)
    assert 20 < there.sum() < CELLS - 20
    chosen(there)
    page.drag((10, 10), (12, 12))  # no outline
    chosen(there)


# --------------------------------------------------------------------------------------- overlays


def test_edges(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, known, ground = page.places(), names(), page.ground()
    middles = places[pairs()].mean(axis=1)
    steps = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]

    def seen() -> Any:
        image = page.picture()
        around = np.stack([pixels_at(image, middles + step) for step in steps])
        return (around < np.array(ground) - 20).any(axis=(0, 2))

    assert not seen().any()
    page.click("#display summary")
    page.click("#edges")
    assert np.array_equal(seen(), joined())
    colours = swatches(page)
    assert (pixels_at(page.picture(), places) == colours).all(), "cells lie on top"
    page.slide("#opacity", 0.5)
    assert np.array_equal(seen(), joined())
    page.slide("#opacity", 1)
    page.entry("b").click()
    assert np.array_equal(seen(), joined() & (known[pairs()] != "b").all(axis=1))
    page.click(".small-button[title='Show all']")
    page.show(3)
    assert page.one("#edges").is_selected()
    page.click("#edges")
    page.show(2)
    assert not seen().any()


def test_vectors_point_where_the_field_points(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places = page.places()
    page.click("#display summary")
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
    assert (page.picture() == page.ground()).all()
    page.click(".small-button[title='Show all']")
    page.show(3)
    assert page.js(options)[2] == ["Drift (UMAP)", True], "there is none in 3D"
    page.choose("#vectors", "None")
    bare, places = page.picture(), page.places()
    page.choose("#vectors", "Velocity (UMAP)")
    image = page.picture()
    assert dark(0, -3, image) > dark(0, 3, image) + 0.2, "up is where z grows"
    page.show(1)
    page.choose("#vectors", "None")
    bare = page.picture()
    page.choose("#vectors", "Velocity (UMAP)")
    assert (page.picture() != bare).any()


def test_size_and_opacity(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places, colours, ground = page.places(), swatches(page), np.array(page.ground())
    page.click("#display summary")
    for size in (4, 9):
        page.slide("#size", size)
        assert page.one("#size-value").text == f"{size} px"
        image = page.picture()
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            edge = np.array(step) * size / 2
            inner = pixels_at(image, places + edge - 1.1 * np.array(step))
            outer = pixels_at(image, places + edge + 1.1 * np.array(step))
            assert (inner == colours).all()
            assert (outer == ground).all()
    page.slide("#opacity", 0.4)
    assert page.one("#opacity-value").text == "40%"
    mixed = 0.4 * colours + 0.6 * ground
    assert np.abs(pixels_at(page.picture(), places) - mixed).max() <= 1
    page.keys("#opacity", Keys.END)
    assert (pixels_at(page.picture(), places) == colours).all()


# --------------------------------------------------------------------------------------- pictures


def test_pictures(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "pictures")

    def saved(name: str, scale: int) -> Pixels:
        (tmp_path / "pictures" / name).unlink(missing_ok=True)
        page.choose("#picture-scale", f"{scale}×")
        page.click("#save-picture")
        return decoded(arrived(name))

    page.open(served("uint16"), "d=2&color=obs:quarter&hide=3&edges=1&theme=dark")
    screen, places, ground = page.picture(), page.places(), page.ground()
    height, width, _ = screen.shape
    seen = np.array([[*page.swatch(name)] for name in QUARTERS])
    known = names("quarter")
    shown = alone(places) & (known != QUARTERS[3])
    centroids = np.stack([places[known == name].mean(axis=0) for name in QUARTERS])
    for centroid in centroids:  # labels lie there
        shown &= (np.abs(places - centroid) > (60, 14)).any(axis=1)
    colours = seen[[QUARTERS.index(name) for name in known]]
    for scale in (1, 2, 3, 4):
        image = saved("uint16-quarter.png", scale)
        assert image.shape == (height * scale, (width + LEGEND) * scale, 3)
        for step in ((0, 0), (2.2, 0), (-2.2, 0), (0, 2.2), (0, -2.2)):  # whole, also at seams
            found = pixels_at(image, moved_by(places[shown], *step), scale)
            assert (found == colours[shown]).all()
        right = image[:, width * scale :].reshape(-1, 3)
        for number, colour in enumerate(seen):
            dots = (right == colour).all(axis=1).sum()
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
    page.choose("#color", "None")
    assert saved("uint16.png", 1).shape == (height, width, 3)


# ------------------------------------------------------------------------------------------ links


def copied(page: Page) -> str:
    """The link that the page copies."""
    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    page.cdp("Browser.grantPermissions", permissions=allowed)
    page.click("#copy-link")
    page.until("!document.getElementById('notice').hidden")
    assert page.texts("#notice p") == ["Link copied."]
    page.click("#notice button")
    assert not page.seen("#notice")
    return page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")


def same_elsewhere(page: Page, link: str) -> None:
    """A copied link shows the same in another tab."""
    told = ["#status", ".entry .number", ".range-limits span", "#dataset-counts"]
    told += ["#selection-size", ".category-count"] * page.seen("#selection")
    before = page.picture(), page.state(), [page.texts(each) for each in told]
    here = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        page.resize(900, 560)
        page.driver.get(link)
        state = page.state()
        assert page.js("return location.href") == link, "what was read is what would be written"
        after = page.picture(), state, [page.texts(each) for each in told]
    finally:
        page.driver.close()
        page.driver.switch_to.window(here)
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_a_copied_link_shows_the_same(page: Page, serve: Any, made: Path) -> None:
    server = serve(made / "uint16", token="s3cret-and-long-enough")
    page.open(server)
    page.show(2)
    page.choose("#theme", "Dark")
    page.entry("b").click()
    page.slide("#outliers", 0.9)
    page.click("#display summary")
    page.click("#edges")
    page.choose("#vectors", "Velocity (UMAP)")
    page.slide("#size", 5)
    page.slide("#opacity", 0.6)
    page.click("#lasso")
    page.drag((150, 60), (420, 70), (400, 300), (160, 330))
    page.drag((430, 100), (520, 110), (500, 200), shift=True)
    page.click("#lasso")
    page.drag((300, 200), (310, 230))
    link = copied(page)
    found = {key: values[-1] for key, values in parse_qs(link.partition("#")[2]).items()}
    lasso, at = found.pop("lasso"), found.pop("at")
    assert lasso.startswith("2,")
    assert len(at.split(",")) == 3
    assert found == {
        "d": "2",
        "color": f"obs:{GROUP}",
        "hide": "1",
        "outliers": "0.9",
        "edges": "1",
        "vectors": "velocity_umap",
        "size": "5",
        "opacity": "0.6",
        "theme": "dark",
    }
    assert "token" not in link
    same_elsewhere(page, link)

    page.click("#clear-selection")
    page.show(3)
    page.choose("#color", "score")
    page.keys("#log", Keys.SPACE)
    page.choose("#map", "cividis")
    page.keys(".handle:nth-of-type(1)", Keys.PAGE_UP)
    page.keys(".handle:nth-of-type(2)", Keys.PAGE_DOWN)
    page.drag((200, 200), (260, 190))
    page.drag((200, 200), (230, 210), shift=True)
    page.keys("#cells", "+")
    page.js("document.getElementById('labels').click()")
    link = copied(page)
    found = {key: values[-1] for key, values in parse_qs(link.partition("#")[2]).items()}
    assert len(found.pop("at").split(",")) == 5
    assert len(found.pop("range").split(",")) == 2
    assert (found["color"], found["log"], found["map"]) == ("obs:score", "1", "cividis")
    assert (found["d"], found["labels"]) == ("3", "0")
    assert "hide" not in found
    assert "outliers" not in found
    same_elsewhere(page, link)


ROUND_TRIP = """
const [views, texts, done] = arguments;
import(new URL("_cellucid/page/link.js", document.baseURI)).then((link) => {
  const { parseView, formatView, DEFAULT_VIEW } = link;
  const read = views.map((view) => parseView(formatView({ ...DEFAULT_VIEW, ...view })));
  done([read, texts.map(parseView), DEFAULT_VIEW]);
});
"""


def a_view(rng: random.Random) -> dict[str, Any]:
    """What a page may show, with numbers of as many digits as a link has."""

    def number(low: float, high: float) -> float:
        return float(f"{rng.uniform(low, high):.6g}")

    word = "".join(rng.choice("aäß%&=#+,;:/ \"'<>?-0") for _ in range(rng.randrange(1, 9)))
    low = number(-1e6, 1e6)
    every = {
        "dataset": word,
        "d": rng.choice([1, 2, 3]),
        "color": rng.choice([f"obs:{word}", f"gene:{word}", ""]),
        "hide": sorted(rng.sample(range(300), rng.randrange(1, 40))),
        "outliers": number(0.02, 0.99),
        "range": [low, float(f"{low + abs(low) + 1:.6g}")],
        "log": True,
        "map": rng.choice(["magma", "greys"]),
        "labels": False,
        "vectors": word,
        "edges": True,
        "size": number(0.5, 15),
        "opacity": number(0.05, 0.99),
        "theme": rng.choice(["light", "dark"]),
        "at": [number(-2, 2), number(-2, 2), number(0.2, 2000)]
        + [number(-9, 9), number(-1, 1)] * rng.randrange(2),
        "lasso": [
            {
                "d": rng.choice([1, 2, 3]),
                "yaw": number(-9, 9),
                "pitch": number(-1, 1),
                "outline": [[number(-1, 1), number(-1e-5, 1)] for _ in range(rng.randrange(3, 9))],
            }
            for _ in range(rng.randrange(1, 4))
        ],
    }
    return {key: value for key, value in every.items() if rng.random() < 0.6}


def test_links_are_read_as_they_are_written(page: Page, served: Any) -> None:
    page.open(served("uint8"))
    rng = random.Random(0)
    views = [a_view(rng) for _ in range(500)]
    bits = "d= hide= lasso= at= range= outliers= size= & , - 1 0 2 9e9 99999999 NaN % x = # obs:"
    texts = ["".join(rng.choices(bits.split(), k=rng.randrange(12))) for _ in range(1000)]
    read, odd, start = page.driver.execute_async_script(ROUND_TRIP, views, texts)
    for view, found in zip(views, read, strict=True):
        assert found == start | view
    for text, found in zip(texts, odd, strict=True):
        assert found["d"] in (0, 1, 2, 3), text
        assert 0 <= found["outliers"] <= 1, text
        assert found["size"] is None or 0.5 <= found["size"] <= 15, text
        assert found["range"] is None or found["range"][0] < found["range"][1], text
        assert all(0 <= code < 65536 for code in found["hide"]), text
        assert None not in (found["at"] or []), text


def test_a_link_written_by_hand(page: Page, served: Any) -> None:
    """One edited in the address bar is followed; what there is not is told."""
    server = served("uint8")
    odd = "at=x,y&opacity=7&hide=zzz&lasso=2,0,0,1,1&d=9&size=-1&range=2,1&map=nomap&theme=pink"
    page.open(server, odd)
    assert page.state()["ready"]
    assert page.state()["dimension"] == 3
    page.js("window.cellucid = null; location.hash = 'd=2&color=obs:score&map=nomap'")
    state = page.state()
    assert (state["dimension"], state["colorBy"]) == (2, "obs:score")
    assert page.seen(".color-bar")

    page.open(server, "d=2&color=gene:nothing&vectors=none")
    page.state()
    assert page.texts("#notice p") == ['This dataset has no gene "nothing". Choose another one.']
    assert page.state()["colorBy"] == f"obs:{GROUP}"
    page.click("#notice button")
    assert not page.seen("#notice")
    assert np.array([page.swatch(name) for name in GROUPS]).shape == (3, 3)
    assert rgb(page.one("#stage").value_of_css_property("background-color")) == page.ground()
