"""Responses that are too large for the page, and a server that is too busy for it."""

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
from serving import SECONDS, Wire, internal, request

from cellucid_dask import export
from cellucid_dask.synthetic import AtlasSpec, make_anndata

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from paging import FAILED_REQUEST, Page, needs_browser

pytestmark = needs_browser

INFLATED = 400_000_000  # bytes of the gzip bomb after decompression
POINTS = "points_2d.bin.gz"


@pytest.fixture(scope="module")
def gzip_bomb() -> bytes:
    """A small file that inflates to many bytes; its end is missing, because nobody reads so far."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 22)
    head = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)
    again = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)  # the same each time
    packed = head + again * (INFLATED // len(block))
    assert len(packed) < INFLATED // 900
    return packed


def browser_processes(browser: webdriver.Chrome) -> list[psutil.Process]:
    return psutil.Process(browser.service.process.pid).children(recursive=True)


def peak_memory(processes: list[psutil.Process]) -> dict[int, int]:
    """Largest resident memory of each process since `reset_peak_memory`, in bytes."""
    peaks = {}
    for process in processes:
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in status)
        peaks[process.pid] = 1024 * int(facts.get("VmHWM", "0").split()[0])  # none if it ended
    return peaks


def reset_peak_memory(processes: list[psutil.Process]) -> None:
    for process in processes:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


@pytest.mark.parametrize(
    ("path", "link"),
    [
        (POINTS, "d=2"),
        ("obs/quarter.codes.u8.gz", "d=2&color=obs:quarter"),
        ("connectivity/edges.src.bin.gz", "d=2&edges=1"),
    ],
)
def test_page_stops_reading_a_file_larger_than_declared(
    page: Page, serve: Any, exports: Path, gzip_bomb: bytes, path: str, link: str
) -> None:
    page.open(serve(exports / "uint16"), "d=2")  # so that its memory is known for good data
    folder = exports / "uint8"
    (folder / path).write_bytes(gzip_bomb)
    processes = browser_processes(page.driver)
    try:
        reset_peak_memory(processes)
    except OSError:
        pytest.skip("this system does not report the peak memory of a process")
    before = peak_memory(processes)
    state = page.open(serve(folder), link)
    assert state["error"]["path"] == path
    assert "contains more than" in state["error"]["message"]
    grown = {
        pid: n - before.get(pid, 0)
        for pid, n in peak_memory(browser_processes(page.driver)).items()
    }
    assert max(grown.values()) < INFLATED // 3


def test_page_takes_the_number_of_edges_from_the_identity(
    page: Page, serve: Any, exports: Path
) -> None:
    """Not from the manifest of the edges."""
    folder = exports / "uint8"
    manifest = folder / "connectivity_manifest.json"
    number = manifest.read_text().split('"n_edges":')[1].split(",")[0].strip()
    text = manifest.read_text().replace(f'"n_edges": {number}', '"n_edges": 4000000000')
    manifest.write_text(text.replace(f'"n_edges":{number}', '"n_edges":4000000000'))
    assert "4000000000" in manifest.read_text()
    state = page.open(serve(folder), "d=2&edges=1")
    assert (state["error"], state["drawn"]) == (None, CELLS)


# ------------------------------------------------------------------------------ many slow readers

SLOW_CLIENTS = 45
CELLS_OF_SLOW_EXPORT = 6000
IN_MEMORY = 40_000  # bytes: more than any file of the page, less than the points


@contextmanager
def slow_readers(server: Any, path: str) -> Iterator[list[Wire]]:
    """Clients that have begun to read a long response, and do not read on."""
    wires = [Wire(server.port, buffer=4096) for _ in range(SLOW_CLIENTS)]
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
def slow_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose files each need a server thread, with points that take long to read."""
    folder = tmp_path_factory.mktemp("slow") / "export"
    forms = {"var_quantization": None, "obs_quantization": None, "compression": 0}
    export(
        make_anndata(AtlasSpec(cells=CELLS_OF_SLOW_EXPORT, genes=3)), folder, quiet=True, **forms
    )
    (folder / "points_3d.bin").write_bytes(bytes(30_000_000))
    return folder


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that limits threads, with waits that are short enough for a test."""
    places = internal("http.thread_quota")
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(places, "RATE_WINDOW", 3600)  # slow readers keep their places
    monkeypatch.setattr(internal("app"), "RETRY_AFTER", 1)
    monkeypatch.setattr(internal("http.content"), "IN_MEMORY", IN_MEMORY)
    return places


def response_start(port: int, path: str, peer: str) -> bytes:
    """Start of the response to a client with this address."""
    with socket.create_connection(("127.0.0.1", port), SECONDS, source_address=(peer, 0)) as client:
        client.sendall(request(port, path))
        return client.recv(12)


def test_slow_readers_do_not_block_other_addresses(
    serve: Any, slow_export: Path, short_waits: Any
) -> None:
    server = serve(slow_export)
    with slow_readers(server, "/points_3d.bin"):
        assert response_start(server.port, "/points_3d.bin", "127.0.0.1") == b"HTTP/1.1 503"
        for peer in ("127.0.0.2", "127.0.0.3"):
            assert response_start(server.port, "/points_3d.bin", peer) == b"HTTP/1.1 200"


def test_page_loads_beside_slow_readers_of_the_same_address(
    page: Page, serve: Any, slow_export: Path, short_waits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users behind the same proxy or tunnel have the same address."""
    page.expected_errors = (FAILED_REQUEST,)
    server = serve(slow_export)
    with slow_readers(server, "/points_3d.bin"):
        monkeypatch.setattr(short_waits, "RATE_WINDOW", 0.1)
        state = page.open(server, "d=2")
        assert (state["error"], state["drawn"]) == (None, CELLS_OF_SLOW_EXPORT)


def test_page_retries_when_the_server_is_busy(
    page: Page, serve: Any, slow_export: Path, short_waits: Any
) -> None:
    page.expected_errors = (FAILED_REQUEST,)
    server = serve(slow_export)
    page.allowed_urls.append(server.url + "/")
    with slow_readers(server, "/points_3d.bin"):
        page.driver.get(f"{server.viewer_url}#d=2")
        page.wait_until(
            "document.getElementById('status').textContent.startsWith('The server is busy')"
        )
        assert not page.is_shown("#error")
    state = page.state()
    assert (state["error"], state["drawn"]) == (None, CELLS_OF_SLOW_EXPORT)
