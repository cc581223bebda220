"""The built-in page in a real headless Chromium, against the real servers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from upstream import site

from cellucid_dask import AnnDataServer, CellucidServer, export
from cellucid_dask.synthetic import AtlasSpec, make_anndata

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium or Chrome"),
    pytest.mark.skipif(DRIVER is None, reason="there is no chromedriver"),
]

PATIENCE = 60  # seconds; a page that hangs fails the test, one on a busy machine does not
CELLS = 2000
MISSING = 150  # cells without a group, and as many without a score
SPOILED = "Failed to load resource: the server responded with a status of"


# ------------------------------------------------------------------------------------ the data


def atlas() -> AnnData:
    """Cells with groups, some of them without one, a score with NaN, and all dimensions."""
    adata = make_anndata(AtlasSpec(cells=CELLS, genes=50))
    rng = np.random.default_rng(0)
    groups = pd.Categorical.from_codes(rng.integers(3, size=CELLS), ["ä/1", "b", "c"])
    groups[:MISSING] = None
    score = rng.normal(size=CELLS)
    score[-MISSING:] = np.nan
    adata.obs = adata.obs.drop(columns="cell_type").assign(score=score)
    adata.obs.insert(0, "the group (x)", groups)  # a key that is no file name, and the first
    adata.obsm["X_umap_1d"] = adata.obsm["X_umap_2d"][:, :1].copy()
    return adata


FORMS = {
    "uint8": {"var_quantization": 8, "obs_quantization": 8, "compression": 6},
    "uint16": {"var_quantization": 16, "obs_quantization": 16, "compression": 1},
    "float32": {"var_quantization": None, "obs_quantization": None, "compression": 0},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of one atlas in several forms."""
    root = tmp_path_factory.mktemp("exports")
    for name, options in FORMS.items():
        names = {"dataset_id": name, "dataset_name": f"Atlas {name}"}
        export(atlas(), root / name, quiet=True, **names, **options)
    return root


@pytest.fixture
def exports(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may spoil."""
    return shutil.copytree(made, tmp_path / "exports")


@pytest.fixture
def serve() -> Iterator[Callable[..., CellucidServer]]:
    """Start a server that is stopped after the test."""
    running = []

    def start(data: Any, kind: type[CellucidServer] = CellucidServer, **options: Any) -> Any:
        server = kind(data, port=0, quiet=True, open_browser=False, **options)
        running.append(server)
        server.start_background()
        return server

    yield start
    for server in running:
        server.stop()


# --------------------------------------------------------------------------------- the browser


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "no-proxy-server",
        "window-size=1280,720",
        "force-color-profile=srgb",
        "force-device-scale-factor=1",
        "use-angle=swiftshader",
        "enable-unsafe-swiftshader",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


class Page:
    """The page, with the words in which the tests speak of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.spoiled = False  # whether the test made a request fail
        self.roots: list[str] = []

    def open(self, server: CellucidServer, url: str = "") -> dict[str, Any]:
        """State of the page of a server, once it is there."""
        self.roots.append(server.url + "/")
        self.driver.get(url or server.viewer_url)
        return self.state()

    def state(self) -> dict[str, Any]:
        """What the page says of itself, once nothing is on its way."""
        script = "const s = window.cellucid; return s && (s.ready || s.error) ? s : null"
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05)
        return wait.until(lambda driver: driver.execute_script(script))

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def choose(self, selector: str, text: str) -> dict[str, Any]:
        Select(self.one(selector)).select_by_visible_text(text)
        return self.state()

    def click(self, selector: str) -> dict[str, Any]:
        self.one(selector).click()
        return self.state()

    def show(self, dimension: int) -> dict[str, Any]:
        return self.click(f"#dimensions button[value='{dimension}']")

    def entry(self, name: str) -> WebElement:
        """Row of the legend."""
        return self.one(f".entry[title='{name}']")

    def type(self, *keys: str) -> dict[str, Any]:
        self.one("#gene").send_keys(*keys)
        return self.state()

    def picture(self) -> dict[str, Any]:
        """What is to be seen: pixels by colour, the background, and the part that is filled."""
        after = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        self.driver.execute_async_script(f"document.getElementById('reset').hidden = true; {after}")
        return self.driver.execute_async_script(COUNT, self.one("#cells").screenshot_as_base64)

    def colours(self) -> dict[tuple[int, ...], int]:
        """How many pixels have which colour, without the background."""
        return {rgb(key): n for key, n in self.picture()["counts"].items()}

    def swatch(self, name: str) -> tuple[int, ...]:
        """Colour of a category in the legend."""
        dot = self.entry(name).find_element(By.CSS_SELECTOR, ".swatch")
        return rgb(dot.value_of_css_property("background-color"))

    def decoded(self, folder: str, colour: str) -> dict[str, Any]:
        """What the page's own reader makes of a field or gene."""
        return self.driver.execute_async_script(DECODE, folder, colour)

    def check(self) -> None:
        """No errors in the console, no request to anybody else."""
        errors = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and not (self.spoiled and SPOILED in entry["message"])
        ]
        assert errors == []
        entries = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        asked = self.driver.execute_script(entries)
        assert asked
        assert [url for url in asked if not url.startswith(tuple(self.roots))] == []


COUNT = """
const [data, done] = arguments;
(async () => {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, image.width, image.height).data;
  const counts = {};
  const keys = Array.from({ length: pixels.length / 4 }, (_, i) => {
    const key = pixels.subarray(4 * i, 4 * i + 3).join();
    counts[key] = (counts[key] ?? 0) + 1;
    return key;
  });
  const background = Object.keys(counts).reduce((a, b) => (counts[a] < counts[b] ? b : a));
  const box = [1, 1, 0, 0];
  keys.forEach((key, i) => {
    if (key === background) return;
    const [x, y] = [(i % image.width) / image.width, Math.floor(i / image.width) / image.height];
    [[0, Math.min, x], [1, Math.min, y], [2, Math.max, x], [3, Math.max, y]].forEach(
      ([side, extreme, at]) => { box[side] = extreme(box[side], at); });
  });
  delete counts[background];
  done({ counts, background, box });
})();
"""
DECODE = """
const [folder, colour, done] = arguments;
(async () => {
  const page = (name) => new URL(`_cellucid/page/${name}`, document.baseURI);
  const { Dataset, Reader } = await import(page("data.js"));
  const { signal } = new AbortController();
  const reader = new Reader(new URL(folder, document.baseURI), signal, () => {});
  const dataset = new Dataset(await reader.json("dataset_identity.json"));
  await dataset.fields(reader);
  const { codes, lo, hi, missing } = await dataset.colour(reader, colour);
  done({ codes: [...codes], lo, hi, missing });
})();
"""


def rgb(text: str) -> tuple[int, ...]:
    """Channels of ``rgb(1, 2, 3)``, ``rgba(1, 2, 3, 1)`` or ``1,2,3``."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[Page]:
    """An open browser, which must have nothing to complain of after the test."""
    browser.get_log("browser")
    page = Page(browser)
    yield page
    page.check()
    browser.get("about:blank")


# ------------------------------------------------------------------------------- what it shows


@pytest.mark.parametrize("form", FORMS)
def test_cells_appear_in_the_colours_of_the_legend(
    page: Page, serve: Any, made: Path, form: str
) -> None:
    state = page.open(serve(made / form))
    assert state == {
        "ready": True,
        "error": None,
        "nCells": CELLS,
        "drawn": CELLS,
        "colorBy": "obs:the group (x)",
        "dataset": form,
        "dimension": 3,
    }
    assert page.texts("h1") == [f"Atlas {form}"]
    assert page.texts("#counts") == ["2,000 cells · 50 genes"]
    names = page.texts(".entry .text")
    assert names == ["ä/1", "b", "c", "missing"]
    cells = [int(text.replace(",", "")) for text in page.texts(".entry .number")]
    assert sum(cells) == CELLS
    assert cells[-1] == MISSING
    colours = page.colours()
    for name in names:
        assert colours.get(page.swatch(name), 0) > 500, name


def test_live_data_looks_like_its_export(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "float32"))
    exported = page.colours()
    state = page.open(serve(atlas(), AnnDataServer))
    assert (state["nCells"], state["drawn"]) == (CELLS, CELLS)
    assert page.colours() == exported
    score = page.choose("#color", "score")
    assert score["colorBy"] == "obs:score"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("colour", ["gene", "obs:score"])
def test_values_are_decoded(page: Page, serve: Any, made: Path, form: str, colour: str) -> None:
    adata = atlas()
    gene = adata.var_names[7]
    values = adata[:, gene].X.toarray().ravel() if colour == "gene" else adata.obs["score"]
    values = np.asarray(values, "f4")
    page.open(serve(made / form))
    found = page.decoded("./", f"gene:{gene}" if colour == "gene" else colour)
    lo, hi = np.nanmin(values), np.nanmax(values)
    assert (found["lo"], found["hi"]) == pytest.approx((lo, hi))
    codes = np.array(found["codes"])
    assert np.array_equal(codes == 255, np.isnan(values))
    assert found["missing"] == np.isnan(values).sum()
    there = codes != 255
    expected = (values[there] - lo) * (254 / (hi - lo))
    assert np.abs(codes[there] - expected).max() <= 1


@pytest.mark.parametrize("form", FORMS)
def test_colours_by_a_gene_and_by_a_continuous_field(
    page: Page, serve: Any, made: Path, form: str
) -> None:
    adata = atlas()
    page.open(serve(made / form))
    page.show(2)
    gene = adata.var_names[3]
    state = page.type(gene.lower(), Keys.ENTER)
    assert state["colorBy"] == f"gene:{gene}"
    assert state["drawn"] == CELLS
    top = float(adata[:, gene].X.max())
    assert [float(text) for text in page.texts(".ends span")] == pytest.approx([0, top], rel=1e-3)
    assert Select(page.one("#color")).first_selected_option.text == gene
    yellow = sum(n for (r, g, b), n in page.colours().items() if r > 200 and g > 200 and b < 90)
    assert yellow > 20, "the highest values lie on top"

    state = page.choose("#color", "score")
    assert state["colorBy"] == "obs:score"
    assert page.one("#gene").get_attribute("value") == ""
    assert page.texts(".note") == [f"{MISSING} cells without a value"]
    grey = rgb(page.one(".note .swatch").value_of_css_property("background-color"))
    colours = page.colours()
    assert colours[grey] > 100
    assert len([colour for colour in colours if len(set(colour)) == 3]) > 200

    state = page.choose("#color", "None")
    assert state["colorBy"] is None
    assert page.texts("#legend *") == []
    (plain, n), *_ = sorted(page.colours().items(), key=lambda item: -item[1])
    assert n > 10_000
    assert plain != grey


def test_categories_are_hidden_and_shown(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    page.show(2)
    colour, number = page.swatch("b"), int(page.entry("b").text.split()[-1].replace(",", ""))
    assert page.colours()[colour] > 500

    page.entry("b").click()
    assert page.state()["drawn"] == CELLS - number
    assert page.entry("b").get_attribute("aria-pressed") == "false"
    assert page.one("#status").text.startswith(f"{CELLS - number:,} of 2,000 cells")
    assert colour not in page.colours()

    page.show(3)  # what is hidden stays so
    assert colour not in page.colours()
    assert page.entry("b").get_attribute("aria-pressed") == "false"

    page.click(".all[title='Hide all']")
    assert page.state()["drawn"] == 0
    assert page.colours() == {}
    page.entry("missing").click()
    assert page.state()["drawn"] == MISSING
    assert list(page.colours())
    page.click(".all[title='Show all']")
    assert page.state()["drawn"] == CELLS
    assert page.colours()[colour] > 500


@pytest.mark.parametrize("order", [1, -1])
def test_what_lies_on_top(page: Page, serve: Any, tmp_path: Path, order: int) -> None:
    """Cells at the same places: high values above low ones above missing ones, in any order."""
    columns = {
        "kind": pd.Categorical([None, "seen", "seen"] * 20)[::order],
        "value": np.array([np.nan, 0, 9] * 20)[::order],
    }
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(60)])
    adata = AnnData(np.ones((60, 1), "f4"), obs, pd.DataFrame(index=["gene"]))
    for dimension in (2, 3):
        places = np.random.default_rng(0).random((20, dimension), "f4")
        adata.obsm[f"X_umap_{dimension}d"] = places.repeat(3, axis=0)
    export(adata, tmp_path / "export", quiet=True, centroid_min_points=1)
    page.open(serve(tmp_path / "export"))
    page.choose("#color", "kind")
    grey, seen = page.swatch("missing"), page.swatch("seen")
    colours = page.colours()
    assert grey not in colours
    assert colours[seen] > 300
    page.choose("#color", "value")
    assert grey not in page.colours()
    page.show(2)
    colours = page.colours()
    assert grey not in colours
    assert colours[(0xFD, 0xE7, 0x25)] > 300, "the end of the colour bar"
    assert not any(r < 90 and g < 60 for r, g, _ in colours), "its start"


def test_dimensions_and_the_view(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    assert page.texts("#dimensions button") == ["1D", "2D", "3D"]
    seen = []
    for dimension in (3, 2, 1):
        state = page.show(dimension)
        assert (state["dimension"], state["drawn"]) == (dimension, CELLS)
        assert page.texts("#dimensions [aria-pressed='true']") == [f"{dimension}D"]
        picture = page.picture()
        left, top, right, bottom = picture["box"]
        if dimension == 1:
            assert right - left > 0.8
            assert bottom - top < 0.3
        else:
            assert 0.3 < bottom - top < 0.99
        start = page.colours()
        cells = page.one("#cells")
        chain = ActionChains(page.driver).move_to_element(cells).click_and_hold()
        chain.move_by_offset(90, 60).release().perform()
        moved = page.picture()
        origin = ScrollOrigin.from_element(cells, 120, -80)
        ActionChains(page.driver).scroll_from_origin(origin, 0, -300).perform()
        zoomed = page.colours()
        page.driver.execute_script("document.getElementById('reset').click()")
        assert page.colours() == start
        assert sum(zoomed.values()) != sum(start.values())
        assert moved["box"] != picture["box"]
        seen.append(start)
    assert seen[0] != seen[1] != seen[2]


def test_zoom_holds_what_is_under_the_pointer(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    script = """
      const { Camera } = await import(new URL("_cellucid/page/camera.js", document.baseURI));
      const camera = new Camera(document.createElement("canvas"), () => {});
      Object.defineProperty(camera.canvas, "clientWidth", { value: 800 });
      Object.defineProperty(camera.canvas, "clientHeight", { value: 400 });
      const under = () => [200, 100].map((at, i) => {
        const clip = i ? 1 - (2 * at) / 400 : (2 * at) / 800 - 1;
        return (clip - camera.pan[i]) / camera.scale[i];
      });
      camera.move(33, -21);
      const before = under();
      camera.zoomAt(3.5, 200, 100);
      return [before, under(), camera.zoom];
    """
    before, after, zoom = page.driver.execute_script(f"return (async () => {{{script}}})()")
    assert zoom == 3.5
    assert after == pytest.approx(before)


def test_genes_are_completed(page: Page, serve: Any, exports: Path) -> None:
    folder = exports / "uint8"
    path = folder / "var_manifest.json"
    manifest = json.loads(path.read_text())
    real, other = (field[0] for field in manifest["fields"][:2])
    manifest["fields"] += [[f"MADE-{i}", 0, 1] for i in range(60_000)]
    path.write_text(json.dumps(manifest))
    page.open(serve(folder))
    gene = page.one("#gene")
    gene.send_keys("made-5")
    matches = page.texts("#matches [role='option']")
    assert len(matches) == 30
    assert matches[0] == "MADE-5"
    gene.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert page.texts("#matches [aria-selected='true']") == [matches[1]]
    assert gene.get_attribute("aria-activedescendant") == "match-1"
    gene.send_keys("x")
    assert page.texts("#matches *") == ["no such gene"]
    assert page.texts("#matches [aria-selected='true']") == []
    gene.send_keys(Keys.ENTER, Keys.ESCAPE)
    assert not page.one("#matches").is_displayed()
    assert page.state()["colorBy"] == "obs:the group (x)", "nothing was chosen"
    gene.clear()
    gene.send_keys(real)
    assert page.texts("#matches [role='option']")[0] == real
    page.one("#matches [role='option']").click()
    assert page.state()["colorBy"] == f"gene:{real}"
    assert page.type(other, Keys.ENTER)["colorBy"] == f"gene:{other}", "typed over the last one"
    genes = page.texts("#gene-group option")
    assert genes == [real, other]
    assert page.choose("#color", real)["colorBy"] == f"gene:{real}"
    assert gene.get_attribute("value") == real


def test_an_export_without_genes(page: Page, serve: Any, tmp_path: Path) -> None:
    export(atlas(), tmp_path / "export", quiet=True, expression=False)
    assert page.open(serve(tmp_path / "export"))["ready"]
    assert not page.one("#gene").is_enabled()
    assert page.texts("#counts") == ["2,000 cells · 0 genes"]


def test_dark_and_light(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    emulate = "Emulation.setEmulatedMedia"
    light = {}
    try:
        for theme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": theme}
            page.driver.execute_cdp_cmd(emulate, {"features": [feature]})
            light[theme] = sum(rgb(page.picture()["background"]))
            assert page.swatch("b") in page.colours()
    finally:
        page.driver.execute_cdp_cmd(emulate, {"features": []})
    assert light["light"] > 700
    assert light["dark"] < 100


# ------------------------------------------------------------------------- where it is served


def test_several_datasets(page: Page, serve: Any, exports: Path) -> None:
    (exports / "uint16" / "dataset_identity.json").write_text("{")
    smaller = make_anndata(AtlasSpec(cells=300, genes=5))
    export(smaller, exports / "a smaller one", quiet=True, dataset_id="small", dataset_name="Small")
    server = serve(exports)
    first = page.open(server)
    assert first["ready"]
    options = Select(page.one("#datasets")).options
    broken = [option.text for option in options if not option.is_enabled()]
    assert len(broken) == 1
    assert broken[0].startswith("uint16 (")
    assert {option.text for option in options} - set(broken) == {
        "Small",
        "Atlas uint8",
        "Atlas float32",
    }
    state = page.choose("#datasets", "Small")
    assert (state["dataset"], state["nCells"], state["drawn"]) == ("small", 300, 300)
    assert page.texts("h1") == ["Small"]
    assert page.driver.title == "Small"
    state = page.choose("#datasets", "Atlas float32")
    assert (state["nCells"], state["colorBy"]) == (CELLS, "obs:the group (x)")
    page.driver.refresh()
    assert page.state()["dataset"] == "float32", "a reload stays with what was chosen"


def test_one_dataset_has_no_switcher(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    assert not page.one("#switcher").is_displayed()


def test_the_token_leaves_the_address_bar(page: Page, serve: Any, made: Path) -> None:
    server = serve(made / "uint8", token="s3cret-and-long-enough")
    assert "token=" in server.viewer_url
    assert page.open(server, server.viewer_url + "&other=1")["ready"]
    assert page.driver.current_url == f"{server.url}/?other=1"
    page.driver.refresh()
    assert page.state()["ready"], "the cookie is enough"
    page.driver.delete_all_cookies()


def test_below_a_path_prefix(page: Page, serve: Any, exports: Path) -> None:
    server = serve(exports, base_path="/some/prefix")
    assert server.url.endswith("/some/prefix")
    assert page.open(server)["ready"]
    assert page.show(2)["drawn"] == CELLS


# --------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("how", ["gone", "cut", "noise", "other length"])
def test_a_broken_field_is_told_and_tried_again(
    page: Page, serve: Any, exports: Path, how: str
) -> None:
    folder = exports / ("float32" if how == "other length" else "uint8")
    path = next((folder / "obs").glob("score.*"))
    good = path.read_bytes()
    bad = {"cut": good[: len(good) // 2], "noise": b"no gzip", "other length": good[:-4]}
    path.unlink() if how == "gone" else path.write_bytes(bad[how])
    page.spoiled = how == "gone"
    page.open(serve(folder))
    state = page.choose("#color", "score")
    assert not state["ready"]
    assert state["error"]["path"] == f"obs/{path.name}"
    assert state["error"]["status"] == (404 if how == "gone" else 0)
    told = page.one("#problem").text
    assert f"obs/{path.name}" in told
    words = {"gone": "404", "cut": "cut short", "noise": "damaged", "other length": "bytes"}
    assert words[how] in told
    assert (state["colorBy"], page.texts("#legend *")) == (None, [])
    assert sum(page.colours().values()) > 10_000, "the cells stay"

    path.write_bytes(good)
    identity = folder / "dataset_identity.json"
    identity.write_bytes(identity.read_bytes())  # as whoever exports again does last

    def retried(_: Any) -> bool:  # the server looks for that once a second
        return page.click("#retry")["ready"]

    WebDriverWait(page.driver, PATIENCE).until(retried)
    assert page.state()["colorBy"] == "obs:score"
    assert not page.one("#error").is_displayed()


@pytest.mark.parametrize("name", ["points_3d.bin.gz", "obs_manifest.json"])
def test_what_the_page_needs_is_missing(page: Page, serve: Any, exports: Path, name: str) -> None:
    folder = exports / "uint8"
    server = serve(folder)
    page.open(server)
    blocked = {"urls": [f"*/{name}"]}
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", blocked)
    page.spoiled = True
    try:
        page.driver.refresh()
        state = page.state()
        assert state["error"]["path"] == name
        assert f"{name}: no answer from the server" in page.one("#problem").text
        assert page.texts("h1") == ["Atlas uint8"]
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.driver.execute_cdp_cmd("Network.disable", {})
    state = page.click("#retry")
    assert state["ready"]
    assert (state["drawn"], state["colorBy"]) == (CELLS, "obs:the group (x)")
    assert page.colours()[page.swatch("b")] > 500
    page.driver.get_log("browser")  # of what was blocked


def test_a_browser_without_webgl(page: Page, serve: Any, made: Path) -> None:
    hide = {"source": "HTMLCanvasElement.prototype.getContext = () => null"}
    driver = page.driver
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", hide)
    try:
        state = page.open(serve(made / "uint8"))
        assert "WebGL2" in state["error"]["message"]
        assert "WebGL2" in page.one("#problem").text
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_the_last_of_two_choices_wins(page: Page, serve: Any, made: Path) -> None:
    page.open(serve(made / "uint8"))
    hold = """
      const real = window.fetch;
      const held = new Promise((release) => { window.release = release; });
      window.fetch = async (url, options) => {
        if (!url.pathname.includes("score")) return real(url, options);
        const response = await real(url); // also when the page has lost interest in it
        const body = await response.arrayBuffer();
        await held;
        return new Response(body);
      };
    """
    page.driver.execute_script(hold)
    Select(page.one("#color")).select_by_visible_text("score")
    assert page.choose("#color", "leiden")["colorBy"] == "obs:leiden"
    page.driver.execute_script("window.release()")
    page.colours()  # two frames later
    assert page.state()["colorBy"] == "obs:leiden"
    assert page.texts("h2") == ["leiden"]
    assert page.texts(".bar") == []
    assert len(page.texts(".entry")) > 10


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
        wait = WebDriverWait(page.driver, PATIENCE, poll_frequency=0.05)
        wait.until(lambda driver: driver.execute_script("return window.ready"))
        found = page.driver.execute_script("return window.found")
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
    assert page.one(".banner").is_displayed()
    assert page.one(".banner").get_attribute("role") == "status"
