"""Named groups of cells: made, combined, shown, kept in links and sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, GROUP, GROUPS, atlas, names

from cellucid_dask import AnnDataServer

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import BARE, Page, far_from_others, needs_browser, pixels_at, rgb
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def press(page: Page, text: str, within: str = "#groups") -> dict[str, Any]:
    """Click a button by its text."""
    xpath = f".//button[normalize-space()='{text}']"
    page.find(within).find_element(By.XPATH, xpath).click()
    return page.state()


def groups(page: Page) -> dict[str, int]:
    """Number of cells of each group, by name."""
    page.state()
    counts = [int(text.split()[-1]) for text in page.texts(".group-list .number")]
    return dict(zip(page.texts(".group-list .chip-text"), counts, strict=True))


def name_group(page: Page, name: str) -> None:
    page.find(".group-list input[type='text']").send_keys(name, Keys.ENTER)
    page.state()


def combine(page: Page, first: str, how: str, second: str) -> None:
    for label, text in (
        ("First group", first),
        ("How to combine the groups", how),
        ("Second group", second),
    ):
        page.choose(f"select[aria-label='{label}']", text)
    press(page, "Make")


def make_groups(page: Page) -> None:
    """Groups of b, and of the west."""
    page.entry("b").find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".only").click()
    press(page, "New from visible")
    name_group(page, "all b")
    press(page, "Remove all", "#filters")
    page.color_by("quarter")
    for name in ("south east", "north east"):
        page.entry(name).click()
    press(page, "New from visible")
    name_group(page, "west")
    press(page, "Remove all", "#filters")


def test_groups_are_made_combined_and_shown(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    b, west = names() == "b", np.char.endswith(names("quarter").astype(str), "west")
    make_groups(page)
    assert groups(page) == {"all b": b.sum(), "west": west.sum()}
    for how, expected in (("and", b & west), ("or", b | west), ("but not", b & ~west)):
        combine(page, "all b", how, "west")
        assert groups(page)[f"all b {how} west"] == expected.sum()
    press(page, "all b but not west")
    press(page, "Invert")
    press(page, "Invert")
    assert groups(page)["all b but not west"] == (b & ~west).sum()
    press(page, "Invert")
    assert groups(page)["all b but not west"] == CELLS - (b & ~west).sum()
    press(page, "Show only")
    assert page.state()["drawn"] == CELLS - (b & ~west).sum()
    press(page, "Hide")
    assert page.state()["drawn"] == (b & ~west).sum()
    for name, n_visible in {"all b": (b & ~west).sum(), "west": 0}.items():
        counted = f"{n_visible} of {groups(page)[name]}"
        page.wait_until(
            "[...document.querySelectorAll('.group-list li')].some((item) => "
            f"item.querySelector('.chip-text').textContent === {name!r} && "
            f"item.querySelector('.number').textContent === {counted!r})"
        )
    press(page, "Remove")
    assert page.state()["drawn"] == CELLS, "its filter goes with it"
    assert "all b but not west" not in groups(page)

    # Undo brings it back, with its filter; the keys do the same as the button.
    page.press_keys("#cells", Keys.CONTROL, "z", Keys.NULL)
    page.wait_until("cellucid.drawn !== cellucid.nCells")
    assert page.state()["drawn"] == (b & ~west).sum()
    press(page, "Remove all", "#filters")
    press(page, "Invert")

    # Cells in several groups have the color of the last one.
    press(page, "Color by groups")
    press(page, "all b or west")
    press(page, "Remove")
    assert page.texts(".entry .text")[-1] == "in no group"
    colors = {name: page.swatch(name) for name in page.texts(".entry .text")}
    wanted = [colors["in no group"]] * CELLS
    members = [b, west, b & west, b & ~west]
    for name, mask in zip([*groups(page)], members, strict=True):
        wanted = [colors[name] if is_in else was for was, is_in in zip(wanted, mask, strict=True)]
    places = page.cell_pixels()
    found = pixels_at(page.picture(), places)
    assert (found == wanted)[far_from_others(places)].all()

    # A link holds all of it.
    before, shown, link = page.picture(), groups(page), page.hash()
    page.reload()
    assert page.hash() == link
    assert groups(page) == shown
    assert np.array_equal(page.picture(), before)


def test_selection_extends_a_group(page: Page, served: Any) -> None:
    page.open(served("uint8"), BARE)
    places = page.cell_pixels()
    left, right = (float(np.quantile(places[:, 0], part)) for part in (0.3, 0.7))
    page.click("#lasso")

    def select(start: float, end: float) -> int:
        page.drag((start, 2), (end, 2), (end, 480), (start, 480))
        return int(page.find("#selection-size").text.split()[0])

    first = select(2, left)
    press(page, "New from selection")
    name_group(page, "ends")
    page.click("#undo")
    page.wait_until("!document.querySelector('.group-list li')")  # the name is no step of its own
    page.click("#redo")
    page.wait_until("document.querySelector('.group-list li')")
    assert groups(page) == {"ends": first}
    second = select(right, 690)
    press(page, "ends")
    press(page, "Add selection")
    assert groups(page)["ends"] == first + second
    select(2, left)
    press(page, "Subtract selection")
    assert groups(page)["ends"] == second
    press(page, "Rename")
    page.find(".group-list input[type='text']").send_keys(Keys.CONTROL, "a")
    name_group(page, "right & <b>")
    assert groups(page) == {"right & <b>": second}
    page.click("#undo")
    page.wait_until("document.querySelector('.group-list .chip-text').textContent === 'ends'")
    page.click("#redo")
    page.wait_until("document.querySelector('.group-list .chip-text').textContent !== 'ends'")
    assert page.reload()["ready"]
    assert groups(page) == {"right & <b>": second}

    # A click that ends the naming opens another group, whose name has the focus.
    press(page, "New from visible")
    page.find(".group-list input[type='text']").send_keys("all")
    page.click("[data-group]:nth-child(1) .chip-text")
    assert groups(page) == {"right & <b>": second, "all": CELLS}
    name = page.find("[data-group]:nth-child(1) .chip-text")
    assert name.get_attribute("aria-expanded") == "true"
    assert name == page.driver.switch_to.active_element


def test_session_holds_the_groups_as_rows(page: Page, served: Any, tmp_path: Path) -> None:
    arrived = page.downloads(tmp_path / "sessions")
    page.open(served("uint8"), BARE)
    make_groups(page)
    page.entry("north west").click()
    shown, drawn = groups(page), page.state()["drawn"]
    press(page, "Save session")
    session = json.loads(arrived("uint8-session.json"))
    assert session["dataset"]["id"] == "uint8"
    assert session["dataset"]["n_cells"] == CELLS
    masks = {"all b": names() == "b"}
    masks["west"] = np.char.endswith(names("quarter").astype(str), "west")
    for group in session["groups"]:
        rows = [row for first, last in group["rows"] for row in range(first, last + 1)]
        assert rows == np.flatnonzero(masks[group["name"]]).tolist()
        starts = [first for first, _ in group["rows"]]
        ends = [last for _, last in group["rows"]]
        assert all(after > end + 1 for after, end in zip(starts[1:], ends, strict=False))

    # Groups that only rows say, as other programs make them, which may not hash all ids.
    ids_hash = session["dataset"].pop("ids_hash")
    session["categories"] = {"obs:quarter": {}}  # codes without names are those of the dataset
    session["groups"].append(
        {"id": "g9", "name": "odd", "color": "#aabb00", "rows": [[i, i] for i in range(1, 99, 2)]}
    )
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(session))
    page.open(served("uint8"), BARE)
    page.find("#groups input[type='file']").send_keys(str(path))
    page.wait_until("document.querySelectorAll('.group-list li').length === 3")
    assert groups(page) == {**shown, "odd": 49}
    assert page.state()["drawn"] == drawn
    press(page, "odd")
    press(page, "Show only")
    press(page, "Color by groups")
    places = page.cell_pixels()
    found = pixels_at(page.picture(), places)
    odd = np.isin(np.arange(CELLS), np.arange(1, 99, 2)) & (names("quarter") != "north west")
    is_apart = far_from_others(places)
    assert (found[odd & is_apart] == rgb("170, 187, 0")).all()
    assert (found[~odd & is_apart] == page.context()).all()

    # The tab keeps the rows through a reload, and through Back after it; a link has their name.
    kept = groups(page), page.reload()["drawn"], page.state()["colorBy"]
    assert kept == ({**shown, "odd": 49}, odd.sum(), "groups:")
    page.driver.back()
    page.wait_until("window.cellucid?.ready && cellucid.colorBy === 'obs:quarter'")
    assert groups(page) == kept[0]
    link = page.hash()
    page.js("sessionStorage.clear()")
    page.open(served("uint8"), f"{link}&color=groups:")
    missing = "is left out: its cells are listed in a session file"
    for name in kept[0]:
        assert f'The group "{name}" {missing}' in page.find("#notice").text
    assert 'The filter by the group "odd"' in page.find("#notice").text
    assert groups(page) == {}
    path.write_text(json.dumps(session))
    page.find("#groups input[type='file']").send_keys(str(path))
    page.wait_until("document.querySelectorAll('.group-list li').length === 3")

    # What is no session of these cells changes nothing, and says why.
    before = groups(page)
    cases = {
        "not JSON": "{",
        "that this page saved": "{}",
        "cells of": json.dumps(session | {"dataset": session["dataset"] | {"n_cells": CELLS + 1}}),
        "of other cells": json.dumps(session | {"dataset": session["dataset"] | {"hash": "0"}}),
        "version 2": json.dumps(session | {"version": 2}),
        "other ids": json.dumps(
            session | {"dataset": session["dataset"] | {"ids_hash": ids_hash[::-1]}}
        ),
        "damaged": json.dumps(session | {"groups": [{"id": "g1"}]}),
    }
    for said, text in cases.items():
        path.write_text(text)
        page.find("#groups input[type='file']").send_keys(str(path))
        page.wait_until(f"document.querySelector('#notice p').textContent.includes('{said}')")
        assert groups(page) == before


def test_groups_in_the_legend_filter_cells(page: Page, served: Any) -> None:
    """The column of groups is filtered as any other, also when groups are made of what is left."""
    page.open(served("uint8"), BARE)
    b, west = names() == "b", np.char.endswith(names("quarter").astype(str), "west")
    make_groups(page)
    press(page, "Color by groups")
    page.entry("all b").click()
    assert page.state()["drawn"] == (~b).sum(), "also those that are in the west as well"
    page.entry("in no group").click()
    west &= ~b
    assert page.state()["drawn"] == west.sum()
    assert page.texts("#filters .chip-text") == ["not in all b", "in any group"]
    page.color_by("quarter")
    page.entry("north west").click()
    north_west = names("quarter") == "north west"
    assert page.state()["drawn"] == (west & ~north_west).sum()
    press(page, "New from visible")
    name_group(page, "rest")
    assert groups(page)["rest"] == (west & ~north_west).sum()
    shown = page.state()["drawn"]
    page.reload()
    assert page.state()["drawn"] == shown
    assert groups(page)["rest"] == shown
    page.entry("south west").click()
    page.click("#undo")
    page.wait_until(f"cellucid.drawn === {shown}")


def test_a_group_may_be_extended_many_times(page: Page, served: Any) -> None:
    lasso = "2,0,0,-1,-1,0,-1,0,1,-1,1"
    page.open(served("uint8"), f"{BARE}&lasso={lasso}")
    press(page, "New from selection")
    name_group(page, "many")
    n = groups(page)["many"]
    press(page, "many")
    for _ in range(45):
        press(page, "Add selection")
    assert groups(page) == {"many": n}
    page.reload()
    assert groups(page) == {"many": n}


def test_session_of_changed_categories_keeps_its_cells(
    page: Page, serve: Any, tmp_path: Path
) -> None:
    """The same cells with other categories, as after a new annotation: they go by their names."""
    adata = atlas()
    adata.obs["many"] = adata.obs["many"].cat.rename_categories({"kind 00": "missing"})
    arrived = page.downloads(tmp_path / "sessions")
    filters = [f"out:255:obs:{GROUP}", f"out:2:obs:{GROUP}", f"-in:0,1:obs:{GROUP}"]
    filters += ["in:0-29:obs:many", "out:1:obs:quarter", "in:0,2:obs:quarter"]
    link = "&".join([f"color=obs:{GROUP}", *(f"filter={each}" for each in filters)])
    link += f'&group=["g1","all b","%23ff0000","in:1:obs:{GROUP}"]'
    colors = f"colors=0-ff0000,1-00ff00:obs:{GROUP}&colors=1-ff0000:obs:quarter"
    page.open(serve(adata, AnnDataServer), f"{BARE}&{link}&{colors}")
    shown = groups(page)
    press(page, "Save session")
    path = tmp_path / "saved.json"
    path.write_bytes(arrived(page.js("return cellucid.dataset") + "-session.json"))

    # The same cells: groups in another order and more than 255, one quarter with another name.
    categories = [f"new {i}" for i in range(300)] + list(GROUPS)[::-1]
    adata.obs[GROUP] = adata.obs[GROUP].cat.set_categories(categories)
    adata.obs["many"] = adata.obs["many"].cat.reorder_categories(
        adata.obs["many"].cat.categories[::-1]
    )
    adata.obs["quarter"] = adata.obs["quarter"].cat.rename_categories({"north west": "nw"})
    page.open(serve(adata, AnnDataServer), BARE)
    page.find("#groups input[type='file']").send_keys(str(path))
    page.wait_until("document.querySelectorAll('.group-list li').length === 1")
    assert groups(page) == shown == {"all b": (names() == "b").sum()}
    lost = 'this column does not have the category "north west".'
    assert page.texts("#notice li") == [
        f'The filter of "quarter" is left out: {lost}',
        f'The change of colors of "quarter" is left out: {lost}',
    ]
    assert page.texts("#filters .chip-text") == [
        f"{GROUP}: not missing",
        f"{GROUP}: not c",
        f"{GROUP}: ä/1, b",
        "many: missing, kind 01, kind 02 and 27 more",
        "quarter: north east, south east",
    ]
    many = np.arange(CELLS) % 40 < 30
    east = np.char.endswith(names("quarter").astype(str), "east")
    assert page.state()["drawn"] == (np.isin(names(), ("ä/1", "b")) & many & east).sum()
    assert "colors=301-00ff00,302-ff0000" in page.hash()


def test_groups_that_overlap_are_whole_bars(page: Page, served: Any) -> None:
    """A bar of a group has all of its cells, also those of other groups; a note says so."""
    page.open(served("uint8"), BARE)
    b, west = names() == "b", np.char.endswith(names("quarter").astype(str), "west")
    make_groups(page)
    page.click("#composition-button")
    page.choose("#composition-bars", "Groups")
    note = "{} cells are in several groups: they count in each"
    wait = f"document.getElementById('composition-note').textContent.endsWith('{note}')"
    page.wait_until(wait.format((b & west).sum()))
    texts = page.js(
        "return [...document.querySelectorAll('#composition-chart text')].map((e) => e.textContent)"
    )
    assert {str(b.sum()), str(west.sum())} <= set(texts)
    page.entry("south west").click()
    page.wait_until(wait.format((b & (names("quarter") == "north west")).sum()))


DROP = """
const transfer = new DataTransfer();
transfer.items.add(new File([arguments[0]], "session.json", { type: "application/json" }));
document.body.dispatchEvent(
  new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def test_session_brings_the_color_scale_and_is_a_step_of_its_own(
    page: Page, served: Any, tmp_path: Path
) -> None:
    arrived = page.downloads(tmp_path / "sessions")
    scale = f"{BARE}&color=obs:score&range=0.2,0.5&log=1&map=magma"
    page.open(served("uint8"), scale)
    press(page, "Save session")
    session = arrived("uint8-session.json").decode()
    page.open(served("uint8"), BARE)
    page.js(DROP, session)
    page.wait_until("cellucid.ready && cellucid.colorBy === 'obs:score'")
    first = page.hash()
    assert {"range=0.2,0.5", "log=1", "map=magma"} <= set(first.split("&"))
    page.js(DROP, session.replace("color=obs:score", "color=gene:Gene3"))
    page.wait_until("cellucid.ready && cellucid.colorBy === 'gene:Gene3'")
    page.driver.back()
    page.wait_until("cellucid.ready && cellucid.colorBy === 'obs:score'")
    assert page.hash() == first
