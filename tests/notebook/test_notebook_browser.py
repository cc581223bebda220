"""The frame of a view in a real browser."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks import CELLS
from serving import wait_until

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver = shutil.which("chromedriver")
    if CHROMIUM is None or driver is None:
        pytest.skip("there is no Chromium, or no chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "no-proxy-server",
        "use-angle=swiftshader",
        "enable-unsafe-swiftshader",
        "host-resolver-rules=MAP lab.org 127.0.0.1",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A page of another origin, without a log."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def other_origin(tmp_path: Path) -> Iterator[int]:
    """Port of another server of this machine, with what the test writes to its folder."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_frame_shows_the_page(
    browser: Any, shown: Any, other_origin: int, tmp_path: Path, folder: Path
) -> None:
    """In pages of this machine by either name, though these are two sites; in no other page."""
    view = shown(folder / "atlas")
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{view._repr_html_()}")
    state = "const s = window.cellucid; return s && (s.ready || s.error) ? s : null"
    for name in ("localhost", "127.0.0.1"):
        browser.get(f"http://{name}:{other_origin}/notebook.html")
        browser.switch_to.frame(browser.find_element("tag name", "iframe"))
        found = wait_until(lambda: browser.execute_script(state), "the page is never ready")
        assert (found["ready"], found["error"], found["drawn"]) == (True, None, CELLS)
    browser.get_log("browser")
    browser.get(f"http://lab.org:{other_origin}/notebook.html")
    refused = "frame-ancestors"
    wait_until(
        lambda: any(refused in entry["message"] for entry in browser.get_log("browser")),
        "a page of another name may show the frame",
        pause=0.2,
    )
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    assert browser.execute_script("return window.cellucid === undefined")
