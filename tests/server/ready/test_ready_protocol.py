"""The documents of the public app's protocol, and who gets them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from atlas import run
from oracle import make_atlas
from served_ready import KINDS, N_CELLS, N_GENES, NAMED, READY, dataset, store_url
from serving import TOKEN, Client, ask, check_refusal, free_port, serving

from cellucid_dask import CellucidServer, DataWarning, create_app, export
from cellucid_dask.errors import CellucidDaskError

LAYOUTS = {"any.h5ad": "file", "two.zarr": "folder", "two.zarr.zip": "zip"}
READ_ONLY = "GET, HEAD, OPTIONS"


def body(server: Any, name: str) -> dict[str, Any]:
    reply = ask(server, f"/_cellucid/{name}")
    assert (reply.status, reply.get("Content-Type")) == (200, "application/json")
    return dict(json.loads(reply.body))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_documents_have_exactly_these_keys(
    kind: str, ready_files: dict[str, Path], ready_servers: dict[str, CellucidServer]
) -> None:
    server, container = ready_servers[kind], "h5ad" if kind == "any.h5ad" else "zarr"
    facts = {
        "type": "anndata",
        "version": version("cellucid-dask"),
        "format": container,
        "n_cells": N_CELLS,
        "n_genes": N_GENES,
    }
    assert body(server, "health") == {"status": "ok", **facts}
    address = {"host": "127.0.0.1", "port": server.port, "runtime": "python"}
    assert body(server, "info") == {**facts, **address}
    layout = LAYOUTS[kind]
    ending = {"file": ".h5ad", "folder": ".zarr/", "zip": ".zarr.zip"}[layout]
    url = f"_cellucid/anndata/{NAMED['dataset_id']}{ending}"
    file: dict[str, Any] = {"url": url, "kind": container, "layout": layout}
    if layout != "folder":
        file["size"] = ready_files[kind].stat().st_size
    entry = {"id": NAMED["dataset_id"], "name": NAMED["dataset_name"]}
    assert dataset(server) == {**entry, "anndata": {"file": file, "defaults": {}}}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith(".zarr")])
def test_a_file_goes_out_byte_for_byte(
    kind: str, ready_files: dict[str, Path], ready_servers: dict[str, CellucidServer]
) -> None:
    server = ready_servers[kind]
    url, raw = store_url(server), ready_files[kind].read_bytes()
    assert ask(server, url).body == raw
    assert ask(server, f"{url}?build=3").body == raw
    part = ask(server, url, {"Range": f"bytes={len(raw) - 100}-"})
    assert (part.status, part.body) == (206, raw[-100:])
    for other in (f"{url}/", f"{url}/X", url.upper(), url.replace("atlas", "atlas2"), f"{url}x"):
        assert ask(server, other).status == 404
    assert ask(server, "/_cellucid/anndata/").status == 404


@pytest.mark.parametrize("path", ["/_cellucid/protocol", "/_cellucid/ws"])
def test_there_is_no_notebook_channel(path: str, ready_servers: dict[str, CellucidServer]) -> None:
    assert ask(ready_servers["any.h5ad"], path).status == 404


def test_origins_of_the_public_app_may_read(ready_servers: dict[str, CellucidServer]) -> None:
    server = ready_servers["two.zarr"]
    url = store_url(server)
    preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    for path in (f"{url}.zmetadata", f"{url}absent", "/_cellucid/datasets"):
        for origin in ("https://www.cellucid.com", "http://localhost:3000", "http://127.0.0.1"):
            for method, more in (("GET", {}), ("OPTIONS", preflight)):
                reply = ask(server, path, {"Origin": origin, **more}, method=method)
                assert reply.get("Access-Control-Allow-Origin") == origin
                assert reply.get("Access-Control-Allow-Methods") == READ_ONLY
                assert reply.get("Access-Control-Allow-Headers") == "Content-Type, Range"
                exposed = str(reply.get("Access-Control-Expose-Headers")).split(", ")
                assert {"Accept-Ranges", "Content-Length", "Content-Range", "ETag"} < {*exposed}
        for origin in ("https://evil.com", "http://www.cellucid.com", "null"):
            reply = ask(server, path, {"Origin": origin})
            assert reply.get("Access-Control-Allow-Origin") is None
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, f"{url}.zmetadata", method=method).status == 405


def test_both_protocols_at_once(ready_files: dict[str, Path]) -> None:
    """Only the three documents and the methods of CORS are those of one protocol."""
    path, origin = ready_files["two.zarr"], {"Origin": "http://localhost"}
    with serving(path, **READY) as ready, serving(path, viewer="none") as folder:
        same = ("/obs_manifest.json", "/points_2d.bin", "/var/gene3.values.f32")
        keys = [
            f"/_cellucid/anndata/{NAMED['dataset_id']}.zarr/{key}"
            for key in (".zmetadata", "X/data/0")
        ]
        for name in (*same, *keys, "/_cellucid/zarr/X/data/0"):
            one, other = ask(ready, name), ask(folder, name)
            assert (one.status, one.body) == (other.status, other.body) == (200, one.body), name
        assert "path" in json.loads(ask(folder, "/_cellucid/datasets").body)["datasets"][0]
        assert "anndata" in dataset(ready)
        assert "cache" in body(folder, "info")
        methods = [ask(s, "/", origin).get("Access-Control-Allow-Methods") for s in (ready, folder)]
        assert methods == [READ_ONLY, "GET, HEAD, POST, OPTIONS"]


# ------------------------------------------------------------------------- prefixes and tokens


def test_the_url_works_below_a_prefix_and_with_a_token(ready_files: dict[str, Path]) -> None:
    path = ready_files["two.zarr"]
    with serving(path, base_path="/a/b", token=TOKEN, **READY) as server, Client(server) as client:
        assert client("/a/b/_cellucid/health").status == 200
        assert client("/a/b/_cellucid/datasets").status == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        reply = client("/a/b/_cellucid/datasets", bearer)
        url = json.loads(reply.body)["datasets"][0]["anndata"]["file"]["url"]
        assert not url.startswith("/"), "relative to where the page is"
        assert client(f"/a/b/{url}X/data/0", bearer).status == 200
        assert client(f"/a/b/{url}X/data/0").status == 401
        assert client(f"/{url}X/data/0", bearer).status == 404
        assert ask(server, f"/a/b/{url}X/data/0", {**bearer, "Host": "evil.com"}).status == 421


class SilentHandler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def other_server(ready_files: dict[str, Path]) -> Iterator[int]:
    """The application under the WSGI server of the standard library."""
    app = create_app(ready_files["any.h5ad"], host="viewer.lab.org", port=1, **READY, token="none")
    with make_server("127.0.0.1", free_port(), app, handler_class=SilentHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
    app.close()


def test_info_names_the_port_of_any_wsgi_server(other_server: int) -> None:
    facts = body(other_server, "info")
    assert (facts["host"], facts["port"]) == ("viewer.lab.org", other_server)


# ----------------------------------------------------------------------------------------- exports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export."""
    out = tmp_path_factory.mktemp("exports") / "export"
    export(make_atlas(60, 6), out, quiet=True, workers=1)
    return out


@pytest.mark.parametrize("of_many", [False, True])
def test_exports_are_not_offered_to_the_public_app(folder: Path, of_many: bool) -> None:
    path = folder.parent if of_many else folder
    check_refusal(
        run("serve", path, "--protocol", "ready", "--no-browser", cwd=folder),
        "error: --protocol: today's public app reads no export",
        "serve the AnnData, or a ready file of it: export --format zarr",
    )
    with pytest.raises(CellucidDaskError, match="protocol: today's public app reads no export"):
        create_app(path, protocol="ready")


def test_the_hosted_page_gets_the_folder_protocol_of_exports(folder: Path, tmp_path: Path) -> None:
    for url in (None, "http://localhost:9"):
        hosted = {"viewer": "hosted", "viewer_url": url, "viewer_cache": tmp_path}
        told = pytest.warns(DataWarning, match="today's page of Cellucid reads no export")
        with nullcontext() if url else told:  # a site of one's own may have an older page
            server = CellucidServer(folder, port=0, quiet=True, **hosted)
        with server:
            assert body(server, "health")["type"] == "exported"
            reply = ask(server, "/obs_manifest.json", {"Origin": "https://cellucid.com"})
            assert "POST" in str(reply.get("Access-Control-Allow-Methods"))


def test_ids_and_names_of_options(ready_files: dict[str, Path]) -> None:
    for kind in LAYOUTS:
        given = {"dataset_id": "mine.2", "dataset_name": "Méin"}
        with serving(ready_files[kind], **READY, **given) as server:
            assert (dataset(server)["id"], dataset(server)["name"]) == ("mine.2", "Méin")
            assert store_url(server).startswith("/_cellucid/anndata/mine.2.")
