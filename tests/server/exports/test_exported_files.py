"""Files of an export over HTTP: as they are stored, under one spelling."""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from pathlib import Path

import pytest
from atlas import script_anew
from exported import KINDS, ORACLES, check_every_file
from oracle import file_bytes
from serving import MANIFESTS, POINTS, Client, ask, serving

from cellucid_dask import CellucidServer


@pytest.mark.parametrize("kind", [*KINDS, *ORACLES])
def test_every_file_is_served_as_stored(exports: dict[str, Path], kind: str) -> None:
    """Under the root and under the id, without Content-Encoding."""
    folder = exports[kind]
    files = file_bytes(folder)
    assert len(files) > 5
    dataset = json.loads(files["dataset_identity.json"])["id"]
    with serving(folder) as server, Client(server) as client:
        address = None
        for name, body in files.items():
            for head in ("/", f"/{dataset}/"):
                for accepted in ("gzip, deflate, br", "identity", "gzip;q=0, *;q=0"):
                    reply = client(head + name, {"Accept-Encoding": accepted})
                    assert reply.status == 200, head + name
                    assert reply.body == body, head + name
                    assert reply.get("Content-Encoding") is None
                    assert reply.get("Content-Length") == str(len(body))
                    kind_of = "json" if name.endswith(".json") else "octet-stream"
                    assert reply.get("Content-Type") == f"application/{kind_of}"
                    assert reply.get("X-Content-Type-Options") == "nosniff"
                    assert reply.get("Accept-Ranges") == "bytes"
                    assert reply.get("ETag")
                    assert reply.get("Last-Modified") == formatdate(
                        (folder / name).stat().st_mtime, usegmt=True
                    )
                    assert "origin" in (reply.get("Vary") or "").lower()
                    address = address or client.address
                    assert client.address == address, "the connection was not kept"


@pytest.mark.parametrize("kind", [*KINDS, *ORACLES])
def test_gz_and_plain_file_names_are_not_interchangeable(
    exports: dict[str, Path], kind: str
) -> None:
    """The server neither decompresses a .gz file nor compresses a plain one."""
    with serving(exports[kind]) as server, Client(server) as client:
        for name in file_bytes(exports[kind]):
            if name not in MANIFESTS:
                other_name = name.removesuffix(".gz") if name.endswith(".gz") else name + ".gz"
                assert client("/" + other_name).status == 404


def test_different_files_have_different_etags(
    server: CellucidServer, exports: dict[str, Path]
) -> None:
    tags = {ask(server, "/" + name).get("ETag") for name in file_bytes(exports["eight"])}
    assert len(tags) == len(file_bytes(exports["eight"]))
    assert all(tag is not None and tag[0] == tag[-1] == '"' for tag in tags), "strong and quoted"


def test_manifests_must_be_revalidated(server: CellucidServer) -> None:
    """A reload shows a re-export, so a browser must not reuse a manifest without a request."""
    for name in MANIFESTS:
        control = ask(server, "/" + name).get("Cache-Control") or ""
        assert "no-cache" in control or "max-age=0" in control, name
        assert "immutable" not in control
    assert "no-store" not in (ask(server, POINTS).get("Cache-Control") or "")


def test_service_paths_of_an_export(server: CellucidServer) -> None:
    health = json.loads(ask(server, "/_cellucid/health").body)
    assert health["status"] == "ok"
    assert health["type"] == "exported"
    assert sorted(health) == ["status", "type", "version"]
    info = ask(server, "/_cellucid/info")
    assert info.status == 200
    assert isinstance(json.loads(info.body), dict)
    list_datasets = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
    assert len(list_datasets) == 1
    assert {"id": "atlas", "path": "/", "name": "An atlas"}.items() <= list_datasets[0].items()
    for name in ("health", "info", "datasets"):
        reply = ask(server, f"/_cellucid/{name}")
        assert reply.get("Content-Type") == "application/json"
        assert ask(server, f"/_cellucid/{name}/").status == 404
        assert ask(server, f"/_cellucid/{name}.json").status == 404
    for name in ("", "x", "zarr/", "zarr/zarr.json", "zarr/.zgroup", "page/nothing.js"):
        assert ask(server, "/_cellucid/" + name).status == 404


def test_page_is_served(server: CellucidServer) -> None:
    page = ask(server, "/")
    assert page.status == 200
    assert (page.get("Content-Type") or "").startswith("text/html")
    assert "default-src 'self'" in (page.get("Content-Security-Policy") or "")
    assert ask(server, "/index.html").body == page.body
    assert ask(server, "/?anndata=true&x=%zz").body == page.body
    style = ask(server, "/_cellucid/page/styles/base.css")
    assert style.status == 200
    assert (style.get("Content-Type") or "").startswith("text/css")


def test_page_has_its_security_policy_under_every_name(server: CellucidServer) -> None:
    """No other site may show the page in a frame, under any path."""
    policy = ask(server, "/").get("Content-Security-Policy")
    for path in ("/index.html", "/_cellucid/page/index.html"):
        reply = ask(server, path)
        assert reply.status == 404 or reply.get("Content-Security-Policy") == policy, path


def test_query_is_ignored(server: CellucidServer) -> None:
    plain = ask(server, POINTS)
    for query in ("?", "?v=1", "?token=x", "?a=%zz&&&=", "?" + "a" * 1500):
        assert ask(server, POINTS + query).body == plain.body


def test_other_spellings_of_a_path(server: CellucidServer) -> None:
    assert ask(server, "/points%5F2d%2ebin.gz").body == ask(server, POINTS).body
    assert ask(server, "/%6fbs/group.codes.u8.gz").status == 200


@pytest.mark.parametrize(
    "path",
    ["/obs", "/obs/", "/var", "/var/", "/vectors/", "/atlas", "/atlas/", "/atlas/var/", "/eight/"],
)
def test_folders_are_not_listed(server: CellucidServer, path: str) -> None:
    reply = ask(server, path)
    assert reply.status == 404
    assert reply.body.count(b"\n") <= 1
    assert b"codes" not in reply.body


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/points_9d.bin",
        "/atlas/atlas/obs_manifest.json",
        "/other/obs_manifest.json",
        "/OBS_MANIFEST.JSON",
        "/obs_manifest.json/",
        "/favicon.ico",
        "/datasets.json",
        "/robots.txt",
    ],
)
def test_unknown_path_gets_404_with_one_line(server: CellucidServer, path: str) -> None:
    reply = ask(server, path)
    assert reply.status == 404
    assert (reply.get("Content-Type") or "").startswith("text/plain")
    assert reply.body.endswith(b"\n")
    assert reply.body.count(b"\n") == 1
    assert reply.get("X-Content-Type-Options") == "nosniff"
    assert path.encode() not in reply.body


def test_serving_an_export_imports_no_data_readers(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    """These imports would take most of the time that a server needs to start."""
    done = script_anew(
        "import sys\n"
        "from cellucid_dask.server.wsgi import create_app\n"
        f"create_app({str(exports['eight'])!r})\n"
        "slow = {'anndata', 'dask.array', 'h5py', 'numpy', 'urllib3', 'zarr'}\n"
        "print(*slow & sys.modules.keys())\n",
        tmp_path,
    )
    assert (done.code, done.out) == (0, "\n"), done.err


def test_many_concurrent_clients(server: CellucidServer, exports: dict[str, Path]) -> None:
    wrong: list[object] = []

    def work() -> None:
        try:
            with Client(server) as client:
                check_every_file(client, exports["eight"])
        except BaseException as error:  # noqa: BLE001  told by the test
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
