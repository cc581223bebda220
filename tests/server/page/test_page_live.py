"""Live data on the page: colors before a pass over all cells, and which file is loading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_data import GROUP, STORAGE_OPTIONS, atlas

from cellucid_dask import AnnDataServer

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser

pytestmark = needs_browser

READ = """
const [key, done] = arguments;
(async () => {
  const part = (name) => import(new URL(`_cellucid/page/data/${name}.js`, document.baseURI));
  const [{ Dataset }, { Reader }] = await Promise.all([part("dataset"), part("reader")]);
  const { signal } = new AbortController();
  const reader = new Reader(new URL("./", document.baseURI), signal, () => {});
  const dataset = await Dataset.open(reader);
  await dataset.readFields(reader);
  const { codes, lo, step, missingCode } = await dataset.readOutliers(reader, key);
  const edges = await dataset.readEdges(reader, 1e6);
  done({ codes: [...codes], lo, step, missingCode, edges: [...edges], nEdges: dataset.nEdges });
})();
"""
REQUESTS = """
const entries = performance.getEntriesByType("resource");
return entries.map(({ name }) => name.replace(new URL("./", document.baseURI), ""));
"""
# Holds the requests for a part of a path back from the server until ``release()``.
HOLD = """
const [part] = arguments, real = window.fetch;
const held = new Promise((release) => { window.release = release; });
window.fetch = async (url, options) => {
  if (url.pathname.includes(part)) await held;
  return real(url, options);
};
"""


def test_colors_come_before_a_pass_over_all_cells(page: Page, serve: Any) -> None:
    state = page.open(serve(atlas(), AnnDataServer, index=False), "d=2")
    assert state["colorBy"] == f"obs:{GROUP}"
    asked = [path for path in page.js(REQUESTS) if path.startswith(("obs", "dataset_id", "conn"))]
    codes = "obs/the_group_x.codes.u8"
    # The identity is asked for again on a busy machine: after a second there may be other data.
    assert set(asked) == {
        "dataset_identity.json?summaries=",
        "obs_manifest.json?summaries=",
        codes,
    }


def test_the_page_says_which_file_the_server_prepares(page: Page, serve: Any) -> None:
    page.open(serve(atlas(), AnnDataServer, index=False), "d=2&labels=0")
    page.js(HOLD, "quarter")
    page.type_color("quarter")
    assert page.find("#status").text.startswith("Loading obs/quarter.codes.u8…")
    page.wait_until("document.querySelector('#status').textContent.endsWith('preparing it.')")
    page.js("window.release()")
    assert page.state()["colorBy"] == "obs:quarter"
    assert "cells in 2D" in page.find("#status").text


@pytest.mark.parametrize("form", ["uint8", "float32"])
def test_live_outliers_and_edges_are_those_of_the_export(
    page: Page, serve: Any, served: Any, form: str
) -> None:
    page.open(served(form), "d=2")
    exported = page.driver.execute_async_script(READ, "quarter")
    quantize = STORAGE_OPTIONS[form]["var_quantization"]
    page.open(serve(atlas(), AnnDataServer, index=False, quantize=quantize), "d=2")
    assert page.driver.execute_async_script(READ, "quarter") == exported
    assert np.unique(exported["codes"]).size > 10
    assert exported["nEdges"] == len(exported["edges"]) // 2
