"""What the page does with answers that are too large, and with a server that has no room."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from page_data import CELLS
from selenium import webdriver
from serving import Wire, internal, request

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, make_anndata

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import FAILED_REQUEST, Page, needs_browser

pytestmark = needs_browser

BOMB = 400_000_000  # bytes that are inflated of a file
POINTS = "points_2d.bin.gz"


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A small file of which many bytes are inflated; its end, which nobody reaches, is missing."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 22)
    head = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)
    again = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)  # the same each time
    packed = head + again * (BOMB // len(block))
    assert len(packed) < BOMB // 900
    return packed


def processes(browser: webdriver.Chrome) -> list[psutil.Process]:
    """Those of the browser."""
    return psutil.Process(browser.service.process.pid).children(recursive=True)


def peaks(found: list[psutil.Process]) -> dict[int, int]:
    """Largest resident memory of each since `forget_peaks`, in bytes."""
    told = {}
    for process in found:
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in status)
        told[process.pid] = 1024 * int(facts.get("VmHWM", "0").split()[0])  # none of one that ended
    return told


def forget_peaks(found: list[psutil.Process]) -> None:
    for process in found:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


@pytest.mark.parametrize(
    ("path", "link"),
    [
        (POINTS, "d=2"),
        ("obs/quarter.codes.u8.gz", "d=2&color=obs:quarter"),
        ("connectivity/edges.src.bin.gz", "d=2&edges=1"),
    ],
)
def test_more_than_the_identity_declares_is_not_held(
    page: Page, serve: Any, exports: Path, bomb: bytes, path: str, link: str
) -> None:
    page.open(serve(exports / "uint16"), "d=2")  # what it takes with good data
    folder = exports / "uint8"
    (folder / path).write_bytes(bomb)
    found = processes(page.driver)
    try:
        forget_peaks(found)
    except OSError:
        pytest.skip("this system does not tell how much memory a process took")
    before = peaks(found)
    state = page.open(serve(folder), link)
    assert state["error"]["path"] == path
    assert "contains more than" in state["error"]["message"]
    grown = {pid: n - before.get(pid, 0) for pid, n in peaks(processes(page.driver)).items()}
    assert max(grown.values()) < BOMB // 3


def test_an_edge_list_longer_than_the_identity_says(page: Page, serve: Any, exports: Path) -> None:
    """The manifest of the edges is not asked how many there are."""
    folder = exports / "uint8"
    manifest = folder / "connectivity_manifest.json"
    number = manifest.read_text().split('"n_edges":')[1].split(",")[0].strip()
    text = manifest.read_text().replace(f'"n_edges": {number}', '"n_edges": 4000000000')
    manifest.write_text(text.replace(f'"n_edges":{number}', '"n_edges":4000000000'))
    assert "4000000000" in manifest.read_text()
    state = page.open(serve(folder), "d=2&edges=1")
    assert (state["error"], state["drawn"]) == (None, CELLS)


# ------------------------------------------------------------------------------ many slow readers

SLOW = 45
CELLS_OF_LONG = 6000
MEMORY = 20_000  # bytes; more than the files of the page have, and less than the points


@contextmanager
def slow_readers(server: Any, path: str) -> Iterator[list[Wire]]:
    """Clients that have begun to read a long answer, each as far as the server lets it."""
    wires = [Wire(server.port, buffer=4096) for _ in range(SLOW)]
    try:
        for wire in wires:
            wire.send(request(server.port, path))
        for wire in wires:
            assert wire.socket.recv(12)
        yield wires
    finally:
        for wire in wires:
            wire.socket.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that takes a place for each of its files, with points that take long to read."""
    folder = tmp_path_factory.mktemp("long") / "export"
    forms = {"var_quantization": None, "obs_quantization": None, "compression": 0}
    export(make_anndata(AtlasSpec(cells=CELLS_OF_LONG, genes=3)), folder, quiet=True, **forms)
    (folder / "points_3d.bin").write_bytes(bytes(30_000_000))
    return folder


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What bounds places, with which a test does not wait."""
    places = internal("http.thread_quota")
    monkeypatch.setattr(places, "WAIT", 0.01)
    monkeypatch.setattr(internal("app"), "RETRY", 1)
    monkeypatch.setattr(internal("http.content"), "IN_MEMORY", MEMORY)
    return places


def first_line(port: int, path: str, peer: str) -> bytes:
    """Begin of the answer to a client of another address."""
    with socket.create_connection(("127.0.0.1", port), 10, source_address=(peer, 0)) as client:
        client.sendall(request(port, path))
        return client.recv(12)


def test_slow_readers_leave_places_to_others(serve: Any, long: Path, hasty: Any) -> None:
    server = serve(long)
    with slow_readers(server, "/points_3d.bin"):
        assert first_line(server.port, "/points_3d.bin", "127.0.0.1") == b"HTTP/1.1 503"
        for peer in ("127.0.0.2", "127.0.0.3"):
            assert first_line(server.port, "/points_3d.bin", peer) == b"HTTP/1.1 200"


def test_slow_readers_of_the_same_address_give_way(
    page: Page, serve: Any, long: Path, hasty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as others behind the same proxy or the same tunnel."""
    page.expected_errors = (FAILED_REQUEST,)
    server = serve(long)
    with slow_readers(server, "/points_3d.bin"):
        monkeypatch.setattr(hasty, "SLOW_AFTER", 0.1)
        state = page.open(server, "d=2")
        assert (state["error"], state["drawn"]) == (None, CELLS_OF_LONG)


def test_the_page_asks_again(page: Page, serve: Any, long: Path, hasty: Any) -> None:
    page.expected_errors = (FAILED_REQUEST,)
    server = serve(long)
    page.allowed_urls.append(server.url + "/")
    with slow_readers(server, "/points_3d.bin"):
        page.driver.get(f"{server.viewer_url}#d=2")
        page.wait_until(
            "document.getElementById('status').textContent.startsWith('The server is busy')"
        )
        assert not page.is_shown("#error")
    state = page.state()
    assert (state["error"], state["drawn"]) == (None, CELLS_OF_LONG)
