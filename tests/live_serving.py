"""An atlas that is served live, and what its export holds."""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
import zarr
from anndata import AnnData
from layouts import laid_out
from oracle import CREATED, as_live, file_bytes, make_atlas, silent
from serving import Client, Reply, Wire, ask, internal, request, wait_until
from versions import write_zarr

from cellucid_dask import export

Save = Callable[..., Path]
LIVE = {"compression": 0, "var_quantization": None, "obs_quantization": None}
LAYOUTS = ("csr", "csc", "dense")
GENES = [f"var/gene{i}.values.f32" for i in range(30)]
WATCHING = internal("datasets.auto_reload")  # where it is said how often a file is looked at


def atlas_of(layout: str = "csr", *, n_cells: int = 220, seed: int = 0) -> AnnData:
    """An atlas in a layout."""
    atlas = make_atlas(n_cells, seed=seed)
    atlas.X = laid_out(atlas.X, layout)
    return atlas


def written(path: Path, atlas: AnnData, **options: Any) -> Path:
    """Write an AnnData as the ending of the path says."""
    if path.suffix == ".h5ad":
        silent(atlas.write_h5ad, path, **options)
        return path
    return write_zarr(atlas, path, **options)


@functools.cache
def expected(layout: str, n_cells: int = 220, seed: int = 0) -> dict[str, bytes]:
    """Files of the export of an atlas, without its identity, which tells the time."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        atlas = atlas_of(layout, n_cells=n_cells, seed=seed)
        export(atlas, out, quiet=True, workers=1, created_at=CREATED, **LIVE)
        files = as_live(file_bytes(out))
        return {k: v for k, v in files.items() if k != "dataset_identity.json"}


def info(server: Any) -> dict[str, Any]:
    """What `/_cellucid/info` says."""
    return dict(json.loads(ask(server, "/_cellucid/info").body))


def below(counted: Counter[str], *folders: str) -> dict[str, int]:
    """Counts of chunks below some folders."""
    heads = tuple(folder + "/" for folder in folders)
    return {key: n for key, n in counted.items() if key.startswith(heads)}


def in_pieces(path: Path, layout: str) -> Path:
    """A zarr whose X is in small chunks: 64 stored values, or tiles of 50 cells x 7 genes."""
    atlas = atlas_of(layout)
    group = zarr.open_group(path, mode="w", zarr_format=2)

    def stored(write: Any, store: Any, key: str, element: Any, **more: Any) -> None:
        how = dict(more["dataset_kwargs"])
        if key.strip("/") == "X":
            how["chunks"] = (50, 7) if layout == "dense" else (64,)
        write(store, key, element, dataset_kwargs=how)

    silent(ad.experimental.write_dispatched, group, "/", atlas, stored)
    return path


def all_at_once(server: Any, paths: Sequence[str], headers: Any = None) -> list[Reply]:
    """Ask for all paths in the same moment, each on a connection that is open before."""
    together = threading.Barrier(len(paths))

    def one(path: str) -> Reply:
        with Wire(server.port) as wire:
            together.wait()
            wire.send(request(server.port, path, headers))
            reply = wire.reply()
            assert reply is not None
            return reply

    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(one, paths))


quick = pytest.mark.usefixtures("quickly")


def by_rename(new: Path, path: Path) -> None:
    """Put a file in the place of another, as programs do that are careful."""
    new.replace(path)


def soon(reached: Callable[[], Any], otherwise: str) -> None:
    """Wait until a change must have shown."""
    wait_until(reached, otherwise)


def serves(server: Any, files: dict[str, bytes], *more: str) -> None:
    """Everything is as in an export."""
    with Client(server) as get:
        wrong = []
        for name in files:
            answer = get(f"/{name}")
            if (answer.status, answer.body) != (200, files[name]):
                wrong.append((name, answer.status))
        assert wrong == []
        identity = json.loads(get("/dataset_identity.json").body)
        n_cells = json.loads(files["obs_manifest.json"])["n_points"]
        assert identity["stats"]["n_cells"] == n_cells
        health = json.loads(get("/_cellucid/health").body)
        assert health["n_cells"] == n_cells
