"""Where the page comes from: datasets, token, path prefix, hosted pages, no other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_data import CELLS, GROUP, stacked_cells
from upstream import index_of, site

from cellucid_dask import export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser
from selenium.webdriver.support.ui import Select

pytestmark = needs_browser


def test_user_switches_between_datasets(page: Page, serve: Any, exports: Path) -> None:
    (exports / "uint16" / "dataset_identity.json").write_text("{")
    smaller = stacked_cells(upside_down=False)
    export(smaller, exports / "small", quiet=True, dataset_id="small", dataset_name="Small")
    server = serve(exports)
    assert page.open(server)["ready"]
    options = Select(page.find("#datasets")).options
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
    page.show_dimension(2)
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


def test_page_works_with_a_token_and_a_path_prefix(
    page: Page, serve: Any, all_exports: Path
) -> None:
    server = serve(all_exports / "uint8", token="s3cret-and-long-enough", base_path="/some/prefix")
    assert server.url.endswith("/some/prefix")
    assert "token=" in server.viewer_url
    assert page.open(server, url=server.viewer_url + "&other=1")["ready"]
    address = page.js("return location.href")
    assert address.partition("#")[0] == f"{server.url}/?other=1", "the token is gone"
    assert page.reload()["ready"], "the cookie is enough"
    assert page.show_dimension(2)["drawn"] == CELLS
    page.driver.delete_all_cookies()


def test_page_loads_nothing_from_other_hosts(page: Page, served: Any) -> None:
    """The content security policy refuses inline scripts and other hosts."""
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
        await new Promise((resolve) => image.addEventListener("error", resolve));
        document.body.append(Object.assign(document.createElement("script"),
          { textContent: "window.inlined = true" }));
        done({ inline: inline.length, links, parts, refused, inlined: window.inlined ?? false });
      })();
    """
    page.expected_errors = ("Content Security Policy", "Refused to", "violates")
    found = page.driver.execute_async_script(script)
    assert found["inline"] == 0
    assert not found["inlined"]
    assert [url.split(":9")[0] for url in found["refused"][:2]] == [
        "http://127.0.0.1",
        "http://localhost",
    ]
    assert all(link.startswith("_cellucid/page/") for link in found["links"])
    loaded = {url.partition("_cellucid/page/")[2] for url in found["parts"]}
    linked = {link.removeprefix("_cellucid/page/") for link in found["links"]}
    assert loaded == {path for path in linked if path.endswith(".js")}
    assert len(loaded) > 20, "all modules are asked for at once"
    page.js("performance.clearResourceTimings()")
    page.open(served("uint8"))


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


def test_hosted_page_works_and_the_banner_replaces_it(
    page: Page, serve: Any, all_exports: Path, tmp_path: Path
) -> None:
    """A hosted page works and reaches no other host; if it is away, a banner says so."""
    with site() as web, site() as other:
        web.files["index.html"] = NEEDS.replace(b"OTHER", other.url.encode())
        web.files["assets/js/main.js"] = b"export const name = 'module';"
        worker = f"fetch('{other.url}', {{mode: 'no-cors'}}).catch(() => postMessage('worker'))"
        web.files["assets/js/worker.js"] = worker.encode()
        options = {"viewer": "hosted", "viewer_cache": tmp_path}
        page.driver.get(serve(all_exports / "uint8", viewer_url=web.url, **options).url + "/")
        page.wait_until("window.ready")
        found = page.js("return window.found")
        assert found == [
            *("inline", "module", "wasm", "worker", "blob", "data", "blocked", "blocked"),
            "rgb(1, 2, 3)",
        ]
        assert not other.heads
        errors = [e["message"] for e in page.driver.get_log("browser") if e["level"] == "SEVERE"]
        assert all("Content Security Policy" in message for message in errors), errors
        gone = other.url
    state = page.open(serve(all_exports / "uint8", viewer_url=gone, **options))
    assert state["drawn"] == CELLS
    (banner,) = page.texts(".banner")
    assert banner.startswith(f"The page of {gone.removeprefix('http://')} could not be loaded: it ")
    assert page.is_shown(".banner")
    assert page.find(".banner").get_attribute("role") == "status"


def test_a_build_of_another_protocol_leads_to_the_built_in_page(
    page: Page, serve: Any, tmp_path: Path
) -> None:
    """The notice lies above the hosted page; its link opens a page that shows the data."""
    data = tmp_path / "cells.h5ad"
    export(stacked_cells(upside_down=False), data, format="h5ad", quiet=True, dataset_name="Cells")
    with site() as web:
        meta = b'<link rel="icon" href="data:,"><meta name="cellucid-protocol" content="9">'
        web.files["index.html"] = index_of("nine").replace(b"</head>", meta + b"</head>")
        options = {"viewer": "hosted", "viewer_cache": tmp_path / "web", "protocol": "ready"}
        server = serve(data, viewer_url=web.url, base_path="/below", **options)
        page.allowed_urls.append(server.url + "/")
        page.driver.get(server.viewer_url)
        page.find("[role=status] button").click()
        assert page.texts("[role=status]") == []
        page.driver.refresh()
        (notice,) = page.texts("[role=status]")
        assert notice.startswith("This build of the page (nine) speaks a protocol that this server")
        page.click("[role=status] a")
    state = page.state()
    assert page.js("return location.pathname") == "/below/_cellucid/page/"
    assert (state["nCells"], state["drawn"]) == (60, 60)
    assert page.texts("h1") == ["Cells"]
    assert page.reload()["ready"]
