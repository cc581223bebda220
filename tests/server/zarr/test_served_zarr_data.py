"""A zarr store that is served: as a dataset, and read by zarr clients."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import zarr
from anndata import AnnData
from comparing import LAYOUTS, assert_alike, assert_serves, export_of
from layouts import laid_out
from oracle import CREATED, silent
from served_zarr import ROOT, atlas_of, members, tidied, zipped
from serving import ask, internal, serving, wait_until
from versions import ZARR_KINDS, write_zarr
from zarr_reads import Ranges, count_reads

from cellucid_dask import export

STORES = [
    *((layout, "v2", ".zarr") for layout in LAYOUTS),
    *((layout, "v3", ".zarr") for layout in ("csr", "dense")),
    *((layout, "v3 sharded", ".zarr") for layout in ("csr", "dense")),
    ("csc", "v3 blosc", ".zarr"),
    ("csr", "v3", ".zarr.zip"),
    ("csc", "v3 sharded", ".zarr.zip"),
    ("dense", "v2", ".zarr.zip"),
]


@pytest.mark.parametrize(("layout", "kind", "ending"), STORES)
def test_every_answer_is_what_an_export_holds(
    tmp_path: Path, layout: str, kind: str, ending: str
) -> None:
    path = tmp_path / f"atlas{ending}"
    write_zarr(atlas_of(layout), path, kind)
    assert_alike(path, tmp_path, {}, bits=8 if layout == "csc" else None)


@pytest.mark.parametrize(("kind", "pack"), [("v2", zipped), ("v3", Path), ("v3 sharded", zipped)])
def test_consolidated_stores(tmp_path: Path, kind: str, pack: Callable[[Path], Path]) -> None:
    folder = tidied(tmp_path / "atlas.zarr", kind)
    consolidated = ".zmetadata" if kind == "v2" else "zarr.json"
    assert b"metadata" in (folder / consolidated).read_bytes()
    path = pack(folder)
    assert_alike(path, tmp_path, {}, bits=16)
    with serving(path, cache_dir=tmp_path / "cache") as server:
        group = zarr.open_group(server.url + ROOT, mode="r")
        assert set(group) >= {"X", "obs", "var", "obsm", "obsp"}
        assert set(group["obs"]) >= set(atlas_of().obs)


def test_a_zarr_with_dots_between_chunk_numbers_and_one_with_slashes(tmp_path: Path) -> None:
    """The other way than usual, for both formats."""
    for version, encoding in ((2, {"name": "v2", "separator": "/"}),
                              (3, {"name": "default", "separator": "."}),
                              (3, {"name": "v2", "separator": "."})):  # fmt: skip
        path = tmp_path / f"{version}{encoding['name']}.zarr"
        write_zarr(atlas_of("dense"), path, f"v{version}", consolidated=False)
        group = zarr.open_group(path, mode="r+", zarr_format=version)
        values, attributes = group["X"][:], dict(group["X"].attrs)
        del group["X"]
        made = group.create_array("X", shape=values.shape, dtype=values.dtype, chunks=(50, 7),
                                  chunk_key_encoding=encoding)  # fmt: skip
        made[:] = values
        made.attrs.update(attributes)
        with serving(path, cache_dir=tmp_path / "cache", dataset_name="n",
                     created_at=CREATED) as server:  # fmt: skip
            files = export_of(path, tmp_path / f"out-{path.stem}", dataset_name="n")
            assert_serves(server, files)
            assert_same_arrays(server, path)


@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_a_gene_takes_just_its_chunks_of_a_shard(
    tmp_path: Path, ranges: Ranges, layout: str
) -> None:
    path = write_zarr(atlas_of(layout), tmp_path / "atlas.zarr", chunks=(50, 2))
    expected = laid_out(atlas_of().X, "dense")
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        ask(server, "/var/gene0.values.f32")  # now the pointers are known
        for gene in (2, 9):  # none that lies in two chunks
            ranges.clear()
            answer = ask(server, f"/var/gene{gene}.values.f32")
            assert answer.body == expected[:, gene].tobytes()
            read = [count_reads(path / k, r) for k, r in ranges.items() if k.startswith("X/")]
            assert read
            assert {count for counts in read for count in counts} == {0, 1}
            assert all(sum(counts) < 0.7 * len(counts) for counts in read)


def assert_same_arrays(server: Any, path: Path) -> None:
    """Open the URL with zarr-python and compare every array with that of the store."""
    store: Any = zarr.storage.ZipStore(path, mode="r") if path.is_file() else path
    here = zarr.open_group(store, mode="r")
    there = zarr.open_group(server.url + ROOT, mode="r")
    assert dict(there.attrs) == dict(here.attrs)
    compared = []

    def walk(group: Any, prefix: str) -> None:
        for name, node in group.members():
            key = f"{prefix}{name}"
            other = there[key]
            assert dict(other.attrs) == dict(node.attrs), key
            if isinstance(node, zarr.Group):
                walk(node, key + "/")
                continue
            assert (other.shape, other.dtype) == (node.shape, node.dtype)
            mine, theirs = np.asarray(node[...]), np.asarray(other[...])
            np.testing.assert_array_equal(theirs, mine, key)
            if node.ndim and node.shape[0] > 100:
                np.testing.assert_array_equal(other[37:91], mine[37:91], key)
            compared.append(key)

    walk(here, "")
    if path.is_file():
        store.close()
    assert len(compared) > 15
    assert any(key.startswith("X") for key in compared)


@pytest.mark.parametrize("kind", ZARR_KINDS)
@pytest.mark.parametrize("ending", [".zarr", ".zarr.zip"])
def test_zarr_python_reads_the_same_arrays_over_http(
    tmp_path: Path, kind: str, ending: str
) -> None:
    path = tmp_path / f"a{ending}"
    write_zarr(atlas_of("dense" if kind == "v3" else "csr"), path, kind)
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        assert_same_arrays(server, path)


@pytest.mark.parametrize("kind", ZARR_KINDS)
def test_anndata_reads_a_consolidated_store_over_http(tmp_path: Path, kind: str) -> None:
    path = write_zarr(atlas_of(), tmp_path / "atlas.zarr", kind)
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        group = zarr.open_group(server.url + ROOT, mode="r")
        read = silent(ad.io.read_elem, group)
    atlas = atlas_of()
    assert read.shape == atlas.shape
    assert (read.X != atlas.X).nnz == 0
    assert list(read.obs) == list(atlas.obs)
    np.testing.assert_array_equal(read.obsm["X_pca"], atlas.obsm["X_pca"])


def test_a_chunk_that_was_never_written_is_the_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(atlas_of("dense"), path, "v3", consolidated=False)
    group = zarr.open_group(path, mode="r+")
    sparse = group.create_array("obsm/X_extra", shape=(220, 4), chunks=(50, 4), dtype="f4",
                                fill_value=2.5)  # fmt: skip
    sparse[50:100] = 7
    with serving(path, cache_dir=tmp_path / "cache") as server:
        assert ask(server, f"{ROOT}/obsm/X_extra/c/0/0").status == 404
        there = zarr.open_group(server.url + ROOT, mode="r")["obsm/X_extra"]
        assert (there[0, 0], there[60, 3], there[219, 1]) == (2.5, 7, 2.5)


def test_below_a_base_path_and_with_a_token(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(atlas_of(), path, "v3")
    options = {"base_path": "/deep", "token": "abcdefgh", "cache_dir": tmp_path / "cache"}
    with serving(path, **options) as server:
        assert ask(server, f"/deep{ROOT}/zarr.json").status == 401
        bearer = {"Authorization": "Bearer abcdefgh"}
        assert ask(server, f"/deep{ROOT}/zarr.json", bearer).status == 200
        assert ask(server, f"{ROOT}/zarr.json", bearer).status == 404
        given = {"headers": bearer}
        group = zarr.open_group(server.url + ROOT, mode="r", storage_options=given)
        np.testing.assert_array_equal(group["obs/score"][:], atlas_of().obs["score"])


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server look at its file more often, so that tests need not wait."""
    watching = internal("datasets.auto_reload")
    monkeypatch.setattr(watching, "CHECK_INTERVAL", watching.CHECK_INTERVAL / 10)


@pytest.mark.usefixtures("quickly")
def test_a_chunk_that_is_written_anew_has_another_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(atlas_of(), path, "v3")
    key = "obs/score/c/0"
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        before = ask(server, f"{ROOT}/{key}")
        zarr.open_group(path, mode="r+")["obs/score"][:] = np.arange(220.0)
        now = ask(server, f"{ROOT}/{key}", {"If-None-Match": before.get("etag")})
        assert (now.status, now.body) == (200, (path / key).read_bytes())
        assert now.get("etag") != before.get("etag")


@pytest.mark.usefixtures("quickly")
def test_an_archive_that_is_replaced_or_taken_away(tmp_path: Path) -> None:
    for name, layout in (("a", "csr"), ("b", "csc")):
        write_zarr(atlas_of(layout), tmp_path / f"{name}.zarr", "v3")
    path, other = zipped(tmp_path / "a.zarr"), zipped(tmp_path / "b.zarr")
    expected = members(other)["X/zarr.json"]
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        first = ask(server, f"{ROOT}/X/zarr.json")
        other.replace(path)
        now = ask(server, f"{ROOT}/X/zarr.json", {"If-None-Match": first.get("etag")})
        assert (now.status, now.body) == (200, expected)
        path.rename(tmp_path / "gone")
        assert ask(server, f"{ROOT}/X/zarr.json").status in (404, 503)
        path.write_bytes(b"PK\x03\x04 and then nothing")
        assert ask(server, f"{ROOT}/X/zarr.json").status in (404, 503)
        (tmp_path / "gone").rename(path)
        assert ask(server, f"{ROOT}/X/zarr.json").body == expected
        wait_until(lambda: ask(server, "/obs_manifest.json").status == 200, "never right again")


@pytest.mark.usefixtures("quickly")
def test_a_folder_that_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(atlas_of(), path, "v3")
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        assert ask(server, "/points_2d.bin").status == 200
        shutil.rmtree(path)
        assert ask(server, f"{ROOT}/zarr.json").status in (404, 503)
        wait_until(lambda: ask(server, "/points_2d.bin").status != 200, "it is served on")
        assert ask(server, "/points_2d.bin").status == 503
        write_zarr(atlas_of("csc"), path, "v2")
        wait_until(lambda: ask(server, "/points_2d.bin").status == 200, "never right again")
        assert ask(server, f"{ROOT}/.zgroup").status == 200


def test_other_data_have_no_zarr_paths(tmp_path: Path) -> None:
    atlas = atlas_of()
    h5ad = tmp_path / "a.h5ad"
    silent(atlas.write_h5ad, h5ad)
    export(atlas, tmp_path / "all" / "one", quiet=True)
    data: dict[str, Any] = {
        "h5ad": h5ad,
        "memory": atlas,
        "export": tmp_path / "all" / "one",
        "exports": tmp_path / "all",
    }
    for name, what in data.items():
        with serving(what, cache_dir=tmp_path / "cache") as server:
            for key in ("", "/", "/zarr.json", "/.zgroup", "/X/data/0", "/obs_manifest.json"):
                assert ask(server, f"{ROOT}{key}").status == 404, (name, key)


def test_a_zarr_in_memory_is_still_served_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_zarr(atlas_of(), path, "v3")
    with serving(path, cache_dir=tmp_path / "cache", backed=False) as server:
        assert ask(server, f"{ROOT}/zarr.json").body == (path / "zarr.json").read_bytes()
        assert json.loads(ask(server, "/_cellucid/health").body)["is_backed"] is False


def test_long_chunks_go_out_whole_and_in_ranges(tmp_path: Path) -> None:
    """Longer than what is held in memory at once."""
    rng = np.random.default_rng(3)
    n = 30_000
    x = rng.integers(0, 2**31, (n, 100), dtype=np.int32).view("f4")
    x[~np.isfinite(x)] = 0
    atlas = AnnData(x, obsm={"X_umap_2d": rng.normal(size=(n, 2))})
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)

    def stored(write: Any, store: Any, key: str, element: Any, **more: Any) -> None:
        how = dict(more["dataset_kwargs"])
        if key.strip("/") == "X":
            how |= {"chunks": x.shape, "compressors": None, "shards": None}
        write(store, key, element, dataset_kwargs=how)

    silent(ad.experimental.write_dispatched, group, "/", atlas, stored)
    for path in (tmp_path / "a.zarr", zipped(tmp_path / "a.zarr")):
        with serving(path, cache_dir=tmp_path / "cache") as server:
            url = f"{ROOT}/X/c/0/0"
            answer = ask(server, url)
            assert len(answer.body) == x.nbytes > internal("http.content").IN_MEMORY
            assert answer.body == x.tobytes()
            part = ask(server, url, {"Range": f"bytes={x.nbytes - 5_000_000}-{x.nbytes - 2}"})
            assert (part.status, part.body) == (206, x.tobytes()[-5_000_000:-1])
            part = ask(server, url, {"Range": "bytes=1-9999999"})
            assert (part.status, part.body) == (206, x.tobytes()[1:10_000_000])
            assert ask(server, url, {"If-None-Match": answer.get("etag")}).status == 304
