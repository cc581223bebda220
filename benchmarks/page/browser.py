"""The page in its own headless Chromium, with the clocks that the benchmarks read."""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import psutil
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SCRIPT_TIMEOUT = 100  # seconds; selenium waits for 120 at most
MIN_FRAMES, MAX_DRAG_SECONDS = 8, 15.0  # a drag lasts until it has these frames, at most this long
FLAGS = (
    "headless=new",
    "no-sandbox",
    "disable-dev-shm-usage",
    "no-proxy-server",
    "force-device-scale-factor=1",
    "use-angle=swiftshader",  # no graphics card: every pixel is drawn by the processor
    "enable-unsafe-swiftshader",
)
# Runs before the scripts of the page. A frame counts as drawn when WebGL drew something in it.
# Reading a pixel waits until all that was asked of WebGL before is done.
CLOCKS = """
(() => {
  performance.setResourceTimingBufferSize(100000);
  const bench = (window.bench = { first: null, entered: 0 });
  Object.assign(bench, { frames: [], ticks: [], tasks: [], waits: [] });
  const finish = (bench.finish = () => {
    const began = performance.now();
    bench.gl?.readPixels(0, 0, 1, 1, bench.gl.RGBA, bench.gl.UNSIGNED_BYTE, new Uint8Array(4));
    bench.waits.push([began, performance.now()]);
  });
  bench.longest = () => Math.max(0, ...bench.tasks.map(([start, length]) => length -
    bench.waits.reduce((sum, [from, to]) =>
      sum + Math.max(0, Math.min(to, start + length) - Math.max(from, start)), 0)));
  bench.when = (happened) => new Promise((done) => {
    const look = () => {
      if (!happened()) return requestAnimationFrame(look);
      finish();
      done(performance.now());
    };
    look();
  });
  let drew = false;
  const counts = { drawArrays: 2, drawElements: 1, drawArraysInstanced: 3,
    drawElementsInstanced: 4 };
  for (const [name, at] of Object.entries(counts)) {
    const real = WebGL2RenderingContext.prototype[name];
    WebGL2RenderingContext.prototype[name] = function (...given) {
      [bench.gl, drew] = [this, true];
      if (given[at] > 1000) {
        bench.first ??= performance.now();
        if (window.cellucid?.colorBy === bench.wanted) bench.seen ??= performance.now();
        if (bench.onDraw && bench.isShown()) {
          queueMicrotask(bench.onDraw); // after everything that the page draws in this frame
          bench.onDraw = null;
        }
      }
      return real.apply(this, given);
    };
  }
  const tick = () => {
    bench.ticks.push(performance.now());
    if (drew) bench.frames.push(performance.now());
    drew = false;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  new PerformanceObserver((list) => bench.tasks.push(...list.getEntries().map(
    ({ startTime, duration }) => [startTime, duration]))).observe({ type: "longtask" });
  addEventListener("keydown", ({ key }) => {
    if (key === "Enter") bench.entered = performance.now();
  }, true);
  bench.rested = () => bench.when(() => window.cellucid.error || window.cellucid.rests());
  bench.loaded = bench.when(() => window.cellucid?.ready || window.cellucid?.error);
})();
"""


def describe_browser() -> str:
    """Return the name and the version of the browser."""
    with running_browser() as (driver, _):
        found = driver.capabilities
    return f"{found['browserName']} {found['browserVersion']}"


@contextmanager
def running_browser(size: str = "1280,720") -> Iterator[tuple[webdriver.Chrome, psutil.Process]]:
    """Run a browser with an empty profile; yield it and its parent process."""
    binary = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if not binary or not chromedriver:
        raise click.ClickException(
            "chromium or chromedriver is not installed "
            "(Debian: apt install chromium chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"window-size={size}"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(chromedriver)
    driver = webdriver.Chrome(options, service)
    driver.set_script_timeout(SCRIPT_TIMEOUT)
    try:
        yield driver, psutil.Process(service.process.pid)
    finally:
        driver.quit()


def measure_memory(parent: psutil.Process) -> dict[str, float]:
    """Measure the MB of the largest renderer and of the GPU process, now and at the peak."""
    found = {"renderer": 0.0, "renderer_peak": 0.0, "gpu": 0.0, "gpu_peak": 0.0, "all": 0.0}
    for process in parent.children(recursive=True):
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            now = process.memory_info().rss / 1e6
            kind = re.search(r"--type=(renderer|gpu)", " ".join(process.cmdline()))
            found["all"] += now
            if kind and now > found[kind[1]]:
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = re.search(r"VmHWM:\s+(\d+) kB", status)
                found[kind[1]], found[kind[1] + "_peak"] = now, float(peak[1]) * 1.024e-3
    return found


class Page:
    """The page, as a user with a stopwatch drives it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CLOCKS})

    def load(self, url: str, dimension: int) -> dict[str, Any]:
        """Open the page with an empty cache; milliseconds from the first request."""
        found = self.open(f"{url}#d={dimension}")
        state = found.pop("state")
        if state["dimension"] != dimension:  # switched by a click, so no time is measured
            found["drawn"] = found["first"] = None
            self.driver.find_element(
                By.CSS_SELECTOR, f"#dimensions button[value='{dimension}']"
            ).click()
            self._wait(f"cellucid.ready && cellucid.dimension === {dimension}")
        return found

    def open(self, url: str) -> dict[str, Any]:
        """Open an address with an empty cache, and wait until nothing more is drawn."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        self.driver.get(url)
        found = self.driver.execute_async_script(LOADED)
        if found["state"]["error"]:
            raise click.ClickException(f"the page says: {found['state']['error']}")
        return found

    def settle(self) -> None:
        """Wait until nothing more is drawn, in the plot and in the panels."""
        self.driver.execute_async_script("bench.rested().then(() => setTimeout(arguments[0], 500))")

    def switch(self, gene: str) -> dict[str, Any]:
        """Type a gene into the search box and press Enter; milliseconds from that key."""
        field = self.driver.find_element(By.CSS_SELECTOR, "#color-search, #gene")  # new and old
        self.driver.execute_script(ARM, f"gene:{gene}")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(gene)
        field.send_keys(Keys.ENTER)
        return self.driver.execute_async_script(SWITCHED)

    def drag(self, seconds: float = 2.0) -> dict[str, Any]:
        """Drag with the pointer; milliseconds between frames, and from the end to the last one."""
        box = self.driver.find_element(By.ID, "cells").rect
        centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self._pointer("mousePressed", *centre)
        self.driver.execute_script("bench.frames = []")
        began, moves = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds or self._needs_more_frames(passed):
            angle = 2 * math.pi * passed / seconds
            x, y = 120 * math.sin(angle), 60 * math.sin(2 * angle)
            self._pointer("mouseMoved", centre[0] + x, centre[1] + y)
            moves += 1
        self.driver.execute_script("bench.released = performance.now()")
        self._pointer("mouseReleased", *centre)
        return {**self.driver.execute_async_script(DRAGGED), "moves": moves}

    def _needs_more_frames(self, passed: float) -> bool:
        """Whether a drag must last longer, so that the median of its frames means something."""
        return passed < MAX_DRAG_SECONDS and self.driver.execute_script(
            f"return bench.frames.length < {MIN_FRAMES}"
        )

    def change(self, change: dict[str, Any]) -> float:
        """Change which cells the view shows; milliseconds until the first frame with it."""
        found = self.driver.execute_async_script(CHANGED, change)
        if "error" in found:
            raise click.ClickException(f"the page says: {found['error']}")
        return found["shown"]

    def complete(self) -> float:
        """Wait until nothing more is drawn; milliseconds since the last change."""
        return self.driver.execute_async_script(COMPLETE)

    def rest(self) -> dict[str, Any]:
        """Do nothing for a second; milliseconds between ticks, and the number of frames drawn."""
        return self.driver.execute_async_script(STILL)

    def _pointer(self, kind: str, x: float, y: float) -> None:
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        event["buttons"] = 0 if kind == "mouseReleased" else 1
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def _wait(self, happened: str) -> None:
        self.driver.execute_async_script(f"bench.when(() => {happened}).then(arguments[0])")


LOADED = """
const done = arguments[0];
bench.loaded.then((drawn) => bench.rested().then((whole) => setTimeout(() => done({
  drawn, whole, first: bench.first, state: window.cellucid,
  longest: bench.longest(),
  requests: performance.getEntriesByType("resource").map((entry) => ({
    path: new URL(entry.name).pathname, start: entry.startTime, end: entry.responseEnd,
    bytes: entry.encodedBodySize })),
}), 200)));
"""
ARM = """
const wanted = arguments[0];
const before = performance.getEntriesByType("resource").length;
Object.assign(bench, { before, wanted, seen: null, tasks: [] });
bench.switched = bench.when(() => cellucid.error ||
  (cellucid.ready && cellucid.colorBy === wanted));
"""
SWITCHED = """
const done = arguments[0];
bench.switched.then((now) => bench.rested().then((whole) => setTimeout(() => done({
  took: now - bench.entered, whole: whole - bench.entered,
  first: bench.seen === null ? null : bench.seen - bench.entered,
  longest: bench.longest(),
  requests: performance.getEntriesByType("resource").length - bench.before,
}), 200)));
"""
# Calls what panels of the page call. The page publishes how many cells are visible when it knows.
CHANGED = """
const [change, done] = arguments;
const page = document.querySelector("script[type=module]").src;
const actions = import(new URL("actions.js", page));
actions.catch((error) => done({ error: String(error) }));
actions.then(({ changeView }) => {
  const before = cellucid.drawn;
  bench.isShown = () => cellucid.drawn !== before;
  bench.changed = performance.now();
  const drawn = new Promise((resolve) => { bench.onDraw = resolve; });
  changeView(change);
  drawn.then(() => {
    bench.finish();
    done({ shown: performance.now() - bench.changed });
  });
});
"""
COMPLETE = """
const [done] = arguments;
bench.rested().then((whole) => done(whole - bench.changed));
"""
DRAGGED = """
const done = arguments[0];
const gaps = bench.frames.slice(1).map((now, i) => now - bench.frames[i]);
bench.finish();
let [end, seen] = [performance.now(), bench.frames.length];
(async () => { // until 0.4 s pass without a frame
  while (performance.now() - end < 400) {
    await new Promise(requestAnimationFrame);
    if (bench.frames.length === seen) continue;
    seen = bench.frames.length;
    bench.finish();
    end = performance.now();
  }
  done({ gaps, settled: end - bench.released });
})();
"""
STILL = """
const done = arguments[0];
Object.assign(bench, { frames: [], ticks: [] });
setTimeout(() => done({
  gaps: bench.ticks.slice(1).map((now, i) => now - bench.ticks[i]), drawn: bench.frames.length,
}), 1000);
"""
