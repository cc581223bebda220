"""Drive the viewer page in a real headless Chromium; the fixtures share one browser."""

from __future__ import annotations

import base64
import io
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from page_data import GROUP, export_all, names
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from cellucid_dask import CellucidServer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
DRIVER = shutil.which("chromedriver")
needs_browser = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium or Chrome"),
    pytest.mark.skipif(DRIVER is None, reason="there is no chromedriver"),
]

BARE = "d=2&labels=0"
PATIENCE = 110  # seconds; a page that hangs fails the test, one on a busy machine does not
SIZE = (1240, 560)  # of the window; small, because software draws each pixel
FAILED_REQUEST = "Failed to load resource"

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]
Color = tuple[int, ...]

WAIT_UNTIL = """
const [ends, done] = arguments;
const check = () => {{
  const found = {};
  if (found || Date.now() > ends) done(found); else setTimeout(check, 10);
}};
check();
"""
# Resolves with the state of the page, once it is ready or has an error, and has drawn everything.
WAIT_UNTIL_IDLE = """
const [ends, done] = arguments;
const check = () => {
  const state = window.cellucid;
  const rests = !state?.rests || state.rests();
  if (state && (state.ready || state.error) && rests) {
    const { at, rests, labels, labelBoxes, ...told } = state;
    requestAnimationFrame(() => requestAnimationFrame(() => done(told)));
  } else if (Date.now() > ends) done(null); else setTimeout(check, 10);
};
setTimeout(check); // behind what the page has put off until now
"""
COVERING_IDS = ("tools", "display", "tooltip", "error", "notice", "no-cells")
SET_VISIBILITY = (
    "for (const id of arguments[0]) document.getElementById(id).style.visibility = arguments[1]"
)


def rgb(text: str) -> Color:
    """Channels of ``rgb(1, 2, 3)`` or ``rgba(1, 2, 3, 1)``."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def decode_png(png: bytes) -> Pixels:
    """(height, width, 3) of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def pixels_at(image: Pixels, places: Places, scale: float = 1) -> Pixels:
    """(n, 3): colors of an image at CSS pixels."""
    x, y = np.floor(np.asarray(places) * scale).astype(int).T
    return image[y, x]


def count_colors(image: Pixels) -> Counter[Color]:
    """Count the pixels of each color."""
    found, n = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return Counter(dict(zip(map(tuple, found.tolist()), n.tolist(), strict=True)))


def far_from_others(places: Places, apart: float = 9) -> NDArray[np.bool_]:
    """Which cells have no other cell within `apart` CSS pixels."""
    far = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(far, np.inf)
    return far.min(axis=1) > apart


class Page:
    """The viewer page in a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.expected_errors: tuple[str, ...] = ()  # parts of error messages that the test causes
        self.allowed_urls: list[str] = []

    # ------------------------------------------------------------------------ read the page

    def open(self, server: CellucidServer, link: str = "", url: str = "") -> dict[str, Any]:
        """Open the page of a server and return its state; `link` is the part after the `#`."""
        self.allowed_urls.append(server.url + "/")
        self.driver.execute_script("window.cellucid = null")  # of the previous page
        self.driver.get((url or server.viewer_url) + (f"#{link}" if link else ""))
        return self.state()

    def reload(self) -> dict[str, Any]:
        self.hash()  # else the last change is not in the address yet
        self.driver.refresh()
        return self.state()

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def state(self) -> dict[str, Any]:
        """State that the page publishes, once everything is loaded and drawn."""
        found = self._run_until_true(WAIT_UNTIL_IDLE)
        assert found, "the page is still loading or drawing"
        return found

    def wait_until(self, expression: str) -> Any:
        """Value of a JavaScript expression, once it is true."""
        found = self._run_until_true(WAIT_UNTIL.format(expression))
        assert found, f"never true: {expression}"
        return found

    def _run_until_true(self, script: str, *arguments: Any) -> Any:
        end = time.time() + PATIENCE - 5
        while True:
            try:
                return self.driver.execute_async_script(script, *arguments, 1000 * end)
            except JavascriptException:  # the browser opened another page
                if time.time() > end:
                    raise

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return [text.strip() for text in self.js(script, selector)]

    def is_shown(self, selector: str) -> bool:
        return self.find(selector).is_displayed()

    def entry(self, name: str) -> WebElement:
        """Row of the legend."""
        return self.find(f".entry[title='{name}']")

    def swatch(self, name: str) -> Color:
        """Color of a category in the legend."""
        script = "return getComputedStyle(arguments[0].previousSibling).backgroundColor"
        return rgb(self.js(script, self.entry(name)))

    def hash(self) -> str:
        """The link of what is shown; the page writes it a little later (DELAY_MS)."""
        return self.driver.execute_async_script(
            "setTimeout((done) => done(location.hash.slice(1)), 250, arguments[0])"
        )

    def keep_notices(self) -> None:
        """Until a reload, a notice of success stays; for a busy machine its seconds are too few."""
        self.js(
            "const later = setTimeout;"
            "window.setTimeout = (run, ms, ...given) => ms === 4000 ? 0 : later(run, ms, ...given)"
        )

    # ------------------------------------------------------------------------- use the page

    def choose(self, selector: str, text: str) -> dict[str, Any]:
        Select(self._reveal(selector)).select_by_visible_text(text)
        return self.state()

    def click(self, selector: str) -> dict[str, Any]:
        self._reveal(selector).click()
        return self.state()

    def color_by(self, text: str) -> dict[str, Any]:
        """Choose the column that the search box lists first for a text."""
        self.type_color(text)
        return self.state()

    def type_color(self, text: str) -> None:
        """The same, without waiting for the column."""
        box = self.find("#color-search")
        box.click()
        box.send_keys(Keys.CONTROL, "a", Keys.NULL, text, Keys.ENTER)

    def choose_embedding(self, text: str) -> dict[str, Any]:
        """Choose the embedding that the list of embeddings has first for a text."""
        box = self.find("#embedding")
        box.click()
        box.send_keys(Keys.CONTROL, "a", Keys.NULL, text, Keys.ENTER)
        return self.state()

    def show_dimension(self, dimension: int) -> dict[str, Any]:
        return self.click(f"#dimensions button[value='{dimension}']")

    def press_keys(self, selector: str, *keys: str) -> dict[str, Any]:
        self.find(selector).send_keys(*keys)
        return self.state()

    def set_slider(self, selector: str, value: float) -> dict[str, Any]:
        """Set a slider, as a user does who drags it."""
        script = (
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', { bubbles: true }))"
        )
        self.js(script, self.find(selector), value)
        return self.state()

    def _reveal(self, selector: str) -> WebElement:
        """Open the display settings if the element is among them; a click elsewhere closes them."""
        element = self.find(selector)
        if self.js("return Boolean(arguments[0].closest('#display'))", element):
            self.open_display()
        return element

    def open_display(self) -> None:
        """Open the display settings."""
        if not self.is_shown("#display"):
            self.click("#display-button")

    @property
    def mouse(self) -> ActionChains:
        return ActionChains(self.driver, duration=0)

    def drag(self, *places: Sequence[float], key: str = "") -> dict[str, Any]:
        """Press at the first pixel of the canvas, move to the others, release at the last."""
        chain = self.mouse
        if key:
            chain.key_down(key)
        chain = self._move_to(chain, places[0]).click_and_hold()
        for place in places[1:]:
            self._move_to(chain, place)
        chain.release()
        if key:
            chain.key_up(key)
        chain.perform()
        return self.state()

    def drag_slider(self, slider: str, *parts: float) -> None:
        """Drag a slider by its thumb to fractions of its length, and wait for the page at each."""
        script = """
          const slider = document.querySelector(arguments[0]);
          const { x, y, width, height } = slider.getBoundingClientRect();
          return [x + 8, width - 16, y + height / 2];
        """
        left, way, y = self.js(script, slider)
        kinds = ["mousePressed", *["mouseMoved"] * len(parts), "mouseReleased"]
        for kind, part in zip(kinds, [parts[0], *parts, parts[-1]], strict=True):
            held = {"button": "left", "buttons": 1, "clickCount": 1}
            self.cdp("Input.dispatchMouseEvent", type=kind, x=left + part * way, y=y, **held)
            self.state()

    def move_pointer(self, place: Sequence[float]) -> None:
        """Move the pointer to a pixel of the canvas."""
        self._move_to(self.mouse, place).perform()

    def _move_to(self, chain: ActionChains, place: Sequence[float]) -> ActionChains:
        cells = self.find("#cells")
        middle = [length // 2 for length in (cells.size["width"], cells.size["height"])]
        x, y = (round(at) - half for at, half in zip(place, middle, strict=True))
        return chain.move_to_element_with_offset(cells, x, y)

    # ------------------------------------------------------------------- look at the drawing

    def cell_pixels(self) -> Places:
        """(n, 2): CSS pixel of each cell on the canvas."""
        script = "return Array.from({ length: cellucid.nCells }, (_, i) => cellucid.at(i))"
        return np.array(self.js(script))

    def picture(self, hide: Sequence[str] = COVERING_IDS) -> Pixels:
        """(height, width, 3): screenshot of the cells, without the elements that may cover them."""
        self.state()
        self.js(SET_VISIBILITY, hide, "hidden")
        png = base64.b64decode(self.find("#cells").screenshot_as_base64)
        self.js(SET_VISIBILITY, hide, "")
        return decode_png(png)

    def color_counts(self) -> Counter[Color]:
        """Count the pixels of each color, without the background."""
        found = count_colors(self.picture())
        del found[self.background()]
        return found

    def background(self) -> Color:
        return rgb(self.find("#stage").value_of_css_property("background-color"))

    def context(self) -> Color:
        """Color of cells that are filtered out."""
        script = """
          const probe = document.body.appendChild(document.createElement("i"));
          probe.style.color = "var(--context)";
          const { color } = getComputedStyle(probe);
          probe.remove();
          return color;
        """
        return rgb(self.js(script))

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        self.wait_until(f"innerWidth === {width} && innerHeight === {height}")

    def save_csv(self) -> None:
        """Download what the dialog of CSV files has, and wait until it closes."""
        self.wait_until("!document.getElementById('csv-save').disabled")
        self.find("#csv-save").click()
        self.wait_until("!document.getElementById('csv-dialog').open")

    def downloads(self, folder: Path) -> Callable[[str], bytes]:
        """Save downloads to a folder; return a function that waits for one by its name."""
        folder.mkdir(exist_ok=True)
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

        def arrived(name: str) -> bytes:
            path, end = folder / name, time.monotonic() + PATIENCE
            # Chromium reserves the name with an empty file, and renames the full one to it.
            while not (path.is_file() and path.stat().st_size) or [*folder.glob("*.crdownload")]:
                assert time.monotonic() < end, [entry.name for entry in folder.iterdir()]
                time.sleep(0.02)
            return path.read_bytes()

        return arrived

    def assert_no_errors(self) -> None:
        """No errors in the console, and no requests to other hosts."""
        errors = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
            and not any(expected in entry["message"] for expected in self.expected_errors)
        ]
        assert not errors, "\n".join(errors)
        entries = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        asked = self.js(entries)
        assert asked
        assert [url for url in asked if not url.startswith((*self.allowed_urls, "blob:"))] == []


def moved_by(places: Places, dx: float, dy: float) -> Places:
    return places + np.array((dx, dy))


def near(found: Places, expected: Any, *, pixels: float = 0.1) -> bool:
    return bool(np.abs(found - expected).max() < pixels)


def swatches(page: Page, key: str = GROUP) -> Pixels:
    """(n, 3): the color of each cell, as the legend has it."""
    colors = {name: page.swatch(name) for name in page.texts(".entry .text")}
    return np.array([colors[name] for name in names(key)])


# ------------------------------------------------------------------------------------- fixtures


def options() -> webdriver.ChromeOptions:
    found = webdriver.ChromeOptions()
    found.binary_location = str(CHROMIUM)
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "disable-extensions",
        "disable-background-networking",
        "no-proxy-server",
        "force-color-profile=srgb",
        "force-device-scale-factor=1",
        "disable-gpu-compositing",
        "use-angle=swiftshader",
        "enable-unsafe-swiftshader",
    ):
        found.add_argument(f"--{flag}")
    found.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    driver = webdriver.Chrome(options(), webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def all_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of one atlas with several quantizations and compressions."""
    return export_all(tmp_path_factory.mktemp("exports"))


@pytest.fixture
def exports(all_exports: Path, tmp_path: Path) -> Path:
    """A copy of these exports that a test may damage."""
    return shutil.copytree(all_exports, tmp_path / "exports")


def start(data: Any, kind: type[CellucidServer] = CellucidServer, **given: Any) -> Any:
    """Start a server."""
    server = kind(data, port=0, quiet=True, open_browser=False, **given)
    server.start_background()
    return server


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start a server that is stopped after the test."""
    running: list[Any] = []

    def started(*data: Any, **given: Any) -> Any:
        running.append(start(*data, **given))
        return running[-1]

    yield started
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def served(all_exports: Path) -> Iterator[Callable[[str], CellucidServer]]:
    """Servers of the exports by name, shared by all tests."""
    running: dict[str, CellucidServer] = {}

    def find(name: str) -> CellucidServer:
        if name not in running:
            running[name] = start(all_exports / name if name else all_exports)
        return running[name]

    yield find
    for server in running.values():
        server.stop()


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[Page]:
    """A browser; after the test its console must have no errors."""
    browser.get_log("browser")
    page = Page(browser)
    page.resize(*SIZE)
    yield page
    page.assert_no_errors()
    for url in page.allowed_urls:  # of servers that other tests share
        page.cdp("Storage.clearDataForOrigin", origin=url, storageTypes="local_storage")
    browser.get("about:blank")
