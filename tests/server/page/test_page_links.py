"""Links: the view in the address of the page."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from page_data import CELLS, GROUP, GROUPS

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import SIZE, Page, needs_browser, rgb
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def copy_link(page: Page) -> str:
    """Click Copy link and return the link."""
    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    page.cdp("Browser.grantPermissions", permissions=allowed)
    page.keep_notices()
    page.click("#copy-link")
    page.wait_until("!document.getElementById('notice').hidden")
    told = page.texts("#notice p")[0]
    host = page.js("return location.host")
    copied = f"Link copied, for this computer: its address is {host}."
    assert told == f"{copied} To a colleague with the data, send a session."
    page.click("#notice button")
    assert not page.is_shown("#notice")
    return page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")


HOSTS = {
    "127.0.0.1": True,
    "127.8.0.2": True,
    "[::1]": True,
    "localhost": True,
    "atlas.localhost": True,
    "127.0.0.1.lab.org": False,
    "localhost.lab.org": False,
    "node7": False,
    "mylocalhost": False,
}
ARE_LOCAL = """
const [hosts, done] = arguments;
import(new URL("_cellucid/page/link/address.js", document.baseURI))
  .then(({ isThisComputer }) => done(hosts.map(isThisComputer)));
"""


def assert_same_in_new_tab(page: Page, link: str) -> None:
    """Assert that a link shows the same in another tab."""
    selectors = ["#status", ".entry .number", "#dataset-counts"]
    selectors += ["#selection-size", ".category-count"] * page.is_shown("#selection")
    before = page.picture(), page.state(), [page.texts(each) for each in selectors]
    here = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        page.resize(*SIZE)
        page.driver.get(link)
        state = page.state()
        assert page.js("return location.href") == link, "what was read is what would be written"
        after = page.picture(), state, [page.texts(each) for each in selectors]
    finally:
        page.driver.close()
        page.driver.switch_to.window(here)
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_copied_link_shows_the_same_view(page: Page, serve: Any, all_exports: Path) -> None:
    server = serve(all_exports / "uint16", token="s3cret-and-long-enough")
    page.open(server)
    page.show_dimension(2)
    page.choose("#theme", "Dark")
    page.entry("b").click()
    page.set_slider("#outliers", 0.9)
    page.open_display()
    page.click("#edges")
    page.choose("#vectors", "Velocity (UMAP)")
    page.set_slider("#size", 5)
    page.set_slider("#opacity", 0.6)
    page.click("#lasso")
    page.drag((150, 60), (420, 70), (400, 300), (160, 330))
    page.drag((430, 100), (520, 110), (500, 200), key=Keys.SHIFT)
    page.click("#lasso")
    page.drag((300, 200), (310, 230))
    link = copy_link(page)
    assert page.driver.execute_async_script(ARE_LOCAL, list(HOSTS)) == list(HOSTS.values())
    found = {key: values[-1] for key, values in parse_qs(link.partition("#")[2]).items()}
    filters = parse_qs(link.partition("#")[2])["filter"]
    assert filters == [f"out:1:obs:{GROUP}", f"outliers:0.9:obs:{GROUP}"]
    lasso, at = found.pop("lasso"), found.pop("at")
    del found["filter"]
    assert lasso.startswith("2,")
    assert len(at.split(",")) == 3
    assert found == {
        "d": "2",
        "color": f"obs:{GROUP}",
        "edges": "1",
        "vectors": "velocity_umap",
        "size": "5",
        "opacity": "0.6",
        "theme": "dark",
    }
    assert "token" not in link
    assert_same_in_new_tab(page, link)

    page.click("#clear-selection")
    page.show_dimension(3)
    page.color_by("score")
    page.press_keys("#log", Keys.SPACE)
    page.choose("#map", "cividis")
    page.press_keys(".handle:nth-of-type(1)", Keys.PAGE_UP)
    page.press_keys(".handle:nth-of-type(2)", Keys.PAGE_DOWN)
    page.drag((200, 200), (260, 190))
    page.drag((200, 200), (230, 210), key=Keys.SHIFT)
    page.press_keys("#cells", "+")
    page.js("document.getElementById('labels').click()")
    link = copy_link(page)
    found = {key: values[-1] for key, values in parse_qs(link.partition("#")[2]).items()}
    assert len(found.pop("at").split(",")) == 5
    assert len(found.pop("range").split(",")) == 2
    assert (found["color"], found["log"], found["map"]) == ("obs:score", "1", "cividis")
    assert (found["d"], found["labels"]) == ("3", "0")
    assert "filter" in found, "filters stay when the color changes"
    assert_same_in_new_tab(page, link)


Number = Callable[[float, float], float]

ROUND_TRIP = """
const [views, texts, done] = arguments;
import(new URL("_cellucid/page/link/link.js", document.baseURI)).then((link) => {
  const { parseView, formatView, DEFAULT_VIEW } = link;
  const problems = [];
  const read = views.map((view) => parseView(formatView({ ...DEFAULT_VIEW, ...view }), problems));
  done([read, texts.map((text) => parseView(text)), DEFAULT_VIEW, problems]);
});
"""


def random_lasso(rng: random.Random, number: Number, word: str) -> dict[str, Any]:
    removes = {"removes": True} if rng.random() < 0.3 else {}
    return removes | {
        "d": rng.choice([1, 2, 3]),
        "embedding": rng.choice(["", word]),
        "yaw": number(-9, 9),
        "pitch": number(-1, 1),
        "outline": [[number(-1, 1), number(-1e-5, 1)] for _ in range(rng.randrange(3, 9))],
    }


def random_filter(rng: random.Random, number: Number, word: str) -> dict[str, Any]:
    kind = rng.choice(["categories", "range", "outliers", "selection", "group"])
    column = rng.choice([f"obs:{word}", f"gene:{word}"])
    low = number(-1e6, 1e6)
    parts = {
        "categories": {"codes": sorted(rng.sample(range(300), rng.randrange(1, 40)))},
        "range": {
            "from": rng.choice([low, None]),
            "to": float(f"{low + abs(low) + 1:.6g}"),
        },
        "outliers": {"quantile": number(0.02, 0.99)},
        "selection": {"lassos": [random_lasso(rng, number, word) for _ in range(2)]},
        "group": {"group": "g7"},
    }[kind]
    if kind in ("categories", "range", "outliers"):
        parts["column"] = column
    if kind in ("categories", "selection", "group"):
        parts["keep"] = rng.random() < 0.5
    return {"kind": kind, "on": rng.random() < 0.7, **parts}


def random_cells(rng: random.Random, number: Number, word: str, depth: int) -> dict[str, Any]:
    """Random cells of a group, as an expression."""
    kind = rng.choice(["all", "any", "not", "filter"]) if depth else "filter"
    if kind == "filter":
        while (found := random_filter(rng, number, word))["kind"] == "group":
            pass
        return found
    inner = [random_cells(rng, number, word, depth - 1) for _ in range(rng.randrange(1, 4))]
    return {"not": inner[0]} if kind == "not" else {kind: inner}


def random_view(rng: random.Random) -> dict[str, Any]:
    """A random view; its numbers have as many digits as a link keeps."""

    def number(low: float, high: float) -> float:
        return float(f"{rng.uniform(low, high):.6g}")

    word = "".join(rng.choice("aäß%&=#+,;:/ \"'<>?-0") for _ in range(rng.randrange(1, 9)))
    low = number(-1e6, 1e6)
    every = {
        "dataset": word,
        "d": rng.choice([1, 2, 3]),
        "color": rng.choice([f"obs:{word}", f"gene:{word}", ""]),
        "embedding": word,
        "context": "hide",
        "filters": [random_filter(rng, number, word) for _ in range(rng.randrange(1, 6))],
        "groups": [
            {
                "id": f"g{i + 1}",
                "name": word,
                "color": f"#{rng.randrange(2**24):06x}",
                "cells": random_cells(rng, number, word, 3),
            }
            for i in range(rng.randrange(1, 4))
        ],
        "pins": [f"obs:{word}", f"gene:{word}"],
        "range": [low, float(f"{low + abs(low) + 1:.6g}")],
        "log": True,
        "map": rng.choice(["magma", "greys"]),
        "labels": False,
        "labelColumn": f"obs:{word}",
        "vectors": word,
        "edges": True,
        "size": number(0.5, 15),
        "opacity": number(0.05, 0.99),
        "theme": rng.choice(["light", "dark"]),
        "at": [number(-2, 2), number(-2, 2), number(0.2, 2000)]
        + [number(-9, 9), number(-1, 1)] * rng.randrange(2),
        "lasso": [random_lasso(rng, number, word) for _ in range(rng.randrange(1, 4))],
        "colors": {
            f"obs:{word}{i}": {
                str(code): f"#{rng.randrange(1 << 24):06x}"
                for code in rng.sample(range(65536), rng.randrange(1, 4))
            }
            for i in range(rng.randrange(1, 3))
        },
    }
    return {key: value for key, value in every.items() if rng.random() < 0.6}


def test_links_are_parsed_as_they_were_written(page: Page, served: Any) -> None:
    page.open(served("uint8"))
    rng = random.Random(0)
    views = [random_view(rng) for _ in range(500)]
    bits = (
        "d= hide= lasso= at= range= outliers= size= filter=in: filter=range: filter=inside: group= "
        '["g1","x","%23aabbcc", ["not", "] colors= 0-ff0000 & , - 1 0 2 9e9 NaN % x = # obs: |'
    )
    texts = ["".join(rng.choices(bits.split(), k=rng.randrange(12))) for _ in range(1000)]
    read, odd, start, problems = page.driver.execute_async_script(ROUND_TRIP, views, texts)
    assert problems == []
    for view, found in zip(views, read, strict=True):
        assert found == start | view
    for text, found in zip(texts, odd, strict=True):
        assert found["d"] in (0, 1, 2, 3), text
        assert found["size"] is None or 0.5 <= found["size"] <= 15, text
        assert found["range"] is None or found["range"][0] < found["range"][1], text
        codes = [code for each in found["filters"] for code in each.get("codes", [])]
        assert all(0 <= code < 65536 for code in codes), text
        assert None not in (found["at"] or []), text


# Parts that cannot be read or that the dataset does not have, and what the page says of them.
DAMAGED = "is damaged and cannot be read."
UNUSABLE = {
    "at=x,y": 'The viewpoint must be a place and a zoom, not "x,y".',
    "opacity=7": 'The opacity must be 0.05 to 1, not "7".',
    "d=9": 'The number of dimensions must be 1, 2 or 3, not "9".',
    "size=-1": 'The point size must be 0.5 to 15, not "-1".',
    "range=2,1": 'The color scale must be two numbers, the lower one first, not "2,1".',
    "map=nomap": 'The colormap must be one that the page lists, not "nomap".',
    "theme=pink": 'The theme must be light or dark, not "pink".',
    "labels=x": 'The category labels must be on (1) or off (0), not "x".',
    "context=x": 'Filtered cells must be grey or hide, not "x".',
    "fitler=x": 'This version of the page does not know the part "fitler".',
    "hide=zzz": f"The list of hidden categories {DAMAGED}",
    "outliers=9": 'The outliers must be 0 to 1, not "9".',
    "lasso=2,0,0,1,1": f"An outline of the selection {DAMAGED}",
    "lasso=2,0,0,0,0,1,0,1,1@X_nope": "An outline of the selection is left out: it was drawn on "
    'the embedding "X_nope", which this dataset does not have.',
    "filter=in:0,x:obs:quarter": f'A filter of "quarter" {DAMAGED}',
    "filter=nonsense": f"A filter {DAMAGED}",
    "filter=range:1,2:obs:quarter": 'The filter of "quarter" is left out: this column has no '
    "values.",
    "filter=in:77:obs:many": 'The filter of "many" is left out: it lists only categories that '
    '"many" does not have.',
    'group=["g10","none","%23ff0000",["not","in:77:obs:many"]]': 'The group "none" is left out: it '
    'lists only categories that "many" does not have.',
    'group=["g11","part","%23ff0000",["any","in:0,77:obs:many"]]': 'The group "part" lists '
    'categories that "many" does not have.',
    "filter=out:0,77:obs:many": 'The filter of "many" lists categories that this column does not '
    "have.",
    "filter=group:g8": 'The filter by the group "lost" is left out: the group is left out, too.',
    'group=["g7","T %26 B","red","in:0:obs:quarter"]': f'The group "T & B" {DAMAGED}',
    'group=["g8","lost","%23aabbcc","in:0:obs:gone"]': 'The group "lost" is left out: this '
    "dataset has no such column.",
    "group=[]": f"A group {DAMAGED}",
    "pin=score": f'The pinned column "score" {DAMAGED}',
    "pin=gene:gone": 'The pinned column "gone" is left out: this dataset has no such gene.',
    "colors=0-red:obs:quarter": f'A change of colors of "quarter" {DAMAGED}',
    "colors=0-ff0000:obs:gone": 'The change of colors of "gone" is left out: this dataset has no '
    "such column.",
    "labelColumn=obs:gone": 'Labels of "gone" are left out: this dataset has no such categories.',
    "vectors=none": 'This dataset has no vector field "none".',
    "color=gene:nothing": 'This dataset has no gene "nothing". Choose another one.',
    "edges=1": None,
    "pin=obs:score": None,
}


ROWS_ROUND_TRIP = """
const [lists, done] = arguments;
const open = (query) =>
  import(new URL("_cellucid/page/link/kept-rows.js" + query, document.baseURI));
open("").then(async (kept) => {
  const keep = (rows) => {
    const list = { rows };
    kept.keepRows([list], "hash");
    return kept.nameOfRows(list);
  };
  const names = lists.map(keep);
  const reloaded = await open("?reloaded");
  const found = names.map((name) => reloaded.findRows(name));
  const isOf = (hash) => found.map((list) => reloaded.areOfCells(list, hash));
  const results = [found.map(({ rows }) => rows), isOf("hash"), isOf("other")];
  const odd = Array.from({ length: 300_000 }, (_, i) => [2 * i, 2 * i]);
  for (let i = 0; i < 3; i++) names.push(keep(odd));
  const { length } = sessionStorage.getItem("cellucid-rows");
  sessionStorage.clear();
  done([...results, names.map((name) => kept.findRows(name).rows.length), length]);
});
"""


def test_lists_of_rows_are_kept_for_the_tab(page: Page, served: Any) -> None:
    page.open(served("uint8"))
    rng = random.Random(1)
    lists = []
    for n in (0, 1, 5, 2000):
        ends = sorted(rng.sample(range(10**6), 2 * n))
        lists.append([list(pair) for pair in zip(ends[::2], ends[1::2], strict=True)])
    script = page.driver.execute_async_script
    found, are_of_cells, are_of_others, lengths, length = script(ROWS_ROUND_TRIP, lists)
    assert found == lists
    assert (set(are_of_cells), set(are_of_others)) == ({True}, {False})
    assert lengths == [0] * 6 + [300_000], "the oldest make room"
    assert length <= 2_000_000


def test_link_edited_by_hand_is_followed(page: Page, served: Any) -> None:
    """The page follows an edited address, and says which parts do not exist."""
    server = served("uint8")
    page.open(server, "&".join(UNUSABLE))
    assert page.state()["ready"]
    assert page.state()["dimension"] == 3
    assert set(page.texts("#notice li")) == set(UNUSABLE.values()) - {None}
    page.click("#notice button")
    page.open_display()
    assert page.texts("#pins .text") == ["score"], "the rest is shown"
    assert page.find("#edges").is_selected()
    page.js("window.cellucid = null; location.hash = 'd=2&color=obs:score&map=nomap'")
    state = page.state()
    assert (state["dimension"], state["colorBy"]) == (2, "obs:score")
    assert page.is_shown(".color-bar")

    page.open(server, "d=2&color=gene:nothing")
    page.state()
    assert page.texts("#notice p") == ['This dataset has no gene "nothing". Choose another one.']
    assert page.state()["colorBy"] == f"obs:{GROUP}"
    page.click("#notice button")
    assert not page.is_shown("#notice")
    assert np.array([page.swatch(name) for name in GROUPS]).shape == (3, 3)
    assert rgb(page.find("#stage").value_of_css_property("background-color")) == page.background()


def test_hostile_links_do_no_harm(page: Page, served: Any) -> None:
    server = served("uint8")
    long = "d=2&hide=" + ",".join(["0-65535"] * 12_500)  # of 100 kB
    assert page.open(server, long)["drawn"] == 0
    state = page.open(server, "d=constructor&color=obs:gone&hide=0-2&log=1")
    assert (state["dimension"], state["drawn"]) == (3, CELLS), "what is hidden is of another field"
    page.open(server, "d=2&labels=0&color=obs:score&log=1&range=-100,-90")
    assert page.color_counts()[(0xFD, 0xE7, 0x25)] > 300, "all are above such a range"
