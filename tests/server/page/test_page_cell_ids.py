"""Ids of cells in the page: a block of an export or of live data, and all of them."""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from anndata import AnnData
from oracle import make_atlas

from cellucid_dask import AnnDataServer, export

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import Page, needs_browser

pytestmark = needs_browser
CELLS = 5000  # three blocks
READ = """
const [folder, rows, done] = arguments;
(async () => {
  const part = (name) => import(new URL(`_cellucid/page/data/${name}.js`, document.baseURI));
  const [{ CellIds }, { Dataset }, { Reader }] =
    await Promise.all(["cell-ids", "dataset", "reader"].map(part));
  const [requests, known] = [[], new Set()];
  const note = (request, progress) => {
    if (!known.has(request)) requests.push(progress.path);
    known.add(request);
  };
  const reader = new Reader(new URL(folder, document.baseURI), new AbortController().signal, note);
  const dataset = new Dataset(await reader.readJson("dataset_identity.json"));
  await dataset.readFields(reader);
  const cellIds = new CellIds(dataset);
  requests.length = 0;
  const ids = await Promise.all(rows.map((i) => cellIds.read(reader, i)));
  const each = [...requests];
  const some = await cellIds.readRange(reader, 2040, 2050);
  const all = await cellIds.readRange(reader, 0, dataset.nCells);
  done({ known: cellIds.areKnown, ids, each, some, all });
})().catch((error) => done({ error: error.message, status: error.status }));
"""


def named() -> AnnData:
    """Cells whose ids have quotes, letters of three bytes and of four."""
    atlas = make_atlas(CELLS)
    atlas.obs_names = [f"AAAC\"数😀'{i}-1" for i in range(CELLS)]
    return atlas


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of one atlas: compressed, plain, and without ids."""
    root = tmp_path_factory.mktemp("exports")
    for name, options in (
        ("packed", {}),
        ("plain", {"compression": 0}),
        ("without", {"cell_ids": False}),
    ):
        export(named(), root / name, quiet=True, expression=False, dataset_id=name, **options)
    return root


def test_ids_of_exports_and_of_live_data(page: Page, serve: Any, folder: Path) -> None:
    names = named().obs_names.tolist()
    rows = [0, 1, 2047, 2048, 4999]

    def read(place: str) -> dict[str, Any]:
        found: dict[str, Any] = page.driver.execute_async_script(READ, place, rows)
        assert "error" not in found, found
        return found

    page.open(serve(folder), "dataset=packed")
    for place, path in (("packed/", "obs/_index.ids.gz"), ("plain/", "obs/_index.ids")):
        found = read(place)
        assert found["ids"] == [names[i] for i in rows]
        assert found["each"] == [path] * 3, "one request for each block"
        assert found["all"] == names
        assert found["some"] == names[2040:2050]
    found = read("without/")
    assert (found["known"], found["ids"], found["all"]) == (False, [None] * 5, None)
    page.open(serve(named(), AnnDataServer), "")
    found = read("")
    assert found["ids"] == [names[i] for i in rows]
    assert found["each"] == [f"obs/_index/{block}.json" for block in range(3)]
    assert found["all"] == names


class WithoutRanges(BaseHTTPRequestHandler):
    """Passes requests on without their Range, as some proxies do: the answer is the whole file."""

    target = ""

    def do_GET(self) -> None:
        with urlopen(self.target + self.path) as answer:
            body = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_server_that_answers_with_the_whole_file(page: Page, serve: Any, folder: Path) -> None:
    server = serve(folder)

    class Proxy(WithoutRanges):
        target = server.url

    names, rows = named().obs_names.tolist(), [4999, 2048, 1]
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{proxy.server_port}/"
            page.allowed_urls.append(address)
            page.open(server, "dataset=packed", address)
            for place in ("packed/", "plain/"):
                found = page.driver.execute_async_script(READ, place, rows)
                assert found["ids"] == [names[i] for i in rows]
                assert found["all"] == names
        finally:
            proxy.shutdown()
            thread.join()


def test_damaged_ids_are_an_error(page: Page, serve: Any, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "packed", tmp_path / "packed"))
    path = copy / "obs" / "_index.ids.gz"
    content = bytearray(path.read_bytes())
    content[-20:] = bytes(20)  # of the last block
    path.write_bytes(content)
    page.open(serve(copy))
    found = page.driver.execute_async_script(READ, "", [0])
    assert found["error"].startswith("obs/_index.ids.gz: block 2 is damaged; check the export")
