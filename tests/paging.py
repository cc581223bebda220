"""The page in a real headless Chromium: a driver of it, and fixtures that start few of them."""

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
from page_data import export_all
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
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

PATIENCE = 60  # seconds; a page that hangs fails the test, one on a busy machine does not
SIZE = (900, 560)  # of the window: each pixel is drawn by software
SPOILED = "Failed to load resource"

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]
Colour = tuple[int, ...]

WAIT = """
const [ends, done] = arguments;
const look = () => {{
  const found = {};
  if (found || Date.now() > ends) done(found); else setTimeout(look, 10);
}};
look();
"""
# The page is there, or says why not, and all that it drew is to be seen.
SETTLED = """
const [ends, done] = arguments;
const look = () => {
  const state = window.cellucid;
  const rests = !state?.rests || state.rests();
  if (state && (state.ready || state.error) && rests) {
    const { at, rests, labels, ...told } = state;
    requestAnimationFrame(() => requestAnimationFrame(() => done(told)));
  } else if (Date.now() > ends) done(null); else setTimeout(look, 10);
};
look();
"""
COVERS = ("tools", "selection", "tooltip", "error", "notice")
HIDE = "for (const id of arguments[0]) document.getElementById(id).style.visibility = arguments[1]"


def rgb(text: str) -> Colour:
    """Channels of ``rgb(1, 2, 3)`` or ``rgba(1, 2, 3, 1)``."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def decoded(png: bytes) -> Pixels:
    """(height, width, 3) of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def pixels_at(image: Pixels, places: Places, scale: float = 1) -> Pixels:
    """(n, 3) of the pixels at places, in CSS pixels."""
    x, y = np.floor(np.asarray(places) * scale).astype(int).T
    return image[y, x]


def counted(image: Pixels) -> Counter[Colour]:
    """How many pixels have which colour."""
    found, n = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return Counter(dict(zip(map(tuple, found.tolist()), n.tolist(), strict=True)))


def alone(places: Places, apart: float = 9) -> NDArray[np.bool_]:
    """Which cells are seen by themselves: no other is nearer than so many CSS pixels."""
    far = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(far, np.inf)
    return far.min(axis=1) > apart


class Page:
    """The page, with the words in which the tests speak of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.spoiled: tuple[str, ...] = ()  # what errors the test makes say
        self.roots: list[str] = []

    # ------------------------------------------------------------------------ what there is

    def open(self, server: CellucidServer, link: str = "", url: str = "") -> dict[str, Any]:
        """State of the page of a server, once it is there; `link` is the end of its address."""
        self.roots.append(server.url + "/")
        self.driver.execute_script("window.cellucid = null")  # of a page that was there before
        self.driver.get((url or server.viewer_url) + (f"#{link}" if link else ""))
        return self.state()

    def reload(self) -> dict[str, Any]:
        self.driver.refresh()
        return self.state()

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def state(self) -> dict[str, Any]:
        """What the page says of itself, once nothing is on its way and all is drawn."""
        found = self._patiently(SETTLED)
        assert found, "the page does not come to rest"
        return found

    def until(self, expression: str) -> Any:
        """Value of a JavaScript expression, once it is true."""
        found = self._patiently(WAIT.format(expression))
        assert found, f"never so: {expression}"
        return found

    def _patiently(self, script: str, *arguments: Any) -> Any:
        end = time.time() + PATIENCE - 5
        while True:
            try:
                return self.driver.execute_async_script(script, *arguments, 1000 * end)
            except JavascriptException:  # another page came
                if time.time() > end:
                    raise

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return [text.strip() for text in self.js(script, selector)]

    def seen(self, selector: str) -> bool:
        return self.one(selector).is_displayed()

    def entry(self, name: str) -> WebElement:
        """Row of the legend."""
        return self.one(f".entry[title='{name}']")

    def swatch(self, name: str) -> Colour:
        """Colour of a category in the legend."""
        script = "return getComputedStyle(arguments[0].querySelector('.swatch')).backgroundColor"
        return rgb(self.js(script, self.entry(name)))

    def hash(self) -> str:
        return self.js("return location.hash.slice(1)")

    # -------------------------------------------------------------------------- what is done

    def choose(self, selector: str, text: str) -> dict[str, Any]:
        Select(self.one(selector)).select_by_visible_text(text)
        return self.state()

    def click(self, selector: str) -> dict[str, Any]:
        self.one(selector).click()
        return self.state()

    def show(self, dimension: int) -> dict[str, Any]:
        return self.click(f"#dimensions button[value='{dimension}']")

    def keys(self, selector: str, *keys: str) -> dict[str, Any]:
        self.one(selector).send_keys(*keys)
        return self.state()

    def slide(self, selector: str, value: float) -> dict[str, Any]:
        """Set a slider, as a drag does."""
        script = (
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', { bubbles: true }))"
        )
        self.js(script, self.one(selector), value)
        return self.state()

    def display(self) -> None:
        """Open the part of the controls on how things are displayed."""
        self.js("document.getElementById('display').open = true")

    @property
    def mouse(self) -> ActionChains:
        return ActionChains(self.driver, duration=0)

    def drag(self, *places: Sequence[float], shift: bool = False) -> dict[str, Any]:
        """Press at the first place of the canvas, go along the others, release at the last."""
        chain = self.mouse
        if shift:
            chain.key_down("\ue008")
        chain = self._to(chain, places[0]).click_and_hold()
        for place in places[1:]:
            self._to(chain, place)
        chain.release()
        if shift:
            chain.key_up("\ue008")
        chain.perform()
        return self.state()

    def hold(self, slider: str, *parts: float) -> None:
        """Drag a slider by its thumb to parts of its way, and let the page draw at each."""
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

    def point(self, place: Sequence[float]) -> None:
        """Move the pointer to a place of the canvas."""
        self._to(self.mouse, place).perform()

    def _to(self, chain: ActionChains, place: Sequence[float]) -> ActionChains:
        cells = self.one("#cells")
        middle = [length // 2 for length in (cells.size["width"], cells.size["height"])]
        x, y = (round(at) - half for at, half in zip(place, middle, strict=True))
        return chain.move_to_element_with_offset(cells, x, y)

    # --------------------------------------------------------------------------- what is seen

    def places(self) -> Places:
        """(n, 2): where on the canvas cells are, in CSS pixels."""
        script = "return Array.from({ length: cellucid.nCells }, (_, i) => cellucid.at(i))"
        return np.array(self.js(script))

    def picture(self, hide: Sequence[str] = COVERS) -> Pixels:
        """(height, width, 3): the cells as they are seen, without what may cover them."""
        self.state()
        self.js(HIDE, hide, "hidden")
        png = base64.b64decode(self.one("#cells").screenshot_as_base64)
        self.js(HIDE, hide, "")
        return decoded(png)

    def colours(self) -> Counter[Colour]:
        """How many pixels have which colour, without the background."""
        found = counted(self.picture())
        del found[self.ground()]
        return found

    def ground(self) -> Colour:
        return rgb(self.one("#stage").value_of_css_property("background-color"))

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        self.until(f"innerWidth === {width} && innerHeight === {height}")

    def downloads(self, folder: Path) -> Callable[[str], bytes]:
        """Let files be saved there; gives what waits for one by its name."""
        folder.mkdir(exist_ok=True)
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

        def arrived(name: str) -> bytes:
            end = time.monotonic() + PATIENCE
            while not (folder / name).is_file():
                assert time.monotonic() < end, [path.name for path in folder.iterdir()]
                time.sleep(0.02)
            return (folder / name).read_bytes()

        return arrived

    def check(self) -> None:
        """No errors in the console, no request to anybody else."""
        errors = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
            and not any(expected in entry["message"] for expected in self.spoiled)
        ]
        assert not errors, "\n".join(errors)
        entries = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        asked = self.js(entries)
        assert asked
        assert [url for url in asked if not url.startswith((*self.roots, "blob:"))] == []


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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of one atlas in several forms."""
    return export_all(tmp_path_factory.mktemp("exports"))


@pytest.fixture
def exports(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may spoil."""
    return shutil.copytree(made, tmp_path / "exports")


def start(data: Any, kind: type[CellucidServer] = CellucidServer, **given: Any) -> Any:
    """A server that was started."""
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
def served(made: Path) -> Iterator[Callable[[str], CellucidServer]]:
    """Servers of the exports by their name, one for all tests."""
    running: dict[str, CellucidServer] = {}

    def find(name: str) -> CellucidServer:
        if name not in running:
            running[name] = start(made / name if name else made)
        return running[name]

    yield find
    for server in running.values():
        server.stop()


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[Page]:
    """An open browser, which must have nothing to complain of after the test."""
    browser.get_log("browser")
    page = Page(browser)
    page.resize(*SIZE)
    yield page
    page.check()
    browser.get("about:blank")
