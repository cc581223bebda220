"""The server of `cellucid` 0.9.5 serves ready files of `export`, byte for byte."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ready_inputs import IDENTITY, INPUTS
from ready_oracle import ReadyOracle
from ready_sides import FORMATS, save, write_ours
from serving import ask, free_port, serving

PATIENCE = 120.0  # seconds
CORS = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
)


@contextmanager
def public_server(python: Path, data: Path) -> Iterator[str]:
    """Serve `data` with the oracle; yields the address."""
    port = free_port()
    command = [python, "-m", "cellucid.cli", "serve", data, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--no-web-ui", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}/_cellucid/health")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.communicate()


def _wait(process: subprocess.Popen[str], address: str) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            _get(address)
        except OSError:
            time.sleep(0.1)
        else:
            return
    process.kill()
    pytest.fail(f"the oracle does not serve: {process.communicate()[0]}")


def _get(address: str, **headers: str) -> bytes:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=240) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("served")
    data = save(INPUTS["latent"].make(), folder / "data.h5ad")
    return write_ours(data, folder / "ours", {**IDENTITY, "latent_key": "X_pca"})


@pytest.mark.parametrize("name", [name for name, _, _ in FORMATS])
def test_the_public_server_serves_our_file(
    name: str, ours: dict[str, Path], ready_oracle: ReadyOracle
) -> None:
    with public_server(ready_oracle.python, ours[name]) as address:
        health = json.loads(_get(f"{address}_cellucid/health"))
        (dataset,) = json.loads(_get(f"{address}_cellucid/datasets"))["datasets"]
        assert (health["status"], health["n_cells"], health["n_genes"]) == ("ok", 120, 17)
        assert (dataset["id"], dataset["name"]) == ("atlas-1", "Atlas é")
        file: dict[str, Any] = dataset["anndata"]["file"]
        if name.endswith(".zarr"):
            key = ".zmetadata" if name == "two.zarr" else "zarr.json"
            assert _get(f"{address}{file['url']}{key}") == (ours[name] / key).read_bytes()
        else:
            raw = ours[name].read_bytes()
            assert file["size"] == len(raw)
            assert _get(f"{address}{file['url']}", Range="bytes=100-999") == raw[100:1000]
        with serving(ours[name], protocol="ready", viewer="none") as server:
            compare(urlsplit(address).port or 0, server.port, f"/{file['url']}")


def compare(theirs: int, ours: int, url: str) -> None:
    """Compare responses of two servers of the same file, but for their tags and dates."""
    paths = [url, f"{url}X/data/0", f"{url}.zmetadata", f"{url}zarr.json", f"{url}absent"]
    for path in (*paths, "/_cellucid/datasets", "/_cellucid/info"):
        for header in (None, "bytes=5-9", "bytes=-9", "bytes=9-5", "bytes=0-1,3-4", "bytes=a"):
            for method in ("GET", "HEAD"):
                asked = {} if header is None or "anndata/" not in path else {"Range": header}
                asked["Origin"] = "https://www.cellucid.com"
                one, other = (ask(port, path, asked, method=method) for port in (theirs, ours))
                for named in ("Content-Range", *CORS):
                    assert other.get(named) == one.get(named), (path, header, method)
                assert other.status == one.status, (path, header, method)
                if one.status < 400:
                    assert other.get("Content-Type") == one.get("Content-Type"), path
                    assert (
                        other.get("Content-Length") == one.get("Content-Length") or "info" in path
                    )
                if one.status < 400 and "info" not in path:
                    assert other.body == one.body, (path, header, method)
                if "info" in path and method == "GET":
                    assert {*json.loads(other.body)} == {*json.loads(one.body)}
