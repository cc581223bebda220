"""Who can use the page: contrast, names of controls, the Tab key, small windows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from page_data import GROUPS

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser, rgb
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser


def test_themes_have_enough_contrast(page: Page, served: Any) -> None:
    """The page follows the theme of the system, until the user chooses one."""
    page.open(served("uint8"), "d=2&labels=0&lasso=2,0,0,-1,-1,1,-1,1,1")
    page.open_display()
    light = {}
    try:
        for theme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": theme}
            page.cdp("Emulation.setEmulatedMedia", features=[feature])
            light[theme] = sum(page.background())
            assert page.color_counts()[page.background()] == 0
            assert page.swatch("b") in page.color_counts()
            assert tuple(page.picture()[3, 3]) == page.background()
            assert contrasts(page) == []
            page.choose("#theme", "Dark" if theme == "light" else "Light")
            assert sum(page.background()) == pytest.approx(0 if theme == "light" else 765, abs=100)
            assert tuple(page.picture()[3, 3]) == page.background()
            page.choose("#theme", "System")
            assert sum(page.background()) == light[theme]
    finally:
        page.cdp("Emulation.setEmulatedMedia", features=[])
    assert light["light"] > 700
    assert light["dark"] < 100


CONTRAST = """
  const shown = (each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (!/, 0\\)$|\\/ 0\\)$|transparent/.test(backgroundColor)) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("body *")].filter((each) => shown(each)
    && !each.disabled && !each.closest(":disabled, canvas, noscript")
    && (each.matches("input[type=text], input[type=search], select") || [...each.childNodes].some(
      (child) => child.nodeType === 3 && child.data.trim())));
  const controls = "button, select, input[type=text], input[type=search]";
  const borders = [...document.querySelectorAll(controls)]
    .filter((each) => shown(each) && getComputedStyle(each).borderTopWidth !== "0px");
  const nameOf = (each) => each.id || each.className || each.tagName;
  return [
    ...texts.map((each) => [nameOf(each), getComputedStyle(each).color, ground(each), 4.5]),
    ...borders.map((each) =>
      [nameOf(each), getComputedStyle(each).borderTopColor, ground(each.parentElement), 3]),
  ];
"""


def luminance(color: tuple[int, ...]) -> float:
    """Relative luminance of WCAG 2.1."""
    parts = np.array(color) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrasts(page: Page) -> list[tuple[str, float]]:
    """Elements with too little contrast: texts need 4.5, borders of controls 3."""
    found = page.js(CONTRAST)
    assert len(found) > 40
    weak = []
    for name, color, ground, least in found:
        high, low = sorted((luminance(rgb(color)), luminance(rgb(ground))), reverse=True)
        ratio = (high + 0.05) / (low + 0.05)
        if ratio < least:
            weak.append((f"{name}: {color} on {ground}", round(ratio, 2)))
    return weak


def test_high_contrast_mode_keeps_the_colors(page: Page, served: Any) -> None:
    page.cdp(
        "Emulation.setEmulatedMedia",
        features=[
            {"name": "forced-colors", "value": "active"},
            {"name": "prefers-color-scheme", "value": "dark"},
        ],
    )
    try:
        page.open(served("uint8"), "d=2&labels=0")
        colors = page.color_counts()
        assert all(colors[page.swatch(name)] > 300 for name in GROUPS)
        assert sum(page.picture()[0, 0].tolist()) < 100, "the ground is dark"
    finally:
        page.cdp("Emulation.setEmulatedMedia", features=[])


def test_every_control_has_a_name_and_a_tab_stop(page: Page, served: Any) -> None:
    for link in ("d=2&lasso=2,0,0,-1,-1,1,-1,1,1", "d=2&color=obs:score"):
        page.open(served("uint8"), link)
        page.cdp("Accessibility.enable")
        nodes = page.cdp("Accessibility.getFullAXTree")["nodes"]
        page.cdp("Accessibility.disable")
        focusable = [
            node
            for node in nodes
            if not node["ignored"]
            and node.get("role", {}).get("value") not in ("RootWebArea", "listbox", "MenuListPopup")
            and any(
                each["name"] == "focusable" and each["value"].get("value")
                for each in node.get("properties", [])
            )
        ]
        assert len(focusable) > 15
        roles = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in focusable]
        assert [role for role, name in roles if not name.strip()] == []
        found_names = {name for _, name in roles}
        for name in ("Color by", "Lasso", "Reset view", "Copy link", "Save figure"):
            assert name in found_names, found_names
        # From the top to the bottom on the left, then the stage, by the Tab key.
        page.js("document.activeElement.blur(); document.body.focus()")
        stops = []
        for _ in range(40):
            page.mouse.send_keys(Keys.TAB).perform()
            stop = page.js(
                "const e = document.activeElement; return e === document.body ? null :"
                "e.id || e.title || e.className || e.parentElement.id || e.tagName"
            )
            if stop is None or stop in stops[:1]:
                break
            stops.append(stop)
        expected = [
            "copy-link",
            "theme",
            "cells-button",
            "help",
            "color-search",
            "pin",
            "dimensions",
            "dimensions",
            "dimensions",
        ]
        if "score" in link:
            expected += ["Reset to the range of most cells", "handle", "handle", "limit", "limit"]
            expected += ["log", "map"]
        else:
            expected += ["Show all", "Hide all", "category-order", "ä/1", "outliers"]
        fits = ["reset", "zoom-selection"] if "lasso" in link else ["reset"]
        expected += ["cells", "lasso", *fits, "save-figure", "display-button"]
        expected += ["add-filter"]
        if "lasso" in link:
            expected += [
                "clear-selection",
                "keep-selection",
                "hide-selection",
                "download-selection",
            ]
            expected += ["count-by", "category-counts", "Make a group of the visible cells"]
            expected += ["Make a group of the selected cells"]
        else:
            expected += ["Make a group of the visible cells"]
        expected += ["Save filters, groups and the view as a file"]
        expected += ["Open a session; you can also drop its file on the page", "composition-button"]
        expected += ["csv-button"]
        assert [re.sub("^handle.*", "handle", stop) for stop in stops] == expected


LAYOUT = """
  const box = (each) => {
    const { left, top, right, bottom } = each.getBoundingClientRect();
    return [left, top, right, bottom].map(Math.round);
  };
  const wanted = "header > *, #controls .control, #legend .heading, .entries, "
    + "#legend .range-slider, #display, #stage, #tools button, #tools select, footer > *, "
    + "#cells-panel";
  const found = [...document.querySelectorAll(wanted)].filter((each) => each.checkVisibility());
  const texts = "button, .label, label, #dataset-counts, .text, h2:not([title])";
  const cut = [...document.querySelectorAll(texts)]
    .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1
      && getComputedStyle(each).display !== "inline");
  return {
    boxes: found.map((each) => [each.id || each.className || each.tagName, ...box(each)]),
    cut: cut.map((each) => each.id || each.innerText),
    wide: document.documentElement.scrollWidth - innerWidth,
    high: document.documentElement.scrollHeight - innerHeight,
  };
"""


@pytest.mark.parametrize("size", [(1280, 720), (768, 1024), (400, 800)])
def test_layout_has_no_overlaps_at_any_window_size(
    page: Page, served: Any, size: tuple[int, int]
) -> None:
    page.open(served(""), "dataset=uint8&lasso=2,0,0,-1,-1,1,-1,1,1")
    page.resize(*size)
    page.click("#lasso")
    for opened in (False, True):
        page.js("document.getElementById('display').togglePopover(arguments[0])", opened)
        page.state()
        found = page.js(LAYOUT)
        assert found["wide"] <= 0
        assert found["cut"] == []
        assert size[0] < 700 or found["high"] <= 0
        inside = [name for name, x, y, u, v in found["boxes"] if x < 0 or y < 0 or u > size[0]]
        assert inside == []
        if size[0] > 700:
            below = [name for name, _, _, _, v in found["boxes"] if v > size[1]]
            assert below == []
        assert len(found["boxes"]) > (14 if size[0] > 700 else 11)
        above = ("stage", "display", "cells-panel") if opened else ("stage",)
        flat = [box for box in found["boxes"] if box[0] not in above]
        for i, (name, *a) in enumerate(flat):
            for other, *b in flat[i + 1 :]:
                apart = a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
                nested = {name, other} <= {"control", "display"} and opened
                assert apart or nested, (name, a, other, b)
    if size[0] < 700:
        stage = page.find("#stage")
        assert stage.rect["height"] > 400
        page.js("arguments[0].scrollIntoView()", stage)
        assert page.color_counts()[page.swatch("b")] > 100
