"""Labels of categories: where they are, and which of them there are."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from page_data import QUARTERS, codes

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, needs_browser
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser

IMPORT = """
const done = arguments[arguments.length - 1];
const load = (name) => import(new URL(`_cellucid/page/plot/${name}.js`, document.baseURI));
Promise.all([load("label-layout"), load("label-centers")])
  .then(([layout, centers]) => (%s)(layout, centers, ...arguments))
  .then(done, (error) => done(`${error.stack}`));
"""
PLACE = """({ placeLabels }, _, labels, size) =>
  placeLabels(labels, size, (line) => 7 * line.length)"""
CENTERS = """(_, { findCenters, doCategoriesOverlap }, points, codes, nCategories, flags) => {
  const width = points[0].length;
  const embedding = { points: new Float32Array(points.flat()), width, dimension: width };
  const names = Array.from({ length: nCategories }, (_, code) => `${code}`);
  const column = { codes: new Uint8Array(codes), missingCode: 255, names };
  const bytes = flags && new Uint8Array(flags);
  return [findCenters(column, embedding, bytes, true), doCategoriesOverlap(column, embedding)];
}"""
TEXTS = """({ wrap }, _, texts, max) => import(new URL("_cellucid/page/dom.js", document.baseURI))
  .then(({ cutMiddle }) => texts.map((text) => [wrap(text), cutMiddle(text, max)]))"""


def run(page: Page, function: str, *given: Any) -> Any:
    """Call a function of the modules for labels in the browser."""
    found = page.driver.execute_async_script(IMPORT % function, *given)
    assert not isinstance(found, str), found
    return found


def boxes_of(placed: list[dict[str, Any]]) -> list[tuple[float, ...]]:
    return [tuple(label["box"]) for label in placed]


def assert_apart(boxes: list[tuple[float, ...]]) -> None:
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[2] or a[2] <= b[0] or a[1] >= b[3] or a[3] <= b[1], (a, b)


def passes(line: tuple[float, ...], box: tuple[float, ...]) -> bool:
    """Whether a line that starts outside of a box goes through it."""
    at = np.linspace(line[:2], line[2:], 200)
    inside = ((at > box[:2]) & (at < box[2:])).all(axis=1)
    return bool(inside.any() and not inside[0])


def leaders_of(placed: list[dict[str, Any]], labels: list[dict[str, Any]]) -> list[Any]:
    """Lines from the centers of labels to the nearest points of their boxes."""
    found = []
    for place in placed:
        if place["hasLeader"]:
            center = [labels[place["index"]][axis] for axis in "xy"]
            found.append((*center, *np.clip(center, place["box"][:2], place["box"][2:])))
    return found


def test_labels_find_room(page: Page, served: Any) -> None:
    """In two lines, or beside their cells with a leader line; none covers another."""
    page.open(served("uint8"), BARE)
    alone = {"text": "Plasma", "x": 200, "y": 100}
    (found,) = run(page, PLACE, [alone], [400, 300])
    assert (found["lines"], found["hasLeader"]) == (["Plasma"], False)
    assert np.mean([found["box"][:2], found["box"][2:]], axis=0).tolist() == [200, 100]
    at_the_rim = {"text": "Plasma", "x": 2, "y": 299}
    (found,) = run(page, PLACE, [at_the_rim], [400, 300])
    assert (found["box"][0], found["box"][3]) == (6, 294), "not at the edge"
    assert run(page, PLACE, [{"text": "Plasma", "x": -1, "y": 9}], [400, 300]) == []

    same = [{"text": "CD4 memory T cell", "x": 200, "y": 100} for _ in range(12)]
    found = run(page, PLACE, same, [400, 300])
    assert len(found) >= 5, "no more without a line through another label"
    assert [label["hasLeader"] for label in found] == [False] + [True] * (len(found) - 1)
    assert_apart(boxes_of(found))
    # The first is nudged off the center of the second, and both still lie over their centers.
    close = [{"text": "CD4 memory", "x": x, "y": y} for x, y in ((200, 100), (210, 106))]
    found = run(page, PLACE, close, [400, 300])
    for label, place in zip(close, found, strict=True):
        assert not place["hasLeader"]
        left, top, right, bottom = place["box"]
        assert left < label["x"] < right
        assert top < label["y"] < bottom
    assert_apart(boxes_of(found))
    # Away from their neighbors.
    row = [{"text": "CD4 memory", "x": x, "y": 100} for x in (200, 204, 196)]
    found = run(page, PLACE, row, [400, 300])
    assert [np.sign(box[0] + box[2] - 400) for box in boxes_of(found)] == [0, 1, -1]
    side_by_side = [{"text": "naive B cell", "x": x, "y": 100} for x in (100, 170)]
    found = run(page, PLACE, side_by_side, [400, 300])
    assert found[1]["lines"] == ["naive", "B cell"], "for which one line has no room"

    rng = np.random.default_rng(0)
    words = ["T cell", "natural killer", "alveolar macrophage", "B", "plasmacytoid dendritic cell"]
    places = rng.uniform((-50, -50), (850, 650), (120, 2))
    crowd = [{"text": words[i % 5], "x": x, "y": y} for i, (x, y) in enumerate(places.tolist())]
    found = run(page, PLACE, crowd, [800, 600])
    inside = ((places >= 0) & (places <= (800, 600))).all(axis=1).sum()
    assert len(found) > 0.9 * inside
    assert_apart(boxes_of(found))
    assert found == run(page, PLACE, crowd, [800, 600])
    leaders = leaders_of(found, crowd)
    assert len(leaders) > 10
    boxes = boxes_of(found)
    assert not any(passes(leader, box) for leader in leaders for box in boxes)


def test_labels_keep_their_places_while_zooming(page: Page, served: Any) -> None:
    """In 60 small steps the place of a label, seen from its cells, hardly ever changes."""
    page.open(served("uint8"), BARE)
    rng = np.random.default_rng(1)
    start = rng.normal((400, 300), (120, 90), (25, 2))
    changes, seen = 0, 0
    steps = []
    for zoom in np.geomspace(1, 2, 61):
        places = (start - (400, 300)) * zoom + (400, 300)
        labels = [{"text": f"cell type {i}", "x": x, "y": y} for i, (x, y) in enumerate(places)]
        found = run(page, PLACE, labels, [800, 600])
        steps.append({p["index"]: (len(p["lines"]), p["hasLeader"]) for p in found})
    for before, after in pairwise(steps):
        both = before.keys() & after.keys()
        seen += len(both)
        changes += sum(before[i] != after[i] for i in both)
    assert seen > 1000
    assert changes < 0.03 * seen


def test_texts_are_wrapped_and_cut_in_the_middle(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    texts = ["B", "CD4-positive T cell", "a_long_name_of_a_cluster", "x" * 30, "é" * 12]
    assert run(page, TEXTS, texts, 12) == [
        [["B"], "B"],
        [["CD4-positive", "T cell"], "CD4-pos…cell"],
        [["a_long_name_", "of_a_cluster"], "a_long_…ster"],
        [["x" * 15] * 2, "x" * 7 + "…" + "x" * 4],
        [["é" * 12], "é" * 12],
    ]


def test_centers_are_where_the_visible_cells_are_densest(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    rng = np.random.default_rng(2)
    disc = rng.normal((-0.5, -0.5), 0.1, (400, 2))
    islands = np.vstack(
        [rng.normal((0.7, 0.7), 0.04, (300, 2)), rng.normal((-0.7, 0.7), 0.04, (200, 2))]
    )
    turn = rng.uniform(-2, 2, 300)
    crescent = (0.4, -0.4) + 0.35 * np.column_stack([np.cos(turn), np.sin(turn)])
    points = np.vstack([disc, *islands, crescent, [[1, 1]]])
    codes = np.repeat([0, 1, 2, 0], (400, 500, 300, 1))
    found, overlap = run(page, CENTERS, points.tolist(), codes.tolist(), 4, None)
    assert not overlap
    assert [center["code"] for center in found] == [1, 0, 2], "the largest first, none of no cell"
    at = {center["code"]: np.array(center["position"]) for center in found}
    assert at[0] == pytest.approx((-0.5, -0.5), abs=0.03), "the stray cell does not count"
    assert at[1] == pytest.approx((0.7, 0.7), abs=0.03), "not between the islands"
    assert np.abs(crescent - at[2]).max(axis=1).min() < 0.06, "not inside of the crescent"

    # Without the larger island; then with a selection of the disc; the crescent is filtered out.
    flags = np.zeros(len(codes), int)
    flags[400:700] = flags[900:1200] = 1
    flags[400:900] |= 2
    found, _ = run(page, CENTERS, points.tolist(), codes.tolist(), 4, flags.tolist())
    assert [center["code"] for center in found] == [0, 1, 2], "what is filtered out has room last"
    at = {center["code"]: center for center in found}
    assert at[1]["position"] == pytest.approx((-0.7, 0.7), abs=0.03)
    assert [at[code]["isFaded"] for code in range(3)] == [False, True, True]

    deep = np.column_stack([points, rng.normal(0.2, 0.1, len(points))])
    found, _ = run(page, CENTERS, deep.tolist(), codes.tolist(), 3, None)
    assert [len(center["position"]) for center in found] == [3] * 3
    assert found[0]["position"] == pytest.approx((0.7, 0.7, 0.2), abs=0.05)

    donors = np.arange(len(codes)) % 8
    assert run(page, CENTERS, points.tolist(), donors.tolist(), 8, None)[1], "they are mixed"
    far = [*(points[:-1] / 50).tolist(), [1, 1]]  # one cell has more variance than all others
    assert not run(page, CENTERS, far, codes.tolist(), 4, None)[1]
    assert run(page, CENTERS, far, donors.tolist(), 8, None)[1]
    alone = [*codes[:-1].tolist(), 3]  # a category of which nothing is left without stray cells
    assert not run(page, CENTERS, far, alone, 4, None)[1]
    one = np.zeros(len(codes), int)
    assert not run(page, CENTERS, points.tolist(), one.tolist(), 1, None)[1]


def labels(page: Page) -> dict[str, dict[str, Any]]:
    """Labels that the page has drawn, by their texts."""
    page.state()
    found = page.js("return cellucid.labelBoxes")
    assert len(found) == page.js("return cellucid.labels")
    return {label["text"]: label for label in found}


def test_labels_stay_with_a_gene_and_follow_the_visible_cells(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&color=obs:quarter")
    places, known, text = page.cell_pixels(), codes("quarter"), (29, 35, 41)
    found = labels(page)
    assert found.keys() == {*QUARTERS}
    centers = {name: (label["x"], label["y"]) for name, label in found.items()}
    for code, name in enumerate(QUARTERS):
        assert centers[name] == pytest.approx(places[known == code].mean(axis=0), abs=6)

    def is_written(name: str) -> bool:
        left, top, right, bottom = map(round, labels(page)[name]["box"])
        box = page.picture()[top:bottom, left:right].reshape(-1, 3)
        return bool((np.abs(box.astype(int) - text).max(axis=1) < 3).any())

    assert all(is_written(name) for name in QUARTERS)
    page.color_by("score")
    assert {name: (label["x"], label["y"]) for name, label in labels(page).items()} == centers
    assert all(is_written(name) for name in QUARTERS)
    page.wait_until("location.hash.includes('labelColumn=obs:quarter')")
    page.reload()
    assert {name: (label["x"], label["y"]) for name, label in labels(page).items()} == centers

    # So does the legend, of the row that is pointed at.
    page.color_by("quarter")
    page.mouse.move_to_element(page.entry("north east")).perform()
    found = labels(page)
    assert {name for name in QUARTERS if found[name]["opacity"] == 1} == {"north east"}
    page.move_pointer((5, 5))

    # A selection of one quarter fades the labels of the others.
    west, north = places[:, 0].min() - 3, places[:, 1].min() - 3
    east, south = places[known == 1].max(axis=0) + 3
    page.click("#lasso")
    page.drag((west, north), (east, north), (east, south), (west, south))
    page.click("#lasso")
    found = labels(page)
    assert {name for name in QUARTERS if found[name]["opacity"] == 1} == {"north west"}
    assert [is_written(name) for name in QUARTERS] == [name == "north west" for name in QUARTERS]
    page.js("document.getElementById('clear-selection').click()")
    page.entry("south east").click()  # now it is filtered out
    found = labels(page)
    assert {name for name in QUARTERS if found[name]["opacity"] < 1} == {"south east"}


def test_labels_of_groups_follow_the_groups_with_a_gene(page: Page, served: Any) -> None:
    """A group is renamed or removed: its old name is not in the plot, nor after a reload."""
    link = "d=2&color=groups:"
    for code, name in enumerate(("first", "second")):
        group = [f"g{code}", name, "#d55e00", f"in:{code}:obs:quarter"]
        link += f"&group={quote(json.dumps(group))}"
    page.open(served("uint8"), link)
    page.color_by("Gene3")
    assert labels(page).keys() == {"first", "second"}
    page.click("[data-group='g0'] .chip-text")
    page.find("button[title^='Give another name']").click()
    page.press_keys(".group-list input[type='text']", Keys.CONTROL, "a", Keys.NULL, "west", "\n")
    assert labels(page).keys() == {"west", "second"}
    page.click("button[title^='Remove this group']")
    assert labels(page).keys() == {"second"}
    page.wait_until("location.hash.includes('labelColumn=groups:')")
    page.reload()
    assert labels(page).keys() == {"second"}
    assert not page.is_shown("#notice")
    page.click("[data-group='g1'] .chip-text")
    page.click("button[title^='Remove this group']")
    assert "second" not in labels(page)


def test_labels_of_mixed_categories_are_left_out_with_a_note(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2")
    note = ["Labels are off: categories overlap."]
    assert labels(page) == {}
    assert page.texts("#labels-note") == note
    page.color_by("Gene3")
    assert page.texts("#labels-note") == note, "also of a gene, whose labels are of the column"
    page.driver.back()
    page.wait_until("cellucid.ready && cellucid.colorBy !== 'gene:Gene3'")
    page.click(".small-button[title='Hide all']")
    page.entry("b").click()
    assert labels(page).keys() == {"b"}, "it is alone"
    assert not page.is_shown("#labels-note")
    page.color_by("quarter")
    assert labels(page).keys() == {*QUARTERS}
    assert not page.is_shown("#labels-note")
    page.show_dimension(3)
    assert labels(page) == {}, "in 3D its cells are mixed"
    assert page.is_shown("#labels-note")
