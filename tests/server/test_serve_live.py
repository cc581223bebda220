"""Live data over HTTP: what is read when, what is computed once, what a change of the file does.

That the answers are those of an export is in test_serve_oracle.py.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData
from layouts import laid_out, spoil_chunks, store_anew
from oracle import CREATED, file_bytes, make_atlas, silent
from scipy import sparse
from serving import (
    MANIFESTS,
    Client,
    Reply,
    Wire,
    ask,
    internal,
    request,
    serving,
    wait_until,
)
from versions import write_zarr

import cellucid_dask
from cellucid_dask import (
    AnnDataServer,
    CellucidDaskError,
    CellucidServer,
    check,
    create_app,
    export,
    serve_anndata,
)

Save = Callable[..., Path]
LIVE = {"compression": 0, "var_quantization": None, "obs_quantization": None}
LAYOUTS = ("csr", "csc", "dense")
GENES = [f"var/gene{i}.values.f32" for i in range(30)]
SEEN = 2.5  # seconds within which a change of a file must show
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


def column(atlas: AnnData, gene: int) -> bytes:
    """What is answered for a gene."""
    return laid_out(atlas.X, "dense")[:, gene].astype("<f4").tobytes()


@functools.cache
def expected(layout: str, n_cells: int = 220, seed: int = 0) -> dict[str, bytes]:
    """Files of the export of an atlas, without its identity, which tells the time."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        atlas = atlas_of(layout, n_cells=n_cells, seed=seed)
        export(atlas, out, quiet=True, workers=1, created_at=CREATED, **LIVE)
        return {k: v for k, v in file_bytes(out).items() if k != "dataset_identity.json"}


def info(server: Any) -> dict[str, Any]:
    """What `/_cellucid/info` says."""
    return dict(json.loads(ask(server, "/_cellucid/info").body))


# --------------------------------------------------------------------------- what is read when


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each chunk of a zarr folder is read, wherever the reading is done."""
    counted: Counter[str] = Counter()
    get = zarr.storage.LocalStore.get

    async def counting(self: Any, key: str, *args: Any, **options: Any) -> Any:
        if not key.endswith(("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")):
            counted[key] += 1
        return await get(self, key, *args, **options)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counting)
    return counted


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_starting_reads_no_large_array(tmp_path: Path, chunks: Counter[str], layout: str) -> None:
    path = in_pieces(tmp_path / "a.zarr", layout)
    large = ("X", "layers", "raw", "obsp", "obsm/X_pca",
             "obs/score", "obs/depth", "obs/group/codes", "obs/_index")  # fmt: skip
    chunks.clear()
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        assert below(chunks, *large) == {}
        for name in ("health", "info", "datasets"):
            assert ask(server, f"/_cellucid/{name}").status == 200
        assert ask(server, "/var_manifest.json").status == 200
        assert ask(server, "/points_2d.bin").status == 200
        assert below(chunks, *large) == {}
        assert ask(server, "/obs/score.values.f32").status == 200
        assert set(below(chunks, *large)) == {"obs/score/0"}
        assert ask(server, "/obs/group.codes.u8").status == 200
        assert set(below(chunks, *large)) == {"obs/score/0", "obs/group/codes/0"}


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_what_is_damaged_is_missed_only_by_who_asks_for_it(tmp_path: Path, ending: str) -> None:
    """No counting: whoever reads these values, in whatever way, fails."""
    path = written(tmp_path / f"a.{ending}", atlas_of("csc"))
    spoilt = ("X/data", "obsp/connectivities/indices", "obs/depth", "obsm/velocity_umap")
    for key in spoilt:
        if ending == "zarr":
            spoil_chunks(path / key)
            continue
        with h5py.File(path, "r+") as file:
            shape, dtype, attributes = file[key].shape, file[key].dtype, dict(file[key].attrs)
            del file[key]
            outside = [("/nowhere/values", 0, int(np.prod(shape)) * dtype.itemsize)]
            file.create_dataset(key, shape, dtype, external=outside).attrs.update(attributes)
    files = expected("csc")
    broken = {GENES[0], "obs/depth.values.f32", "vectors/velocity_umap_2d.bin",
              "dataset_identity.json", "connectivity_manifest.json",
              "connectivity/edges.src.bin"}  # fmt: skip
    whole = {"obs_manifest.json", "var_manifest.json", "points_2d.bin", "points_3d.bin",
             "obs/score.values.f32", "obs/group.codes.u8", "obs/rare.outliers.f32"}  # fmt: skip
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for _ in range(2):  # what failed is tried again, and fails again
            for name in broken:
                answer = ask(server, f"/{name}")
                assert answer.status == 503, name
                assert answer.body.count(b"\n") == 1, "one line of text"
        for name in whole:
            assert ask(server, f"/{name}").body == files[name], name
        assert ask(server, "/_cellucid/health").status == 200


def test_a_gene_of_csc_takes_just_its_chunks(tmp_path: Path, chunks: Counter[str]) -> None:
    path = in_pieces(tmp_path / "a.zarr", "csc")
    x = atlas_of("csc").X
    with serving(path, cache_dir=tmp_path / "cache") as server:
        assert ask(server, f"/{GENES[3]}").status == 200  # now the pointers are known
        for gene in (0, 17, 29):
            chunks.clear()
            assert ask(server, f"/{GENES[gene]}").body == expected("csc")[GENES[gene]]
            first, last = int(x.indptr[gene]), int(x.indptr[gene + 1]) - 1
            numbers = range(first // 64, last // 64 + 1)
            assert below(chunks, "X") == {
                f"X/{part}/{n}": 1 for part in ("data", "indices") for n in numbers
            }
            chunks.clear()
            ask(server, f"/{GENES[gene]}")
            assert chunks == {}, "it is in the cache"


def test_a_gene_of_dense_chunks_takes_just_its_chunks(tmp_path: Path, chunks: Counter[str]) -> None:
    path = in_pieces(tmp_path / "a.zarr", "dense")
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for gene in (0, 17, 29):
            chunks.clear()
            assert ask(server, f"/{GENES[gene]}").body == expected("dense")[GENES[gene]]
            assert chunks == {f"X/{band}.{gene // 7}": 1 for band in range(5)}


@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_a_gene_of_hdf5_takes_just_its_chunks(tmp_path: Path, layout: str) -> None:
    """All chunks but those of two genes are spoilt."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    keys = ["X"] if layout == "dense" else ["X/data", "X/indices"]
    store_anew(path, *keys, chunks=(50, 7) if layout == "dense" else (64,), compression="gzip")
    genes = (8, 10)
    pointers = atlas_of("csc").X.indptr
    with h5py.File(path) as file:
        places = []
        for key in keys:
            stored = file[key].id
            for i in range(stored.get_num_chunks()):
                chunk = stored.get_chunk_info(i)
                at = chunk.chunk_offset[-1]
                if layout == "dense":
                    needed = at == 7
                else:
                    needed = pointers[genes[0]] < at + 64 and at < pointers[genes[1] + 1]
                if not needed:
                    places.append(chunk)
    assert len(places) > 10
    with path.open("r+b") as raw:
        for chunk in places:
            raw.seek(chunk.byte_offset)
            raw.write(b"\xff" * chunk.size)
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for gene in genes:
            assert ask(server, f"/{GENES[gene]}").body == expected(layout)[GENES[gene]]
        assert ask(server, f"/{GENES[29]}").status == 503


# -------------------------------------------------------------------------- computed once


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


def test_scans_for_many_genes_at_once_are_shared(tmp_path: Path, chunks: Counter[str]) -> None:
    """Of CSR without an index: two or three times through the matrix, not sixteen times."""
    path = in_pieces(tmp_path / "a.zarr", "csr")
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        chunks.clear()
        answers = all_at_once(server, [f"/{name}" for name in GENES[:16]])
        assert [a.body for a in answers] == [expected("csr")[name] for name in GENES[:16]]
        assert max(below(chunks, "X/data").values()) <= 8


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
                while not done.is_set():
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
    assert len(seen) > 5
    assert {found["limit"] for found in seen} == {end["limit"]}
    assert end["limit"] <= 16_000_000
    assert max(found["bytes"] for found in seen) <= end["limit"]
    assert end["bytes"] > end["limit"] * 0.9, "twice as much was asked for as there is room"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_requests_from_many_threads_are_answered_right(tmp_path: Path, layout: str) -> None:
    """In every coding, whole and in ranges, by threads that all begin at once."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    files = expected(layout)
    names, end = sorted(files), time.monotonic() + 1.0

    def client(seed: int) -> int:
        choose, n = random.Random(seed), 0
        with Client(server) as get:
            while time.monotonic() < end:
                name = choose.choice(names)
                n += 1
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
        return n

    options = {"dataset_name": "dataset", "created_at": CREATED, "cache_dir": tmp_path / "cache"}
    with serving(path, **options) as server, ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(client, range(16))) > 200


# ------------------------------------------------------------------------- a changed file


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server look at its file ten times as often, so that tests need not wait."""
    monkeypatch.setattr(WATCHING, "CHECK_INTERVAL", WATCHING.CHECK_INTERVAL / 10)


quick = pytest.mark.usefixtures("quickly")


def by_rename(new: Path, path: Path) -> None:
    """Put a file in the place of another, as programs do that are careful."""
    new.replace(path)


def in_place(new: Path, path: Path) -> None:
    """Write over a file by a program of its own, as `cp` does."""
    subprocess.run(["cp", str(new), str(path)], check=True)


def soon(reached: Callable[[], Any], otherwise: str) -> None:
    """Wait until a change must have shown."""
    wait_until(reached, otherwise, SEEN)


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


@pytest.mark.parametrize("change", [by_rename, in_place])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_is_written_anew(
    tmp_path: Path, layout: str, change: Callable[[Path, Path], None]
) -> None:
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    new = written(tmp_path / "new.h5ad", atlas_of(layout, n_cells=231, seed=1))
    before, after = expected(layout), expected(layout, 231, 1)
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        serves(server, before)
        tags = {name: get(f"/{name}").get("etag") or "" for name in before}
        change(new, path)
        soon(lambda: get(f"/{GENES[0]}").body == after[GENES[0]], "the new gene never comes")
        serves(server, after)
        for name, tag in tags.items():
            answer = get(f"/{name}", {"If-None-Match": tag})
            assert answer.status == 200, f"{name} is another, and not what the client has"
            assert answer.get("etag") != tag
    assert not list((tmp_path / "cache").rglob("spill-*"))


@quick
def test_the_same_number_of_bytes_and_cells(tmp_path: Path) -> None:
    """Only values differ, as when normalization was done again."""
    path = written(tmp_path / "a.h5ad", atlas_of("csr"))
    other = atlas_of("csr")
    other.X.data *= 2
    new = written(tmp_path / "new.h5ad", other)
    assert path.stat().st_size == new.stat().st_size
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        wait_until(lambda: info(server)["index"]["state"] == "ready", "no index")
        first = get(f"/{GENES[4]}")
        in_place(new, path)
        soon(lambda: get(f"/{GENES[4]}").body == column(other, 4), "the old gene stays")
        assert get(f"/{GENES[4]}").get("etag") != first.get("etag")
        wait_until(lambda: info(server)["index"]["state"] == "ready", "no new index")
        for gene in range(30):
            assert get(f"/{GENES[gene]}").body == column(other, gene)


@quick
@pytest.mark.parametrize(("ending", "layout"), [(".zarr", "csr"), (".zarr.zip", "dense")])
def test_a_zarr_that_is_written_anew(tmp_path: Path, ending: str, layout: str) -> None:
    def store(name: str, **options: Any) -> Path:
        folder = written(tmp_path / f"{name}.zarr", atlas_of(layout, **options))
        if ending == ".zarr":
            return folder
        made = shutil.make_archive(str(folder), "zip", folder)
        return Path(made)

    path, new = store("a"), store("new", n_cells=231, seed=1)
    after = expected(layout, 231, 1)
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        serves(server, expected(layout))
        if ending == ".zarr":
            path.rename(tmp_path / "old.zarr")
        new.replace(path)
        soon(lambda: get(f"/{GENES[0]}").body == after[GENES[0]], "the new gene never comes")
        serves(server, after)


@quick
def test_a_zarr_that_is_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", atlas_of("csc"))
    after = expected("csc", 231, 1)
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        serves(server, expected("csc"))
        written(path, atlas_of("csc", n_cells=231, seed=1))
        soon(lambda: get(f"/{GENES[0]}").body == after[GENES[0]], "the new gene never comes")
        serves(server, after)


@quick
def test_a_column_that_is_written_into_a_zarr(tmp_path: Path) -> None:
    """One element changes, by a program that appends an annotation."""
    path = written(tmp_path / "a.zarr", atlas_of("csc"))
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert get("/obs/score.values.f32").body == expected("csc")["obs/score.values.f32"]
        zarr.open_group(path, mode="r+")["obs/score"][:] = np.arange(220.0)
        new = np.arange(220, dtype="<f4").tobytes()
        soon(lambda: get("/obs/score.values.f32").body == new, "the old column stays")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_read_of_a_new_file_never_goes_out_as_of_the_old_one(
    tmp_path: Path, layout: str
) -> None:
    """Right after a change, before it is noticed: the same tag must mean the same bytes."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    new = written(tmp_path / "new.h5ad", atlas_of(layout, seed=1))
    old_ones, new_ones = expected(layout), expected(layout, seed=1)
    names = [*GENES, "obs/score.values.f32", "points_3d.bin"]
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server, Client(server) as get:
        tag = get(f"/{GENES[29]}").get("etag")
        by_rename(new, path)
        answers = {name: get(f"/{name}") for name in names}
        for name, answer in answers.items():
            if answer.status == 200 and answer.get("etag") == tag:
                assert answer.body == old_ones[name], f"{name} of the new file as of the old"
        soon(lambda: get(f"/{GENES[29]}").get("etag") != tag, "the change is never noticed")
        for name in names:
            assert get(f"/{name}").body == new_ones[name]


def test_a_file_that_comes_back_is_not_taken_for_another(tmp_path: Path) -> None:
    """Answers made of the file that was there between must not stay."""
    path = written(tmp_path / "a.h5ad", atlas_of("csr"))
    other = written(tmp_path / "other.h5ad", atlas_of("csr", seed=1))
    first, second = expected("csr"), expected("csr", seed=1)
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server, Client(server) as get:
        assert get(f"/{GENES[0]}").body == first[GENES[0]]
        path.rename(tmp_path / "kept.h5ad")
        shutil.copy(other, path)
        between = get(f"/{GENES[7]}")  # before the change is noticed, or after it
        soon(lambda: get(f"/{GENES[0]}").body == second[GENES[0]], "no change is noticed")
        (tmp_path / "kept.h5ad").rename(path)
        soon(lambda: get(f"/{GENES[0]}").body == first[GENES[0]], "no change is noticed")
        now = get(f"/{GENES[7]}")
        assert now.body == first[GENES[7]]
        if between.body != now.body:
            tag = {"If-None-Match": between.get("etag") or ""}
            assert get(f"/{GENES[7]}", tag).status == 200, "the client keeps the wrong gene"


@quick
@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_a_file_that_changes_all_the_time(tmp_path: Path, layout: str) -> None:
    """Every answer is of one of the versions, or says that the data cannot be read now."""
    sizes = {220: 0, 231: 1, 242: 2}
    versions = [expected(layout, n, seed) for n, seed in sizes.items()]
    files = [
        written(tmp_path / f"{n}.h5ad", atlas_of(layout, n_cells=n, seed=seed))
        for n, seed in sizes.items()
    ]
    names = [*GENES, "obs_manifest.json", "points_2d.bin", "connectivity/edges.src.bin",
             "obs/group.outliers.f32", "obs/depth.values.f32"]  # fmt: skip
    assert 7 % 3 == 1, "the last version is the second"
    path = Path(shutil.copy(files[0], tmp_path / "a.h5ad"))
    end, wrong, statuses = threading.Event(), [], Counter[int]()

    def client(seed: int) -> None:
        choose = random.Random(seed)
        with Client(server) as get:
            while not end.is_set():
                name = choose.choice(names)
                answer = get(f"/{name}")
                statuses[answer.status] += 1
                if answer.status not in (200, 503):
                    wrong.append((name, answer.status))
                elif answer.status == 200 and all(answer.body != v[name] for v in versions):
                    wrong.append((name, f"{len(answer.body)} bytes of no version"))

    with serving(path, cache_dir=tmp_path / "cache") as server:
        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(client, seed) for seed in range(8)]
            for turn in range(1, 8):
                time.sleep(0.15)
                soon(lambda turn=turn: statuses[200] >= turn, "no answer while the file changes")
                new = Path(shutil.copy(files[turn % 3], tmp_path / "new.h5ad"))
                new.replace(path)
            end.set()
            for future in running:
                future.result()
        assert Counter(wrong).most_common(5) == []
        soon(lambda: ask(server, f"/{GENES[0]}").body == versions[1][GENES[0]], "no last version")
        serves(server, versions[1])


def refused_by_check(path: Path) -> bool:
    """Whether an export would refuse it."""
    try:
        return not check(path).ok
    except CellucidDaskError:
        return True


def _nan(path: Path) -> None:
    atlas = atlas_of("csr")
    atlas.obsm["X_umap_2d"][7] = np.nan
    written(path.with_name("bad.h5ad"), atlas).replace(path)


def _junk(path: Path) -> None:
    path.write_bytes(b"not HDF5 at all" * 99)


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _other_hdf5(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["matrix"] = np.arange(3)


def _gone(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@quick
@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("spoil", [_nan, _junk, _half, _other_hdf5, _gone, _folder])
def test_a_file_that_becomes_one_that_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], layout: str
) -> None:
    """503 while it lasts, never old data; and all is well when the file is."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    right = written(tmp_path / "right.h5ad", atlas_of(layout, n_cells=231, seed=1))
    after = expected(layout, 231, 1)
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert get(f"/{GENES[0]}").status == 200
        spoil(path)
        assert refused_by_check(path)
        soon(lambda: get(f"/{GENES[0]}").status != 200, "it is served on")
        for name in (*GENES[:3], *MANIFESTS, "points_2d.bin"):
            answer = get(f"/{name}")
            assert answer.status == 503, (name, answer)
            assert answer.body.count(b"\n") == 1
            assert answer.get("cache-control") == "no-store"
        assert get("/_cellucid/health").status == 200
        assert get("/_cellucid/info").status == 200
        assert server.is_running()
        if path.is_dir():
            path.rmdir()
        right.replace(path)
        soon(lambda: get(f"/{GENES[0]}").status == 200, "it is never served again")
        serves(server, after)


def test_a_refused_file_is_not_examined_for_every_request(
    tmp_path: Path, chunks: Counter[str]
) -> None:
    """With a million cells that would take a second each, one after the other."""
    path = written(tmp_path / "a.zarr", atlas_of("csc"))
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        zarr.open_group(path, mode="r+")["obsm/X_umap_2d"][5] = np.nan
        soon(lambda: get("/points_3d.bin").status == 503, "it is served on")
        chunks.clear()
        began = time.monotonic()
        for _ in range(40):
            assert get("/points_3d.bin").status == 503
        looks = time.monotonic() - began + 2
        read = sum(below(chunks, "obsm/X_umap_2d").values())
        assert read <= 4 * looks, f"its embedding was read {read} times for 40 requests"


@quick
def test_numbers_of_health_and_list_follow_the_file(tmp_path: Path) -> None:
    """Asked for alone, as a monitor does."""
    path = written(tmp_path / "a.h5ad", atlas_of("csr"))
    new = written(tmp_path / "new.h5ad", atlas_of("csr", n_cells=231))
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert json.loads(get("/_cellucid/health").body)["n_cells"] == 220
        by_rename(new, path)

        def told() -> set[int]:
            health, facts, listed = (
                json.loads(get(f"/_cellucid/{name}").body)
                for name in ("health", "info", "datasets")
            )
            return {health["n_cells"], facts["n_cells"], listed["datasets"][0]["n_cells"]}

        soon(lambda: told() == {231}, "health tells of the file that was")


@quick
def test_a_link_that_is_turned_to_another_file(tmp_path: Path) -> None:
    for seed in (0, 1):
        written(tmp_path / f"{seed}.h5ad", atlas_of("csr", seed=seed))
    path = tmp_path / "link.h5ad"
    path.symlink_to("0.h5ad")
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert json.loads(get("/dataset_identity.json").body)["name"] == "link"
        assert get(f"/{GENES[1]}").body == expected("csr")[GENES[1]]
        path.with_name("other").symlink_to("1.h5ad")
        path.with_name("other").replace(path)
        now = expected("csr", seed=1)
        soon(lambda: get(f"/{GENES[1]}").body == now[GENES[1]], "the link is not followed")


def test_an_index_does_not_keep_what_was_there_for_a_moment(tmp_path: Path) -> None:
    """Another file in the place of this one while the index is made; then this one again."""
    rng = np.random.default_rng(5)
    n_cells, n_genes = 60_000, 600
    x = sparse.random_array((n_cells, n_genes), density=0.1, rng=rng, dtype="f4", format="csr")
    points = rng.normal(size=(n_cells, 2))
    for name, matrix in (("a", x), ("b", x * 2)):  # alike but for their values
        adata = AnnData(sparse.csr_matrix(matrix), obsm={"X_umap_2d": points})
        adata.var_names = [f"g{i}" for i in range(n_genes)]
        written(tmp_path / f"{name}.h5ad", adata, compression="gzip")
    genes = range(0, n_genes, 60)
    columns = x.tocsc()
    truth = {gene: laid_out(columns[:, [gene]], "dense").tobytes() for gene in genes}
    path = tmp_path / "a.h5ad"
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "cache_size": "16MB"}

    def wrong(server: Any) -> list[int]:
        with Client(server) as get:
            answers = {gene: get(f"/var/g{gene}.values.f32").body for gene in genes}
        return [gene for gene in genes if answers[gene] != truth[gene]]

    with serving(path, **options) as server:
        progress = server.opened.index_progress
        first = wait_until(lambda: progress()["rows_done"], "it never begins")
        path.rename(tmp_path / "kept.h5ad")
        shutil.copy(tmp_path / "b.h5ad", path)

        def on() -> bool:  # or given up, when what it read did not fit together
            return progress()["rows_done"] > first or progress()["state"] != "building"

        wait_until(on, "it never goes on")
        (tmp_path / "kept.h5ad").replace(path)
        assert progress()["blocks_done"] == 0, "the file came back too late to show anything"
        wait_until(lambda: progress()["state"] not in ("waiting", "building"), "it never ends")
        assert wrong(server) == []
    with serving(path, **options) as server:
        assert wrong(server) == []


@quick
def test_a_relative_path_is_that_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notebooks change their folder."""
    written(tmp_path / "a.h5ad", atlas_of("csr"))
    new = written(tmp_path / "new.h5ad", atlas_of("csr", seed=1))
    now = expected("csr", seed=1)
    monkeypatch.chdir(tmp_path)
    with serving("a.h5ad", cache_dir=tmp_path / "cache") as server, Client(server) as get:
        assert get(f"/{GENES[1]}").body == expected("csr")[GENES[1]]
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert get("/obs/score.values.f32").status == 200
        by_rename(new, tmp_path / "a.h5ad")
        soon(lambda: get(f"/{GENES[1]}").body == now[GENES[1]], "the new file is not found")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_others_in_the_process_can_open_a_file_that_is_served(tmp_path: Path, layout: str) -> None:
    """A notebook serves a file in the background and goes on to work with it."""
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    with serving(path, cache_dir=tmp_path / "cache") as server, Client(server) as get:
        for name in GENES[:3]:
            assert get(f"/{name}").status == 200
        assert silent(ad.read_h5ad, path).shape == (220, 30)
        backed = silent(ad.read_h5ad, path, backed="r")
        assert get(f"/{GENES[3]}").body == expected(layout)[GENES[3]]
        backed.file.close()
        export(path, tmp_path / "out", quiet=True, workers=1)
        with h5py.File(path, "r+", locking=False) as file:
            assert file["X"]


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_answers_too_long_for_memory_go_out_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Of an atlas of millions of cells; here everything counts as too long."""
    for name, limit in (
        ("http.content", "IN_MEMORY"),
        ("datasets.live", "IN_MEMORY"),
        ("datasets.live", "IN_CACHE"),
    ):
        assert getattr(internal(name), limit) > 100
        monkeypatch.setattr(internal(name), limit, 100)
    path = written(tmp_path / "a.h5ad", atlas_of(layout))
    files = {k: v for k, v in expected(layout).items() if k not in GENES[2:]}
    with serving(path, cache_dir=tmp_path / "cache") as server:
        for name, stored in files.items():
            assert ask(server, f"/{name}").body == stored
            coded = ask(server, f"/{name}", {"Accept-Encoding": "gzip"})
            assert gzip.decompress(coded.body) == stored
            part = ask(server, f"/{name}", {"Range": "bytes=40-239"})
            assert (part.status, part.body) == (206, stored[40:240])
            head = ask(server, f"/{name}", {"Accept-Encoding": "gzip"}, method="HEAD")
            assert head.get("content-length") == str(len(coded.body))
            if not name.endswith(".json"):
                assert gzip.decompress(ask(server, f"/{name}.gz").body) == stored
    with serving(path, cache_dir=tmp_path / "cache") as server:
        names = [name for name in files if not name.endswith(".json")]
        for answer in all_at_once(server, [f"/{name}" for name in names[:16]]):
            assert answer.status == 200
        coded = all_at_once(server, ["/points_3d.bin"] * 16, {"Accept-Encoding": "gzip"})
        assert {gzip.decompress(answer.body) for answer in coded} == {files["points_3d.bin"]}


# --------------------------------------------------------------------------- what HTTP says


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A live server of a CSC file, with the answers that it must give."""
    folder = tmp_path_factory.mktemp("live")
    path = written(folder / "atlas.h5ad", atlas_of("csc"))
    with serving(path, cache_dir=folder / "cache", dataset_name="Atlas") as server:
        yield server


PLAIN = [None, "", "identity", "br", "br, deflate", "gzip;q=0", "*;q=0", "gzip;q=0, *",
         "identity;q=1, gzip;q=0.5", "gzip;q=0.000", "identity, gzip;q=0.9", "x" * 500]  # fmt: skip
CODED = ["gzip", "GZIP", "*", "x-gzip", "gzip;q=0.001", "br, gzip", "gzip, deflate, br, zstd",
         "identity;q=0.5, gzip;q=1", "identity;q=0, *", " gzip ;q=1.0 , br"]  # fmt: skip


@pytest.mark.parametrize("path", [GENES[2], "obs/group.codes.u8", "obs_manifest.json"])
@pytest.mark.parametrize("accepted", [*PLAIN, *CODED])
def test_gzip_only_for_who_takes_it(live: Any, path: str, accepted: str | None) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(live, f"/{path}", {"Accept-Encoding": accepted}, method=method)
        assert answer.status == 200
        assert answer.get("content-encoding") == ("gzip" if accepted in CODED else None)
        assert "Accept-Encoding" in (answer.get("vary") or "")
        if method == "GET":
            plain = gzip.decompress(answer.body) if accepted in CODED else answer.body
            assert plain == expected("csc")[path]


PATHS = [GENES[0], f"{GENES[0]}.gz", "points_2d.bin", "obs/group.codes.u8",
         "obs/rare.outliers.f32.gz", "connectivity/edges.src.bin", "dataset_identity.json",
         "obs_manifest.json", "_cellucid/health", "_cellucid/datasets"]  # fmt: skip


@pytest.mark.parametrize("accepted", [None, "gzip"])
@pytest.mark.parametrize("path", PATHS)
def test_conditions(live: Any, path: str, accepted: str | None) -> None:
    codings = {"Accept-Encoding": accepted}
    first = ask(live, f"/{path}", codings)
    tag = first.get("etag")
    assert first.status == 200
    assert tag
    assert tag.startswith('"')
    assert tag.endswith('"')
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = ask(live, f"/{path}", {"If-None-Match": given, **codings})
        assert (answer.status, answer.body) == (304, b""), given
        assert answer.get("etag") == tag
        assert answer.get("vary") == first.get("vary")
        assert answer.get("cache-control") == first.get("cache-control")
        assert answer.get("content-encoding") is None
    for given in ('"other"', tag[:-1], "nonsense"):
        answer = ask(live, f"/{path}", {"If-None-Match": given, **codings})
        assert (answer.status, answer.body) == (200, first.body), given
    assert first.get("cache-control") == "no-cache"
    assert first.get("x-content-type-options") == "nosniff"


def test_tags_of_both_codings_differ_and_neither_stands_for_the_other(live: Any) -> None:
    for path in (GENES[1], "obs_manifest.json", "points_3d.bin"):
        plain, coded = ask(live, f"/{path}"), ask(live, f"/{path}", {"Accept-Encoding": "gzip"})
        assert plain.get("etag") != coded.get("etag")
        for given, other in ((plain, "gzip"), (coded, None)):
            headers = {"If-None-Match": given.get("etag"), "Accept-Encoding": other}
            assert ask(live, f"/{path}", headers).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accepted", [None, "gzip"])
def test_head_says_what_get_says(live: Any, path: str, accepted: str | None) -> None:
    codings = {"Accept-Encoding": accepted}
    whole, head = ask(live, f"/{path}", codings), ask(live, f"/{path}", codings, method="HEAD")
    assert (head.status, head.body) == (whole.status, b"")
    assert head.headers_without_date() == whole.headers_without_date()
    assert int(head.get("content-length") or 0) == len(whole.body)


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=5-99", 5, 100),
    ("bytes=100-", 100, None),
    ("bytes=-7", -7, None),
    ("bytes=0-99999999", 0, None),
    ("bytes=-99999999", 0, None),
]


@pytest.mark.parametrize("accepted", [None, "gzip", "br"])
@pytest.mark.parametrize("path", [GENES[0], "points_2d.bin", "obs_manifest.json"])
@pytest.mark.parametrize(("wanted", "start", "stop"), RANGES)
def test_a_range_is_of_the_plain_bytes(
    live: Any, path: str, wanted: str, start: int, stop: int | None, accepted: str | None
) -> None:
    body = expected("csc")[path]
    answer = ask(live, f"/{path}", {"Range": wanted, "Accept-Encoding": accepted})
    assert (answer.status, answer.body) == (206, body[start:stop])
    assert answer.get("content-encoding") is None
    first = start % len(body)
    last = first + len(answer.body) - 1
    assert answer.get("content-range") == f"bytes {first}-{last}/{len(body)}"
    assert answer.get("content-length") == str(len(answer.body))
    assert answer.get("etag") == ask(live, f"/{path}").get("etag")
    assert "Accept-Encoding" in (answer.get("vary") or "")


def test_ranges_of_gzip_paths_are_of_their_bytes(live: Any) -> None:
    whole = ask(live, f"/{GENES[0]}.gz").body
    for accepted in (None, "gzip"):
        headers = {"Range": "bytes=3-10", "Accept-Encoding": accepted}
        answer = ask(live, f"/{GENES[0]}.gz", headers)
        assert (answer.status, answer.body) == (206, whole[3:11])


@pytest.mark.parametrize("path", [GENES[0], "obs_manifest.json"])
def test_ranges_that_are_none(live: Any, path: str) -> None:
    body = expected("csc")[path]
    beyond = ask(live, f"/{path}", {"Range": f"bytes={len(body)}-"})
    assert (beyond.status, beyond.body) == (416, b"")
    assert beyond.get("content-range") == f"bytes */{len(body)}"
    for wanted in ("bytes=9-3", "lines=0-3", "bytes=a-b", "bytes", "bytes=0-1,4-5", "bytes=-"):
        answer = ask(live, f"/{path}", {"Range": wanted})
        assert answer.status in (200, 416), wanted
        assert answer.body in (body, b""), wanted


def test_a_range_of_another_version_is_not_given(live: Any) -> None:
    body, path = expected("csc")[GENES[0]], f"/{GENES[0]}"
    tag = ask(live, path).get("etag")
    same = ask(live, path, {"Range": "bytes=0-9", "If-Range": tag})
    assert (same.status, same.body) == (206, body[:10])
    for other in ('"other"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        answer = ask(live, path, {"Range": "bytes=0-9", "If-Range": other})
        assert (answer.status, answer.body) == (200, body), other
    unchanged = ask(live, path, {"Range": "bytes=0-9", "If-None-Match": tag})
    assert unchanged.status == 304


def test_tags_are_the_same_after_a_restart_and_others_with_other_options(
    tmp_path: Path, saved: Save
) -> None:
    """What a browser holds of a file stays valid until the file changes."""
    path = saved(atlas_of("csc"))
    found = []
    for options in ({}, {}, {"raw": False}, {"layer": "twice"}):
        if "layer" in options:
            atlas = atlas_of("csc")
            atlas.layers["twice"] = atlas.X * 2
            path = saved(atlas)
        with serving(path, cache_dir=tmp_path / "cache", **options) as server:
            found.append(ask(server, f"/{GENES[0]}").get("etag"))
    assert found[0] == found[1] == found[2] != found[3]


# ---------------------------------------------------------------------- what is there, and not


@pytest.mark.parametrize("path", [
    "var/gene30.values.f32", "var/gene0.values.u8", "var/gene0.values.u16", "var/gene0.values",
    "var/gene0", "var/GENE0.values.f32", "var/gene0.codes.u8", "var/gene0.values.f32.bin",
    "var/gene0.values.f32.gz.gz", "var/", "var", "var//gene0.values.f32", "/gene0.values.f32",
    "obs/score.codes.u8", "obs/score.outliers.f32", "obs/score.values.u8", "obs/none.values.f32",
    "obs/group.values.f32", "obs/group.codes.u16", "obs/group.outliers.u8", "obs/",
    "points_1d.bin", "points_4d.bin", "points_02d.bin", "points_2d", "points_2d.bin/",
    "vectors/velocity_umap_3d.bin", "vectors/velocity_2d.bin", "connectivity/edges.bin",
    "connectivity/edges.src", "datasets.json", "obs_manifest.json.gz", "obs_manifest",
    "Atlas/nothing", "Atlas", "Atlas/Atlas/points_2d.bin", "atlas/points_2d.bin", "nothing",
    "_cellucid", "_cellucid/", "_cellucid/nothing", "_cellucid/zarr", "_cellucid/zarr/.zgroup",
    "_cellucid/zarr/zarr.json", "_cellucid/health/", "Atlas/_cellucid/health",
    "points_2d.bin%00", "points_2d%2Ebin%2F", "./points_2d.bin", "var/../points_2d.bin",
])  # fmt: skip
def test_what_is_not_there(live: Any, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(live, f"/{path}", method=method)
        assert answer.status == 404, path
        assert answer.get("content-type") == "text/plain; charset=utf-8"
        assert answer.body.count(b"\n") == (1 if method == "GET" else 0)
        assert answer.get("etag") is None


def test_what_is_there_under_other_spellings(live: Any) -> None:
    """Percent-encoding changes nothing, nor does a query."""
    body = expected("csc")["points_2d.bin"]
    for path in ("/points%5F2d.bin", "/points_2d%2Ebin", "/points_2d.bin?v=2",
                 "/Atlas/points_2d.bin", "/%41tlas/points_2d.bin"):  # fmt: skip
        assert ask(live, path).body == body, path


def test_health(live: Any) -> None:
    answer = ask(live, "/_cellucid/health")
    assert answer.get("content-type") == "application/json"
    told = json.loads(answer.body)
    version = told.pop("version")
    assert version
    assert told == {"status": "ok", "type": "anndata", "format": "h5ad", "is_backed": True,
                    "n_cells": 220, "n_genes": 30}  # fmt: skip


def test_info_and_list(live: Any) -> None:
    told = info(live)
    assert told["type"] == "anndata"
    assert (told["n_cells"], told["n_genes"]) == (220, 30)
    assert told["index"] == {"state": "not needed"}
    assert 0 <= told["cache"]["bytes"] <= told["cache"]["limit"] <= 512_000_000
    (entry,) = json.loads(ask(live, "/_cellucid/datasets").body)["datasets"]
    assert {key: entry[key] for key in ("id", "path", "name")} == {
        "id": "Atlas", "path": "/", "name": "Atlas"}  # fmt: skip
    identity = json.loads(ask(live, "/dataset_identity.json").body)
    assert (identity["id"], identity["name"]) == ("Atlas", "Atlas")


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("zarr", {}, ("zarr", True)),
        ("zarr", {"backed": False}, ("zarr", False)),
        ("h5ad", {"backed": False}, ("h5ad", False)),
        ("memory", {}, ("in-memory", False)),
        ("memory backed", {}, ("in-memory", True)),
    ],
)
def test_health_of_other_data(
    tmp_path: Path, kind: str, options: dict[str, Any], told: tuple[str, bool]
) -> None:
    data: Any = atlas_of("csr")
    if kind != "memory":
        ending = "zarr" if kind == "zarr" else "h5ad"
        data = written(tmp_path / f"a.{ending}", data)
    if kind == "memory backed":
        data = ad.read_h5ad(data, backed="r")
    with serving(data, cache_dir=tmp_path / "cache", genes=["gene3"], **options) as server:
        health = json.loads(ask(server, "/_cellucid/health").body)
    if kind == "memory backed":
        data.file.close()
    assert (health["format"], health["is_backed"]) == told
    assert (health["n_cells"], health["n_genes"]) == (220, 1)


def test_quantized_genes_under_their_names_only(tmp_path: Path, saved: Save) -> None:
    path = saved(atlas_of("csr"))
    with serving(path, cache_dir=tmp_path / "cache", quantize=8) as server:
        assert ask(server, "/var/gene0.values.u8").status == 200
        assert ask(server, "/obs/group.outliers.u8").status == 200
        for name in ("var/gene0.values.f32", "var/gene0.values.u16", "obs/score.values.f32"):
            assert ask(server, f"/{name}").status == 404, name


# ------------------------------------------------------------------------------- lifetime


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


def test_a_server_that_was_stopped_starts_again(tmp_path: Path, saved: Save) -> None:
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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made: list[CellucidServer] = []
    start = CellucidServer.start
    monkeypatch.setattr(
        CellucidServer, "start", lambda self, **how: (made.append(self), start(self, **how))[1]
    )
    options = {"quiet": True, "open_browser": False, "cache_dir": tmp_path / "cache"}
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, path, port, **options)
        try:
            wait_until(lambda: made and made[0].is_running(), "it never runs")
            assert ask(made[0], f"/{GENES[0]}").status == 200
            assert not future.done()
        finally:
            began = time.monotonic()
            for server in made:
                server.stop()
        server = future.result(5)
    assert time.monotonic() - began < 2.5
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
        waiting.join(2)
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
        links = Path("/proc/self/fd").iterdir()
        targets = [link.readlink() for link in links if link.is_symlink()]
        return sum(target.is_relative_to(tmp_path) for target in targets)

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
