"""What a server of live data does when its file changes."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from anndata import AnnData
from layouts import laid_out
from live_serving import (
    GENES,
    LAYOUTS,
    all_at_once,
    atlas_of,
    below,
    by_rename,
    expected,
    info,
    quick,
    serves,
    soon,
    written,
)
from oracle import silent
from scipy import sparse
from serving import MANIFESTS, Client, ask, internal, serving, wait_until

from cellucid_dask import CellucidDaskError, check, export


def column(atlas: AnnData, gene: int) -> bytes:
    """What is answered for a gene."""
    return laid_out(atlas.X, "dense")[:, gene].astype("<f4").tobytes()


def in_place(new: Path, path: Path) -> None:
    """Write over a file by a program of its own, as `cp` does."""
    subprocess.run(["cp", str(new), str(path)], check=True)


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
