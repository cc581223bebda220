"""What many clients ask for at once is computed once, and the cache stays within its bound."""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from layouts import store_anew
from live_serving import (
    GENES,
    LAYOUTS,
    all_at_once,
    atlas_of,
    below,
    expected,
    in_pieces,
    info,
    written,
)
from oracle import CREATED
from serving import Client, ask, serving, wait_until

from cellucid_dask.server.gene_index import lookup
from cellucid_dask.server.gene_index.scan import SharedScans


@pytest.mark.parametrize(
    ("layout", "path", "folders"),
    [
        ("csc", GENES[5], ["X/data", "X/indices"]),
        ("dense", GENES[5], ["X"]),
        ("csr", GENES[5], ["X/data", "X/indices"]),
        ("csr", "obs/score.values.f32", ["obs/score"]),
        ("csr", "obs/group.outliers.f32", ["obs", "obsm"]),
        ("csr", "obs_manifest.json", ["obs", "obsm"]),
        ("csr", "points_3d.bin", ["obsm/X_umap_3d"]),
        ("csr", "vectors/velocity_umap_2d.bin", ["obsm/velocity_umap"]),
        ("csr", "dataset_identity.json", ["obsp"]),
        ("csr", "connectivity/edges.dst.bin", ["obsp"]),
    ],
)
def test_what_many_ask_for_at_once_is_computed_once(
    tmp_path: Path, chunks: Counter[str], layout: str, path: str, folders: list[str]
) -> None:
    data = in_pieces(tmp_path / "a.zarr", layout)
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "index": False}
    with serving(data, created_at=CREATED, **options) as server:
        chunks.clear()
        one = ask(server, f"/{path}")
        alone = below(chunks, *folders)
    assert one.status == 200
    assert alone
    with serving(data, created_at=CREATED, **options) as server:
        chunks.clear()
        answers = all_at_once(server, [f"/{path}"] * 16)
        assert {(a.status, a.body) for a in answers} == {(200, one.body)}
        assert below(chunks, *folders) == alone


def test_scans_for_many_genes_at_once_are_shared(
    tmp_path: Path, chunks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of CSR without an index: two or three times through the matrix, not sixteen times."""
    asked: list[Any] = []
    get, scan = SharedScans.get, lookup.scan_chunks

    def noted(self: SharedScans, columns: Any) -> Any:
        asked.append(columns)
        return get(self, columns)

    def scan_once_all_have_come(*facts: Any) -> Any:
        wait_until(lambda: len(asked) == 16, "not all requests have come")
        return scan(*facts)

    monkeypatch.setattr(SharedScans, "get", noted)
    monkeypatch.setattr(lookup, "scan_chunks", scan_once_all_have_come)
    path = in_pieces(tmp_path / "a.zarr", "csr")
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        chunks.clear()
        answers = all_at_once(server, [f"/{name}" for name in GENES[:16]])
        assert [a.body for a in answers] == [expected("csr")[name] for name in GENES[:16]]
        assert max(below(chunks, "X/data").values()) <= 3


def test_the_cache_stays_below_its_bound_while_many_ask(tmp_path: Path) -> None:
    n_cells, n_genes = 20_000, 400
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n_cells, n_genes)).astype("f4")
    adata = AnnData(x, obsm={"X_umap_2d": rng.normal(size=(n_cells, 2))})
    adata.var_names = [f"g{i}" for i in range(n_genes)]
    path = written(tmp_path / "a.h5ad", adata)
    store_anew(path, "X", chunks=(n_cells, 4))
    seen, done = [], threading.Event()
    with serving(path, cache_dir=tmp_path / "cache", cache_size="16MB") as server:

        def watch() -> None:
            with Client(server) as get:
                while not done.is_set() or len(seen) < 5:
                    seen.append(json.loads(get("/_cellucid/info").body)["cache"])

        def ask_for(part: int) -> None:
            with Client(server) as get:
                for gene in range(part, n_genes, 8):
                    answer = get(f"/var/g{gene}.values.f32")
                    assert answer.body == x[:, gene].tobytes(), gene

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(ask_for, range(8)))
        finally:
            done.set()
            watcher.join()
        end = info(server)["cache"]
    assert {found["limit"] for found in seen} == {end["limit"]}
    assert end["limit"] <= 16_000_000
    assert max(found["bytes"] for found in seen) <= end["limit"]
    assert end["bytes"] > end["limit"] * 0.9, "twice as much was asked for as there is room"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_requests_from_many_threads_are_answered_right(tmp_path: Path, layout: str) -> None:
    """In every coding, whole and in ranges, by threads that all begin at once."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    files = expected(layout)
    names = sorted(files)

    def client(seed: int) -> None:
        choose = random.Random(seed)
        with Client(server) as get:
            for _ in range(40):
                name = choose.choice(names)
                way = choose.choice(["plain", "coded", "raw", "range", "again"])
                if way == "range":
                    first = choose.randrange(len(files[name]))
                    last = choose.randrange(first, len(files[name]))
                    accepted = {"Accept-Encoding": "gzip"} if choose.random() < 0.5 else {}
                    answer = get(f"/{name}", {"Range": f"bytes={first}-{last}", **accepted})
                    assert answer.status == 206, name
                    assert answer.body == files[name][first : last + 1], name
                    continue
                if way == "raw" and not name.endswith(".json"):
                    assert gzip.decompress(get(f"/{name}.gz").body) == files[name], name
                    continue
                if way == "coded":
                    answer = get(f"/{name}", {"Accept-Encoding": "gzip"})
                    assert gzip.decompress(answer.body) == files[name], name
                    continue
                answer = get(f"/{name}")
                assert answer.body == files[name], name
                if way == "again":
                    tag = {"If-None-Match": answer.get("etag") or ""}
                    assert get(f"/{name}", tag).status == 304, name

    options = {"dataset_name": "dataset", "created_at": CREATED, "cache_dir": tmp_path / "cache"}
    with serving(path, **options) as server, ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))
