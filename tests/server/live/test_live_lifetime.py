"""Servers of live data: started, stopped, started again; nothing temporary is left."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from live_serving import (
    GENES,
    LAYOUTS,
    Save,
    atlas_of,
    by_rename,
    expected,
    info,
    quick,
    serves,
    soon,
    written,
)
from scipy import sparse
from serving import SECONDS, Client, ask, internal, serving, wait_until

import cellucid_dask
from cellucid_dask import (
    AnnDataServer,
    CellucidDaskError,
    CellucidServer,
    create_app,
    export,
    serve_anndata,
)


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_a_restart_changes_the_identity_only_with_the_file(tmp_path: Path, name: str) -> None:
    def identity() -> dict[str, Any]:
        with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
            return dict(json.loads(ask(server, "/dataset_identity.json").body))

    path = written(tmp_path / name, atlas_of())
    for changed in [path, *path.rglob("*")]:
        os.utime(changed, (1e9, 1e9))
    assert identity()["created_at"] == "2001-09-09T01:46:40Z"
    assert identity() == identity()
    os.utime(path / "obs" if path.is_dir() else path, (2e9, 2e9))
    assert identity()["created_at"] == "2033-05-18T03:33:20Z"


@pytest.mark.parametrize("where", ["h5ad", "memory"])
def test_nothing_temporary_is_left(
    tmp_path: Path, temporary: Path, saved: Save, where: str
) -> None:
    atlas = atlas_of("csr")
    data = saved(atlas) if where == "h5ad" else atlas
    with serving(data, cache_dir=tmp_path / "cache") as server:
        for name in expected("csr"):
            assert ask(server, f"/{name}").status == 200
        assert list(temporary.iterdir())
        wait_until(lambda: info(server)["index"]["state"] == "ready", "no index")
    assert list(temporary.iterdir()) == []
    assert (tmp_path / "cache").exists() == (where == "h5ad")


@quick
def test_a_change_of_the_file_leaves_no_work_folder(
    tmp_path: Path, temporary: Path, saved: Save
) -> None:
    path = saved(atlas_of("csr"))
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert get("/obs_manifest.json").status == 200
        before = {p.name for p in temporary.iterdir()}
        by_rename(written(tmp_path / "new.h5ad", atlas_of("csr", seed=1)), path)
        now = expected("csr", seed=1)["obs_manifest.json"]
        soon(lambda: get("/obs_manifest.json").body == now, "no change is noticed")
        wait_until(lambda: not before & {p.name for p in temporary.iterdir()}, "the old one stays")
    assert list(temporary.iterdir()) == []


def test_a_server_that_was_stopped_starts_again(
    tmp_path: Path, saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal("http.listener"), "GRACE", SECONDS)
    for layout in LAYOUTS:
        path = saved(atlas_of(layout), f"{layout}.h5ad")
        server = CellucidServer(path, port=0, quiet=True, cache_dir=tmp_path / "cache")
        files = expected(layout)
        some = {name: files[name] for name in ("obs_manifest.json", "points_2d.bin", GENES[0])}
        for wanted in (some, files, files):  # what was asked for before, and what was not
            assert not server.is_running()
            server.start_background()
            assert server.is_running()
            serves(server, wanted)
            assert server.stop()
        assert not server.is_running()


def test_a_server_in_memory_starts_again(tmp_path: Path) -> None:
    server = CellucidServer(atlas_of("csr"), port=0, quiet=True, cache_dir=tmp_path)
    files = expected("csr")
    for wanted in ({"obs_manifest.json": files["obs_manifest.json"]}, files):
        with server:
            serves(server, wanted)


def test_starting_and_stopping_twice_is_no_matter(tmp_path: Path, saved: Save) -> None:
    path = saved(atlas_of("csc"))
    server = CellucidServer(path, port=0, quiet=True, cache_dir=tmp_path / "cache")
    server.stop()  # before it ever ran
    server.start_background()
    port = server.port
    server.start_background()
    assert server.port == port
    assert ask(server, f"/{GENES[0]}").status == 200
    server.stop()
    server.stop()
    assert not server.is_running()
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_server_that_is_never_started_leaves_nothing(
    tmp_path: Path, temporary: Path, saved: Save
) -> None:
    server = CellucidServer(saved(atlas_of("csr")), port=0, quiet=True, cache_dir=tmp_path / "c")
    assert not server.is_running()
    server.stop()
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "c").exists()


def test_public_names_are_what_they_say_whatever_is_imported_first(tmp_path: Path) -> None:
    """A folder of the package must not take the place of a function that has its name."""
    script = (
        "import cellucid_dask; from cellucid_dask import CellucidServer, serve as one\n"
        "from cellucid_dask import serve as two\n"
        "for function in (one, two, cellucid_dask.serve, cellucid_dask.serve_anndata,"
        " cellucid_dask.export, cellucid_dask.check):\n"
        "    assert type(function).__name__ == 'function', function\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["serve", "serve_anndata"])
def test_serve_blocks_until_it_is_stopped(
    tmp_path: Path,
    saved: Save,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    function = getattr(cellucid_dask, name)
    path = saved(atlas_of("csr"))
    made: list[CellucidServer] = []
    start = CellucidServer.start
    monkeypatch.setattr(
        CellucidServer, "start", lambda self, **how: (made.append(self), start(self, **how))[1]
    )
    options = {"quiet": True, "open_browser": False, "cache_dir": tmp_path / "cache"}
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, path, 0, **options)
        try:
            wait_until(lambda: made and made[0].is_running(), "it never runs")
            assert ask(made[0], f"/{GENES[0]}").status == 200
            assert not future.done()
        finally:
            for server in made:
                server.stop()
        server = future.result(SECONDS)
    assert server is made[0]
    assert isinstance(server, AnnDataServer) == (name == "serve_anndata")
    assert not server.is_running()


def test_wait_returns_after_stop(tmp_path: Path, saved: Save) -> None:
    with serving(saved(atlas_of("csr")), cache_dir=tmp_path / "cache") as server:
        waiting = threading.Thread(target=server.wait)
        waiting.start()
        assert ask(server, "/_cellucid/health").status == 200
        assert waiting.is_alive()
        server.stop()
        waiting.join(SECONDS)
        assert not waiting.is_alive()


def test_urls(tmp_path: Path, saved: Save) -> None:
    path = saved(atlas_of("csr"))
    with serving(path, cache_dir=tmp_path / "cache") as server:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.viewer_url == f"{server.url}/?anndata=true"
    options = {"base_path": "deep/down", "token": "abcdefgh", "cache_dir": tmp_path / "cache"}
    with serving(path, **options) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/deep/down"
        assert server.viewer_url.startswith(server.url + "/?")
        assert "token=abcdefgh" in server.viewer_url
        assert "anndata=true" in server.viewer_url
        bearer = {"Authorization": "Bearer abcdefgh"}
        assert ask(server, f"/deep/down/{GENES[0]}", bearer).status == 200
        assert ask(server, f"/deep/down/{GENES[0]}").status == 401
        assert ask(server, f"/{GENES[0]}", bearer).status == 404


def test_anndata_server_takes_no_export(tmp_path: Path, temporary: Path, saved: Save) -> None:
    export(saved(atlas_of("csr")), tmp_path / "all" / "out", quiet=True)
    for folder in (tmp_path / "all" / "out", tmp_path / "all"):
        with pytest.raises(CellucidDaskError, match="export"):
            AnnDataServer(folder, port=0, quiet=True)
        with pytest.raises(CellucidDaskError, match="export"):
            serve_anndata(folder, port=0, quiet=True)
        with serving(folder) as server:
            assert json.loads(ask(server, "/_cellucid/health").body)["type"] == "exported"
    assert list(temporary.iterdir()) == []


def test_an_app_for_another_server(tmp_path: Path, saved: Save) -> None:
    """The WSGI application, called the way gunicorn calls it, without any socket."""
    app = create_app(saved(atlas_of("csr")), cache_dir=tmp_path / "cache")
    begun: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/{GENES[0]}", "QUERY_STRING": "",
               "HTTP_HOST": "localhost:8000", "SERVER_PROTOCOL": "HTTP/1.1"}  # fmt: skip
    try:
        for _ in range(2):
            body = b"".join(app(environ, lambda *line: begun.append(line)))
            assert body == expected("csr")[GENES[0]]
            assert begun[-1][0] == "200 OK"
    finally:
        app.close()


def test_an_open_file_is_closed_when_the_server_stops(tmp_path: Path, saved: Save) -> None:
    """Not only when the server object goes away."""
    for layout in LAYOUTS:
        path = saved(atlas_of(layout), f"{layout}.h5ad")
        with serving(path, cache_dir=tmp_path / "cache") as server:
            assert ask(server, f"/{GENES[0]}").status == 200
        held = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert path not in held
        written(path, atlas_of(layout, seed=1))
        assert server is not None


@quick
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_serving_and_changing_leaks_no_file(tmp_path: Path, saved: Save) -> None:
    path = saved(atlas_of("csc"))
    source = saved(atlas_of("csc", seed=1), "other.h5ad")

    def open_here() -> int:
        targets = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        return sum(Path(target).is_relative_to(tmp_path) for target in targets)

    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        for _ in range(2):
            tag = get(f"/{GENES[0]}").get("etag")
            new = Path(shutil.copy(source, tmp_path / "new.h5ad"))
            by_rename(new, path)
            soon(lambda: get(f"/{GENES[0]}").get("etag") != tag, "no change is noticed")  # noqa: B023
            wait_until(lambda: open_here() <= 1, f"{open_here()} files are open")
    assert open_here() == 0


def test_data_may_not_change_after_they_are_given_as_an_object(tmp_path: Path) -> None:
    """The AnnData of a user is not touched, not even sorted."""
    atlas = atlas_of("csr")
    atlas.obs["new"] = pd.Categorical(np.where(np.arange(220) % 3, "x", None))
    before = atlas.copy()
    with serving(atlas, cache_dir=tmp_path / "cache") as server:
        for name in expected("csr"):
            ask(server, f"/{name}")
    pd.testing.assert_frame_equal(atlas.obs, before.obs)
    for key in before.obsm:
        np.testing.assert_array_equal(atlas.obsm[key], before.obsm[key])
    assert (atlas.X != before.X).nnz == 0
    assert sparse.issparse(atlas.X)


def test_a_source_without_genes_or_graph(tmp_path: Path, saved: Save) -> None:
    atlas = atlas_of("csr")
    bare = AnnData(obs=atlas.obs, obsm={"X_umap_2d": atlas.obsm["X_umap_2d"]})
    with serving(saved(bare), cache_dir=tmp_path / "cache") as server:
        for name in ("var_manifest.json", "connectivity_manifest.json", GENES[0],
                     "connectivity/edges.src.bin", "vectors/velocity_umap_2d.bin"):  # fmt: skip
            assert ask(server, f"/{name}").status == 404, name
        stats = json.loads(ask(server, "/dataset_identity.json").body)["stats"]
        assert (stats["n_genes"], stats["has_connectivity"], stats["n_edges"]) == (0, False, None)
        assert info(server)["index"] == {"state": "not needed"}
