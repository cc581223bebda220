"""The page in Firefox and in WebKitGTK, where these browsers and their drivers are installed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from page_data import GROUP, atlas, names
from paging import PATIENCE, Page
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
GENE = "Gene3"
MINI_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)


def firefox(folder: Path) -> webdriver.Firefox:
    driver = shutil.which("geckodriver")
    if not (FIREFOX and driver):
        pytest.skip("there is no Firefox with geckodriver")
    options = webdriver.FirefoxOptions()
    options.binary_location = FIREFOX
    options.add_argument("-headless")
    options.set_preference("webgl.force-enabled", True)  # without a graphics card, too
    options.set_preference("browser.download.folderList", 2)  # the folder of the next line
    options.set_preference("browser.download.dir", str(folder))
    return webdriver.Firefox(options, webdriver.FirefoxService(driver))


def webkit(folder: Path) -> webdriver.WebKitGTK:
    driver = shutil.which("WebKitWebDriver")
    if not (MINI_BROWSER and driver):
        pytest.skip("there is no WebKitGTK with WebKitWebDriver")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        pytest.skip("WebKitGTK needs a display, such as that of xvfb-run")
    options = webdriver.WebKitGTKOptions()
    options.binary_location = str(MINI_BROWSER)
    options.add_argument("--automation")
    # Its downloads go to the home folder.
    service = webdriver.WebKitGTKService(driver, env={**os.environ, "HOME": str(folder)})
    return webdriver.WebKitGTK(options, service)


@pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning")  # of selenium
@pytest.mark.parametrize("start", [firefox, webkit])
def test_another_browser_colors_filters_and_downloads(
    start: Callable[[Path], Any], served: Any, tmp_path: Path
) -> None:
    driver = start(tmp_path)
    try:
        driver.set_script_timeout(PATIENCE)
        driver.set_window_size(1240, 760)
        use_page(Page(driver), served("float32"), tmp_path)
    finally:
        driver.quit()


def use_page(page: Page, server: Any, folder: Path) -> None:
    page.open(server, f"d=2&color=obs:{GROUP}")
    assert page.state()["drawn"] == len(names())
    box = page.find("#color-search")
    box.click()
    box.send_keys(GENE)
    page.wait_until(f"document.getElementById('color-search').value === '{GENE}'")
    box.send_keys(Keys.ENTER)
    page.wait_until(f"cellucid.colorBy === 'gene:{GENE}'")
    page.find("#add-filter").click()
    page.find("#add-filter").send_keys(GROUP)
    page.wait_until(f"document.getElementById('add-filter').value === '{GROUP}'")
    page.find("#add-filter").send_keys(Keys.ENTER)
    page.wait_until("document.querySelector('.check-list input')")
    page.find(".check-list li:has([title^='Show only b;']) input").click()
    kept = names() != "b"
    values = atlas()[:, GENE].X.toarray().ravel()
    page.wait_until(f"cellucid.drawn === {kept.sum()}")
    page.state()
    page.find("#csv-button").click()
    page.save_csv()
    end = time.monotonic() + PATIENCE
    while not (files := [path for path in folder.glob("*.csv") if path.stat().st_size]):
        assert time.monotonic() < end, [*folder.iterdir()]
        time.sleep(0.02)
    table = pd.read_csv(files[0])
    assert [*table["row"]] == [*kept.nonzero()[0]]
    assert [*table[GENE]] == pytest.approx([*values[kept]], rel=1e-5)
