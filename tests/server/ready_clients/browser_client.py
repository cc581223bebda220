"""zarrita and h5wasm in a web page of Chromium."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from javascript import beside_packages
from node_client import READER
from selenium import webdriver
from stored_tree import Tree, tree_of_nodes

PROGRAM = READER.with_name("page_client.mjs")
READ = """
const [url, done] = arguments;
window.readStore(url).then(done);
"""
LOAD = "window.readStoreSource = arguments[0]; (0, eval)(arguments[0])"


class BrowserClient:
    """A page that reads stores, in the origin of the store or in another one.

    Parameters
    ----------
    driver
        The browser.
    script
        Defines the function that reads a store.
    elsewhere
        URL of a page of another origin.
    """

    def __init__(self, driver: webdriver.Chrome, script: str, elsewhere: str) -> None:
        self._driver, self._script, self._elsewhere = driver, script, elsewhere
        self.statuses: list[int] = []  # of the responses to what was read last

    def read(self, url: str, *, same_origin: bool) -> Tree:
        """Read the store at a URL."""
        home = self._page(url) if same_origin else self._elsewhere
        if self._driver.current_url != home:
            self._driver.get(home)
            self._driver.execute_script(LOAD, self._script)
        answer: dict[str, Any] = self._driver.execute_async_script(READ, url)
        assert "error" not in answer, answer["error"]
        self.statuses = answer["statuses"]
        return tree_of_nodes(answer["nodes"])

    def _page(self, url: str) -> str:
        return url.partition("/_cellucid/")[0] + "/_cellucid/health"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def browser_client(
    packages: Path, browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserClient]:
    """A page in Chromium, and an origin of its own."""
    folder = tmp_path_factory.mktemp("page")
    program = beside_packages(folder, packages, PROGRAM, READER)
    bundle = folder / "bundle.js"
    command = [packages / ".bin" / "esbuild", program, "--bundle", "--format=iife"]
    command += ["--external:worker_threads"]  # of node
    subprocess.run([*command, "--log-level=error", f"--outfile={bundle}"], check=True)
    (folder / "elsewhere.html").write_text("<!doctype html><title>Elsewhere</title>")
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        home = f"http://127.0.0.1:{server.server_port}/elsewhere.html"
        yield BrowserClient(browser, bundle.read_text(), home)
        server.shutdown()
        thread.join()
