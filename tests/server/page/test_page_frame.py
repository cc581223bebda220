"""Around the cells: where the page is served, what goes wrong, who can use it, on what screen."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_data import CELLS, stacked
from upstream import site

from cellucid_dask import export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import SPOILED, Page, counted, decoded, needs_browser, pixels_at, rgb
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser

GROUP = "the group (x)"
HOLD = """
const real = window.fetch;
const held = new Promise((release) => { window.release = release; });
window.fetch = async (url, options) => {
  if (!url.pathname.includes(arguments_[0])) return real(url, options);
  const response = await real(url); // also when the page has lost interest in it
  const body = await response.arrayBuffer();
  await held;
  return new Response(body);
};
""".replace("arguments_", "given")


def hold(page: Page, part: str) -> None:
    """Hold back answers for paths with this part until ``release()``."""
    page.js(f"const given = arguments; {HOLD}", part)


# ----------------------------------------------------------------------------- where it is served


def test_several_datasets(page: Page, serve: Any, exports: Path) -> None:
    (exports / "uint16" / "dataset_identity.json").write_text("{")
    smaller = stacked(upside_down=False)
    export(smaller, exports / "small", quiet=True, dataset_id="small", dataset_name="Small")
    server = serve(exports)
    assert page.open(server)["ready"]
    options = Select(page.one("#datasets")).options
    broken = [option.text for option in options if not option.is_enabled()]
    assert len(broken) == 1
    assert broken[0].startswith("uint16 (")
    usable = {option.text for option in options} - set(broken)
    assert usable == {"Small", "Atlas uint8", "Atlas float32"}
    state = page.choose("#datasets", "Small")
    assert (state["dataset"], state["nCells"], state["drawn"]) == ("small", 60, 60)
    assert page.texts("h1") == ["Small"]
    assert page.driver.title == "Small"
    state = page.choose("#datasets", "Atlas float32")
    assert (state["nCells"], state["colorBy"]) == (CELLS, f"obs:{GROUP}")
    page.show(2)
    assert page.hash() == "dataset=float32&d=2&color=obs:the+group+%28x%29"
    state = page.reload()
    assert (state["dataset"], state["dimension"]) == ("float32", 2), "a reload stays there"

    state = page.open(server, "dataset=nowhere")
    assert state["ready"]
    assert page.texts("#notice p") == [
        'This server has no dataset "nowhere". The page shows "Atlas float32".'
    ]
    page.open(server, "dataset=small&d=1&color=gene:gene")
    assert page.texts("#notice p") == ["This dataset has no 1D embedding. The page shows 3D."]
    assert page.state()["colorBy"] == "gene:gene"


def test_a_token_and_a_path_prefix(page: Page, serve: Any, made: Path) -> None:
    server = serve(made / "uint8", token="s3cret-and-long-enough", base_path="/some/prefix")
    assert server.url.endswith("/some/prefix")
    assert "token=" in server.viewer_url
    assert page.open(server, url=server.viewer_url + "&other=1")["ready"]
    address = page.js("return location.href")
    assert address.partition("#")[0] == f"{server.url}/?other=1", "the token is gone"
    assert page.reload()["ready"], "the cookie is enough"
    assert page.show(2)["drawn"] == CELLS
    page.driver.delete_all_cookies()


def test_nothing_comes_from_elsewhere(page: Page, served: Any) -> None:
    """No inline script or style, no other host: the policy refuses them."""
    page.open(served("uint8"))
    script = """
      const done = arguments[0];
      (async () => {
        const text = await (await fetch(location.pathname)).text();
        const found = new DOMParser().parseFromString(text, "text/html");
        const inline = [...found.querySelectorAll("*")].filter((each) =>
          each.matches("style, script:not([src])")
          || [...each.attributes].some(({ name }) => name === "style" || name.startsWith("on")));
        const links = [...found.querySelectorAll("link, script")].map((each) =>
          each.getAttribute("href") ?? each.getAttribute("src"));
        const parts = performance.getEntriesByType("resource").map(({ name }) => name)
          .filter((name) => name.endsWith(".js"));
        const refused = [];
        addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
        await fetch("http://127.0.0.1:9/elsewhere").catch(() => {});
        const image = new Image();
        image.src = "http://localhost:9/image.png";
        await new Promise((told) => image.addEventListener("error", told));
        document.body.append(Object.assign(document.createElement("script"),
          { textContent: "window.inlined = true" }));
        done({ inline: inline.length, links, parts, refused, inlined: window.inlined ?? false });
      })();
    """
    page.spoiled = ("Content Security Policy", "Refused to", "violates")
    found = page.driver.execute_async_script(script)
    assert found["inline"] == 0
    assert not found["inlined"]
    assert [url.split(":9")[0] for url in found["refused"][:2]] == [
        "http://127.0.0.1",
        "http://localhost",
    ]
    assert all(link.startswith("_cellucid/page/") for link in found["links"])
    loaded = {url.rpartition("/")[2] for url in found["parts"]}
    assert loaded == {link.rpartition("/")[2] for link in found["links"] if link.endswith(".js")}
    assert len(loaded) > 20, "all modules are asked for at once"
    page.js("performance.clearResourceTimings()")
    page.open(served("uint8"))


# ---------------------------------------------------------------------------- while it is loaded


def test_progress_and_the_last_of_two_choices(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&labels=0")
    assert not page.seen("#progress")
    hold(page, "score")
    Select(page.one("#color")).select_by_visible_text("score")
    assert page.seen("#progress")
    assert page.one("#status").text == "Loading obs/score.values.u8.gz…"
    state = page.js("return cellucid.ready")
    assert not state
    shown = page.places()
    assert len(shown) == CELLS, "the cells stay meanwhile"
    page.driver.execute_async_script("setTimeout(arguments[0], 100)")
    image = decoded(base64.b64decode(page.one("#cells").screenshot_as_base64))
    assert counted(image)[page.swatch("b")] > 300, "and their colours, and the legend"
    assert page.js("return document.getElementById('legend').inert"), "which takes no clicks"
    assert page.choose("#color", "quarter")["colorBy"] == "obs:quarter"
    assert not page.seen("#progress")
    assert not page.js("return document.getElementById('legend').inert")
    page.js("window.release()")
    page.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert page.state()["colorBy"] == "obs:quarter"
    assert page.texts("h2")[0] == "quarter"
    assert page.texts(".color-bar") == []
    assert page.choose("#color", "score")["colorBy"] == "obs:score"


# -------------------------------------------------------------------------------- what goes wrong


def test_a_broken_file_is_told_and_tried_again(page: Page, serve: Any, exports: Path) -> None:
    """Missing, cut short, no gzip, of another length."""
    page.spoiled = (SPOILED,)
    folder = exports / "uint8"
    cases = {"score": "404", "quarter": "cut short", "many": "damaged", "Gene3": "398 bytes"}
    paths = {key: next(folder.glob(f"*/{key}.[vc]*")) for key in cases}
    good = {key: path.read_bytes() for key, path in paths.items()}
    paths["score"].unlink()
    paths["quarter"].write_bytes(good["quarter"][: len(good["quarter"]) // 2])
    paths["many"].write_bytes(b"no gzip")
    paths["Gene3"].write_bytes(gzip.compress(gzip.decompress(good["Gene3"])[:-2]))
    page.open(serve(folder), "d=2&labels=0")
    for key, word in cases.items():
        gene = key == "Gene3"
        state = page.keys("#gene", key, Keys.ENTER) if gene else page.choose("#color", key)
        assert not state["ready"]
        path = paths[key].relative_to(folder).as_posix()
        assert state["error"]["path"] == path
        assert state["error"]["status"] == (404 if word == "404" else 0)
        told = page.one("#error-message").text
        assert path in told
        assert word in told
        assert (state["colorBy"], page.texts("#legend *")) == (None, [])
        plain = pixels_at(page.picture(), page.places())
        assert (plain == plain[0]).all(), "the cells stay"
        assert tuple(plain[0]) != page.ground()
    for key, path in paths.items():
        path.write_bytes(good[key])
    seen_by_server(folder)
    retried(page)
    assert page.state()["colorBy"] == "gene:Gene3"
    assert page.choose("#color", "score")["colorBy"] == "obs:score"


def seen_by_server(folder: Path) -> None:
    """Touch an export as whoever exports again does last."""
    identity = folder / "dataset_identity.json"
    identity.write_bytes(identity.read_bytes())


def retried(page: Page) -> None:
    """Press retry until it helps: a server looks once a second whether there is another export."""
    page.until(
        "cellucid.ready || (cellucid.error && !document.getElementById('retry').click() && false)"
    )
    page.state()
    assert not page.seen("#error")


def test_what_is_shown_besides_is_missing(page: Page, serve: Any, exports: Path) -> None:
    """Outliers, vectors and edges: the cells stay, and a retry shows them."""
    folder = exports / "uint8"
    page.spoiled = (SPOILED,)
    page.open(serve(folder), "d=2&labels=0")
    page.display()
    wishes = {
        f"obs/{next((folder / 'obs').glob('the_group*outliers*')).name}": lambda: page.slide(
            "#outliers", 0.8
        ),
        "vectors/velocity_umap_2d.bin.gz": lambda: page.choose("#vectors", "Velocity (UMAP)"),
        "connectivity/edges.dst.bin.gz": lambda: page.click("#edges"),
    }
    for number, (name, wish) in enumerate(wishes.items()):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(b"noise") if number else (folder / name).unlink()
        seen_by_server(folder)
        before = page.picture()
        state = wish()
        assert state["error"]["path"] == name
        assert name in page.one("#error-message").text
        assert len(page.texts(".entry")) == 4
        hidden = page.picture()
        assert np.array_equal(hidden, before), "the cells stay as they were"
        (folder / name).write_bytes(good)
        seen_by_server(folder)
        retried(page)
        assert not np.array_equal(page.picture(), before), "what was asked for is seen"


@pytest.mark.parametrize("name", ["points_3d.bin.gz", "obs_manifest.json"])
def test_what_the_page_needs_is_missing(page: Page, served: Any, name: str) -> None:
    page.open(served("uint8"))
    page.cdp("Network.enable")
    page.cdp("Network.setBlockedURLs", urls=[f"*/{name}"])
    page.spoiled = (SPOILED,)
    try:
        state = page.reload()
        assert state["error"]["path"] == name
        assert f"{name}: no answer from the server" in page.one("#error-message").text
        assert page.texts("h1") == ["Atlas uint8"]
    finally:
        page.cdp("Network.setBlockedURLs", urls=[])
        page.cdp("Network.disable")
    state = page.click("#retry")
    assert state["ready"]
    assert (state["drawn"], state["colorBy"]) == (CELLS, f"obs:{GROUP}")
    assert page.colours()[page.swatch("b")] > 500


def test_a_browser_without_webgl(page: Page, served: Any) -> None:
    hide = "HTMLCanvasElement.prototype.getContext = () => null"
    script = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=hide)
    try:
        state = page.open(served("uint8"))
        assert "WebGL2" in state["error"]["message"]
        assert "WebGL2" in page.one("#error-message").text
    finally:
        page.cdp("Page.removeScriptToEvaluateOnNewDocument", **script)


def test_a_graphics_card_that_forgets(page: Page, served: Any) -> None:
    page.open(served("uint8"), "d=2&outliers=0.9&edges=1&lasso=2,0,0,-1,-1,1,-1,1,1")
    before = page.picture()
    page.js(
        "window.lose = document.getElementById('cells').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context'); window.lose.loseContext()"
    )
    page.driver.execute_async_script("setTimeout(arguments[0], 30)")
    page.js(
        "window.restored = false; document.getElementById('cells').addEventListener("
        "'webglcontextrestored', () => { window.restored = true });"
        "window.lose.restoreContext()"
    )
    page.until("window.restored")
    assert np.array_equal(page.picture(), before)
    page.spoiled = ("WebGL", "context")


# --------------------------------------------------------------------------------- who can use it


def test_dark_and_light(page: Page, served: Any) -> None:
    """As the system has it, until one is chosen; with text and borders that can be read."""
    page.open(served("uint8"), "d=2&labels=0&lasso=2,0,0,-1,-1,1,-1,1,1")
    page.display()
    light = {}
    try:
        for theme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": theme}
            page.cdp("Emulation.setEmulatedMedia", features=[feature])
            light[theme] = sum(page.ground())
            assert page.colours()[page.ground()] == 0
            assert page.swatch("b") in page.colours()
            assert tuple(page.picture()[3, 3]) == page.ground()
            assert contrasts(page) == []
            page.choose("#theme", "Dark" if theme == "light" else "Light")
            assert sum(page.ground()) == pytest.approx(0 if theme == "light" else 765, abs=100)
            assert tuple(page.picture()[3, 3]) == page.ground()
            page.choose("#theme", "System")
            assert sum(page.ground()) == light[theme]
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
  const told = (each) => each.id || each.className || each.tagName;
  return [
    ...texts.map((each) => [told(each), getComputedStyle(each).color, ground(each), 4.5]),
    ...borders.map((each) =>
      [told(each), getComputedStyle(each).borderTopColor, ground(each.parentElement), 3]),
  ];
"""


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance of WCAG 2.1."""
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrasts(page: Page) -> list[tuple[str, float]]:
    """What has less contrast than it needs: texts 4.5, borders of controls 3."""
    found = page.js(CONTRAST)
    assert len(found) > 40
    weak = []
    for name, colour, ground, least in found:
        high, low = sorted((luminance(rgb(colour)), luminance(rgb(ground))), reverse=True)
        ratio = (high + 0.05) / (low + 0.05)
        if ratio < least:
            weak.append((f"{name}: {colour} on {ground}", round(ratio, 2)))
    return weak


def test_every_control_has_a_name_and_a_turn(page: Page, served: Any) -> None:
    for link in ("d=2&lasso=2,0,0,-1,-1,1,-1,1,1", "d=2&color=obs:score"):
        page.open(served("uint8"), link)
        page.display()
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
        told = {name for _, name in roles}
        for name in ("Color by", "Gene", "Lasso", "Reset view", "Copy link", "Save picture"):
            assert name in told, told
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
        expected = ["theme", "dimensions", "dimensions", "dimensions", "color", "gene"]
        if "score" in link:
            expected += ["Reset to the whole range", "handle", "handle", "log", "map"]
        else:
            expected += ["Show all", "Hide all", "ä/1", "outliers"]
        expected += ["display", "size", "opacity", "labels", "edges", "vectors", "cells"]
        expected += ["lasso", "reset", "copy-link", "save-picture", "picture-scale"]
        if "lasso" in link:
            expected += ["download-rows", "clear-selection", "count-by", "category-counts"]
        assert [re.sub("^handle.*", "handle", stop) for stop in stops] == expected


LAYOUT = """
  const box = (each) => {
    const { left, top, right, bottom } = each.getBoundingClientRect();
    return [left, top, right, bottom].map(Math.round);
  };
  const wanted = "header > *, #controls .control, #legend .heading, .entries, "
    + "#legend .range-slider, #display, #stage, #tools button, #tools select, footer > *, "
    + "#selection";
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
def test_all_is_in_its_place(page: Page, served: Any, size: tuple[int, int]) -> None:
    page.open(served(""), "dataset=uint8&lasso=2,0,0,-1,-1,1,-1,1,1")
    page.resize(*size)
    for opened in (False, True):
        page.js("document.getElementById('display').open = arguments[0]", opened)
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
        assert len(found["boxes"]) > 14
        flat = [box for box in found["boxes"] if box[0] not in ("stage", "display")]
        for i, (name, *a) in enumerate(flat):
            for other, *b in flat[i + 1 :]:
                apart = a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
                nested = {name, other} <= {"control", "display"} and opened
                assert apart or nested, (name, a, other, b)
    if size[0] < 700:
        stage = page.one("#stage")
        assert stage.rect["height"] > 400
        page.js("arguments[0].scrollIntoView()", stage)
        assert page.colours()[page.swatch("b")] > 100


# ------------------------------------------------------------------------------- other pages

NEEDS = b"""<!doctype html><meta name="cellucid-web-build-id" content="one">
<link rel="icon" href="data:,"><p style="color: rgb(1, 2, 3)">of the site</p>
<script>window.found = ["inline"]; const add = (what) => window.found.push(what);</script>
<script type="module">
  import { name } from "./assets/js/main.js";
  add(name);
  const wasm = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  await WebAssembly.instantiate(wasm).then(() => add("wasm"));
  const of_text = URL.createObjectURL(new Blob(["postMessage('blob')"]));
  for (const url of ["assets/js/worker.js", of_text]) {
    const worker = new Worker(url);
    add(await new Promise((done) => { worker.onmessage = ({ data }) => done(data); }));
  }
  await fetch(new URL("obs_manifest.json", location.href)).then((r) => r.json());
  add("data");
  for (const url of ["OTHER", "OTHER/x.png"]) {
    await fetch(url, { mode: "no-cors" }).catch(() => add("blocked"));
  }
  add(getComputedStyle(document.querySelector("p")).color);
  window.ready = true;
</script>"""


def test_hosted_pages_and_the_banner(page: Page, serve: Any, made: Path, tmp_path: Path) -> None:
    """What such a page needs works, and it reaches nobody else; without it comes the banner."""
    with site() as web, site() as other:
        web.files["index.html"] = NEEDS.replace(b"OTHER", other.url.encode())
        web.files["assets/js/main.js"] = b"export const name = 'module';"
        worker = f"fetch('{other.url}', {{mode: 'no-cors'}}).catch(() => postMessage('worker'))"
        web.files["assets/js/worker.js"] = worker.encode()
        options = {"viewer": "hosted", "viewer_cache": tmp_path}
        page.driver.get(serve(made / "uint8", viewer_url=web.url, **options).url + "/")
        page.until("window.ready")
        found = page.js("return window.found")
        assert found == [
            *("inline", "module", "wasm", "worker", "blob", "data", "blocked", "blocked"),
            "rgb(1, 2, 3)",
        ]
        assert not other.heads
        errors = [e["message"] for e in page.driver.get_log("browser") if e["level"] == "SEVERE"]
        assert all("Content Security Policy" in message for message in errors), errors
        gone = other.url
    state = page.open(serve(made / "uint8", viewer_url=gone, **options))
    assert state["drawn"] == CELLS
    (told,) = page.texts(".banner")
    assert told.startswith(f"The page of {gone.removeprefix('http://')} could not be loaded: it ")
    assert page.seen(".banner")
    assert page.one(".banner").get_attribute("role") == "status"
