"""Zarr stores: served as datasets whatever their format, and as they are for any zarr client."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import zarr
from anndata import AnnData
from comparing import LAYOUTS, assert_alike, assert_serves, export_of
from layouts import laid_out
from oracle import CREATED, make_atlas, silent
from serving import Client, Reply, ask, internal, serving, wait_until
from versions import ZARR_KINDS, write_zarr
from zarr_reads import Ranges, count_reads

from cellucid_dask import export

ROOT = "/_cellucid/zarr"
METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
CHUNK = {"v2": "X/data/0", "v3": "X/data/c/0"}


ODD = "a%b+c?d#e"  # the name of a column, which clients must quote in a path


def atlas_of(layout: str = "csr") -> AnnData:
    """An atlas in a layout, with a column whose name is not ASCII."""
    atlas = make_atlas(n_genes=14)
    atlas.X = laid_out(atlas.X, layout)
    atlas.obs["µm² Zelle"] = atlas.obs["score"] * 2
    return atlas


def tidied(path: Path, kind: str) -> Path:
    """A store as anndata writes it, with its metadata consolidated."""
    atlas = atlas_of()
    atlas.obs[ODD] = atlas.obs["depth"] * 2
    return write_zarr(atlas, path, kind)


def zipped(folder: Path) -> Path:
    """The same store in one file."""
    path = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def members(path: Path) -> dict[str, bytes]:
    """Everything in a store, by key."""
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# ------------------------------------------------------------------------- served as a dataset


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
            files = export_of(path, tmp_path / f"out-{path.name}", dataset_name="n")
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


# ---------------------------------------------------------------------------- read by clients


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


# -------------------------------------------------------------------------- files as they are


@pytest.fixture(scope="module", params=["v2", "v3 sharded", "v2 zip", "v3 zip"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    """A server of a store, and the store."""
    folder = tmp_path_factory.mktemp("store")
    path = tidied(folder / "a.zarr", request.param.removesuffix(" zip"))
    path = zipped(path) if request.param.endswith(" zip") else path
    with serving(path, cache_dir=folder / "cache", index=False) as server:
        yield server, path


def quoted(key: str) -> str:
    """A key as a URL holds it."""
    from urllib.parse import quote

    return f"{ROOT}/{quote(key)}"


def test_every_file_of_a_store_as_it_is(store: tuple[Any, Path]) -> None:
    server, path = store
    files = members(path)
    assert len(files) > 40
    with Client(server) as get:
        for key, stored in files.items():
            for headers in ({}, {"Accept-Encoding": "gzip"}):
                answer = get(quoted(key), headers)
                assert (answer.status, answer.body) == (200, stored), key
                assert answer.get("content-encoding") is None
                assert answer.get("accept-ranges") == "bytes"
                assert answer.get("x-content-type-options") == "nosniff"
                kind = "json" if key.rpartition("/")[2] in METADATA else "octet-stream"
                assert answer.get("content-type") == f"application/{kind}"


def chunk_of(path: Path) -> str:
    """Key of a chunk of X."""
    if path.is_dir():
        return next(key for key in CHUNK.values() if (path / key).is_file())
    return next(key for key in CHUNK.values() if key in members(path))


def test_conditions_and_ranges_of_a_chunk(store: tuple[Any, Path]) -> None:
    server, path = store
    key = chunk_of(path)
    body, url = members(path)[key], f"{ROOT}/{key}"
    whole = ask(server, url)
    tag = whole.get("etag") or ""
    assert tag.startswith('"')
    head = ask(server, url, method="HEAD")
    assert (head.status, head.body, head.headers_without_date()) == (
        200,
        b"",
        whole.headers_without_date(),
    )
    for given in (tag, f"W/{tag}", "*"):
        answer = ask(server, url, {"If-None-Match": given})
        assert (answer.status, answer.body, answer.get("etag")) == (304, b"", tag)
    assert ask(server, url, {"If-None-Match": '"other"'}).status == 200
    for wanted, part in (
        ("bytes=0-0", body[:1]),
        ("bytes=7-30", body[7:31]),
        ("bytes=100-", body[100:]),
        ("bytes=-16", body[-16:]),
    ):
        for headers in ({}, {"Accept-Encoding": "gzip"}):
            answer = ask(server, url, {"Range": wanted, **headers})
            assert (answer.status, answer.body) == (206, part), wanted
            assert answer.get("etag") == tag
            assert (answer.get("content-range") or "").endswith(f"/{len(body)}")
    beyond = ask(server, url, {"Range": f"bytes={len(body)}-"})
    assert (beyond.status, beyond.get("content-range")) == (416, f"bytes */{len(body)}")
    other = ask(server, url, {"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (other.status, other.body) == (200, body)


def test_two_chunks_have_two_tags(store: tuple[Any, Path]) -> None:
    server, path = store
    keys = [key for key in members(path) if key.startswith("X/") and key[-1].isdigit()]
    tags = {ask(server, quoted(key)).get("etag") for key in keys}
    assert len(tags) == len(keys) >= 3


def test_nothing_can_be_written(store: tuple[Any, Path]) -> None:
    server, path = store
    before = members(path)
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        for key in (chunk_of(path), "X/data/999", "new/.zgroup"):
            answer = ask(server, f"{ROOT}/{key}", method=method, body=b"spoilt")
            assert answer.status == 405, (method, key)
    assert members(path) == before


def test_folders_and_what_is_not_there(store: tuple[Any, Path]) -> None:
    server, _ = store
    for key in ("", "X", "X/", "obs", "X/data", "X/data/", "X/data/999999", "nothing/zarr.json",
                "nothing/.zarray", "X/data/c/0/0", "X//data/.zarray", "/X/.zgroup", "X/data/.zarr",
                "X/data/-1", "X/data/c", "X/data/0x0", "x/data/0", "zarr.json/", ".zgroup/0",
                "X/data/%30%2F", "X/data/0%00", "%2e", "X/data/1e0"):  # fmt: skip
        for method in ("GET", "HEAD"):
            answer = ask(server, f"{ROOT}/{key}", method=method)
            assert answer.status == 404, key
            assert answer.get("etag") is None


# --------------------------------------------------------------------- and nothing else of them

SECRET = b"secret-of-another-folder"


@pytest.fixture(scope="module", params=["v2", "v3"])
def littered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    """A server of a store among whose files others lie; each test adds some."""
    folder = tmp_path_factory.mktemp("littered")
    path = folder / "a.zarr"
    write_zarr(atlas_of(), path, request.param)
    (folder / "outside").mkdir()
    for name in ("0", "zarr.json", ".zgroup", ".zattrs", "secret.txt"):
        (folder / "outside" / name).write_bytes(SECRET)
    for name in ("0", "zarr.json", ".zgroup"):
        (folder / name).write_bytes(SECRET)
    with serving(path, cache_dir=folder / "cache", index=False) as server:
        yield server, path


def refused(reply: Reply) -> bool:
    """Whether nothing was served."""
    return 400 <= reply.status < 500 and SECRET not in reply.body


STRAY = ("notes.txt", ".env", ".htpasswd", ".DS_Store", "0.bak", "0~", ".zgroup.swp",
         "zarr.json.tmp", "X/notes.txt", "X/data/.0.part", "X/data/0.abcdef.partial",
         ".git/config", "id_rsa", "X/data/c0", "X/data/0.", "X/data/.0", "README.md",
         "X/zarr.jsonl", "index.html")  # fmt: skip


def test_stray_files_are_not_served(littered: tuple[Any, Path]) -> None:
    server, path = littered
    for name in STRAY:
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(SECRET)
        assert refused(ask(server, f"{ROOT}/{name}")), name


def test_hidden_folders_are_not_served(littered: tuple[Any, Path]) -> None:
    """Whatever is in them is no part of the store, be it named like a chunk."""
    server, path = littered
    served = []
    for folder in (".git", ".snapshots/X", "X/.backup", ".ipynb_checkpoints"):
        for name in ("0", "zarr.json", ".zattrs", "c/0/1"):
            target = path / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(SECRET)
            if not refused(ask(server, f"{ROOT}/{folder}/{name}")):
                served.append(f"{folder}/{name}")
    assert served == []


def test_files_named_like_chunks_where_no_array_is(littered: tuple[Any, Path]) -> None:
    """A chunk is a chunk of an array: a file of digits beside the arrays is a stray one."""
    server, path = littered
    served = []
    for name in ("2024", "notes/1", "X/7", "obs/12.5", "1.2.3", "c/4"):
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(SECRET)
        if not refused(ask(server, f"{ROOT}/{name}")):
            served.append(name)
    assert served == []


def test_links_that_leave_the_store_are_not_followed(littered: tuple[Any, Path]) -> None:
    server, path = littered
    outside = path.parent / "outside"
    (path / "linked").symlink_to(outside, target_is_directory=True)
    (path / "X" / "data" / "777").symlink_to(outside / "secret.txt")
    (path / "X" / "data" / "778").symlink_to("../../../outside/0")
    (path / "obsm" / "up").symlink_to("../..")
    (path / "X" / "data" / "780").symlink_to("/dev/zero")
    for key in ("linked/0", "linked/zarr.json", "linked/.zgroup", "X/data/777", "X/data/778",
                "obsm/up/zarr.json", "obsm/up/.zgroup", "obsm/up/0", "X/data/780"):  # fmt: skip
        assert refused(ask(server, f"{ROOT}/{key}")), key


def test_a_link_onto_itself_is_no_chunk(littered: tuple[Any, Path]) -> None:
    server, path = littered
    (path / "X" / "data" / "779").symlink_to(path / "X" / "data" / "779")
    assert refused(ask(server, f"{ROOT}/X/data/779"))


def test_links_within_the_store_are_followed(littered: tuple[Any, Path]) -> None:
    """As of a store whose chunks a tool has put elsewhere in it."""
    server, path = littered
    key = chunk_of(path)
    (path / key).with_name("55").symlink_to((path / key).name)
    answer = ask(server, f"{ROOT}/{key.rpartition('/')[0]}/55")
    assert (answer.status, answer.body) == (200, (path / key).read_bytes())


OUTSIDE = ("../0", "../zarr.json", "../.zgroup", "X/../../0", "../outside/zarr.json", "..%2f0",
           "%2e%2e/0", "%2e%2e%2fzarr.json", "..\\0", "..%5c0", "X/..%2f..%2f0", "./../0",
           "....//0", "..;/0", "%252e%252e/0", "//0", "/etc/passwd", "%2fetc%2fpasswd",
           "..%c0%af0", "X/data/../../../outside/0", "a.zarr/../../0", "..%00/0",
           "~/0")  # fmt: skip


def test_paths_that_leave_the_store(littered: tuple[Any, Path]) -> None:
    server, _ = littered
    for key in OUTSIDE:
        assert refused(ask(server, f"{ROOT}/{key}")), key


def test_an_absolute_path_is_none_of_the_store(littered: tuple[Any, Path]) -> None:
    server, path = littered
    for name in (path.parent / "0", path / "zarr.json", path / "X" / "data" / "0"):
        assert refused(ask(server, f"{ROOT}/{name}"))
        assert refused(ask(server, f"{ROOT}{name}"))


def test_a_pipe_among_the_chunks_holds_nobody_up(littered: tuple[Any, Path]) -> None:
    server, path = littered
    os.mkfifo(path / "X" / "data" / "888")
    assert refused(ask(server, f"{ROOT}/X/data/888", seconds=3))


def test_members_of_an_archive_that_are_no_part_of_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    write_zarr(atlas_of(), folder, "v3")
    path = zipped(folder)
    names = ("../0", "/0", "notes.txt", "X/../../zarr.json", "..\\0", ".git/0", "C:/0")
    with zipfile.ZipFile(path, "a") as archive:
        for name in names:
            archive.writestr(name, SECRET)
    with serving(path, cache_dir=tmp_path / "cache", index=False) as server:
        for name in names:
            assert refused(ask(server, f"{ROOT}/{name}")) or name == "C:/0", name
        assert ask(server, f"{ROOT}/zarr.json").status == 200


# ------------------------------------------------------------------------------ when it changes


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


# --------------------------------------------------------------------------- where there is none


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
