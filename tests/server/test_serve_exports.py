"""Exports over HTTP: every file as it is stored, no other file, and what HTTP says of them."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from atlas import script_anew
from oracle import (
    CREATED,
    file_bytes,
    make_atlas,
    oracle_arguments,
    oracle_prepare,
)
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

from cellucid_dask import CellucidDaskError, CellucidServer, export

KINDS: dict[str, dict[str, Any]] = {
    "eight": {"compression": 6, "var_quantization": 8, "obs_quantization": 8},
    "sixteen": {"compression": 1, "var_quantization": 16, "obs_quantization": 16},
    "plain": {"compression": 0, "var_quantization": None, "obs_quantization": None},
    "bare": {"connectivity": False, "vectors": False, "expression": False},
}
ORACLES: dict[str, dict[str, Any]] = {
    "oracle": {"compression": 6, "var_quantization": 8, "obs_continuous_quantization": 8},
    "oracle-plain": {},
}
BIG = 24_000_000  # bytes; much more than is read at once, and than the kernel holds for a client
POINTS = "/points_2d.bin.gz"


def make(folder: Path, *, seed: int = 0, **options: Any) -> Path:
    """Export an atlas, over another one if there is one."""
    names = {"dataset_id": "atlas", "dataset_name": "An atlas"}
    more = {"quiet": True, "workers": 1, "created_at": CREATED, "force": True}
    export(make_atlas(seed=seed), folder, **(names | more | options))
    return folder


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of all kinds, of both programs; nothing changes them."""
    root = tmp_path_factory.mktemp("exports")
    made = {kind: make(root / kind, **options) for kind, options in KINDS.items()}
    for kind, options in ORACLES.items():
        oracle_prepare(root / kind, **oracle_arguments(make_atlas()), **options)
        made[kind] = root / kind
    return made


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of other cells with the names of the kind ``eight``."""
    return make(tmp_path_factory.mktemp("other") / "export", seed=1)


@pytest.fixture
def mine(exports: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return Path(shutil.copytree(exports["eight"], tmp_path / "mine"))


@pytest.fixture(scope="module")
def server(exports: dict[str, Path]) -> Iterator[CellucidServer]:
    """A server that tests share; they change nothing."""
    with serving(exports["eight"]) as running:
        yield running


def everything(get: Callable[[str], Reply], folder: Path, head: str = "/") -> None:
    """Every file of an export goes out as it is stored, the manifests first."""
    files = file_bytes(folder)
    for name in sorted(files, key=lambda name: (name not in MANIFESTS, name)):
        reply = get(head + name)
        assert reply.status == 200, (name, reply)
        assert reply.body == files[name], name


def settled(get: Callable[[str], Reply], folder: Path) -> None:
    """Every file is that of the folder after a moment, and stays it."""

    def same() -> bool:
        return all(get("/" + name).body == body for name, body in file_bytes(folder).items())

    wait_until(same, "files of another export stay", 5)
    everything(get, folder)


# --------------------------------------------------------------------------- what goes out


@pytest.mark.parametrize("kind", [*KINDS, *ORACLES])
def test_every_file_goes_out_as_it_is_stored(exports: dict[str, Path], kind: str) -> None:
    """Under the root and under the id; a gzip member is never said to be a coding."""
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
def test_the_other_spelling_of_a_file_is_not_there(exports: dict[str, Path], kind: str) -> None:
    """A stored .gz is not inflated, and a plain file is not compressed: there is one file."""
    with serving(exports[kind]) as server, Client(server) as client:
        for name in file_bytes(exports[kind]):
            if name not in MANIFESTS:
                other = name.removesuffix(".gz") if name.endswith(".gz") else name + ".gz"
                assert client("/" + other).status == 404


def test_entity_tags_tell_files_apart(server: CellucidServer, exports: dict[str, Path]) -> None:
    tags = {ask(server, "/" + name).get("ETag") for name in file_bytes(exports["eight"])}
    assert len(tags) == len(file_bytes(exports["eight"]))
    assert all(tag is not None and tag[0] == tag[-1] == '"' for tag in tags), "strong and quoted"


def test_manifests_and_payloads_revalidate_or_age(server: CellucidServer) -> None:
    """A re-export is seen on reload: no manifest may be taken from a cache unasked."""
    for name in MANIFESTS:
        control = ask(server, "/" + name).get("Cache-Control") or ""
        assert "no-cache" in control or "max-age=0" in control, name
        assert "immutable" not in control
    assert "no-store" not in (ask(server, POINTS).get("Cache-Control") or "")


def test_the_service_paths_of_an_export(server: CellucidServer) -> None:
    health = json.loads(ask(server, "/_cellucid/health").body)
    assert health["status"] == "ok"
    assert health["type"] == "exported"
    assert sorted(health) == ["status", "type", "version"]
    info = ask(server, "/_cellucid/info")
    assert info.status == 200
    assert isinstance(json.loads(info.body), dict)
    listed = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
    assert len(listed) == 1
    assert {"id": "atlas", "path": "/", "name": "An atlas"}.items() <= listed[0].items()
    for name in ("health", "info", "datasets"):
        reply = ask(server, f"/_cellucid/{name}")
        assert reply.get("Content-Type") == "application/json"
        assert ask(server, f"/_cellucid/{name}/").status == 404
        assert ask(server, f"/_cellucid/{name}.json").status == 404
    for name in ("", "x", "zarr/", "zarr/zarr.json", "zarr/.zgroup", "page/", "page/nothing.js"):
        assert ask(server, "/_cellucid/" + name).status == 404


def test_the_page(server: CellucidServer) -> None:
    page = ask(server, "/")
    assert page.status == 200
    assert (page.get("Content-Type") or "").startswith("text/html")
    assert "default-src 'self'" in (page.get("Content-Security-Policy") or "")
    assert ask(server, "/index.html").body == page.body
    assert ask(server, "/?anndata=true&x=%zz").body == page.body
    style = ask(server, "/_cellucid/page/style.css")
    assert style.status == 200
    assert (style.get("Content-Type") or "").startswith("text/css")


def test_the_page_has_its_policy_under_every_name(server: CellucidServer) -> None:
    """No other site may put it into a frame, whatever path it asks for."""
    policy = ask(server, "/").get("Content-Security-Policy")
    for path in ("/index.html", "/_cellucid/page/index.html"):
        reply = ask(server, path)
        assert reply.status == 404 or reply.get("Content-Security-Policy") == policy, path


def test_queries_are_of_no_matter(server: CellucidServer) -> None:
    plain = ask(server, POINTS)
    for query in ("?", "?v=1", "?token=x", "?a=%zz&&&=", "?" + "a" * 1500):
        assert ask(server, POINTS + query).body == plain.body


def test_other_spellings_of_the_same_path(server: CellucidServer) -> None:
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
def test_an_unknown_path_is_404_with_one_line(server: CellucidServer, path: str) -> None:
    reply = ask(server, path)
    assert reply.status == 404
    assert (reply.get("Content-Type") or "").startswith("text/plain")
    assert reply.body.endswith(b"\n")
    assert reply.body.count(b"\n") == 1
    assert reply.get("X-Content-Type-Options") == "nosniff"
    assert path.encode() not in reply.body


# ------------------------------------------------------------------------ what does not go out


def test_what_no_manifest_names_is_not_served(mine: Path) -> None:
    stray = [
        "notes.txt",
        ".hidden",
        ".DS_Store",
        ".env",
        "checksums.json",
        "datasets.json",
        "dataset_identity.json.bak",
        "dataset_identity.json~",
        ".dataset_identity.json.part",
        "obs_manifest.json.part",
        "points_1d.bin.gz",
        "points_2d.bin",
        "points_2d.bin.gz.part",
        "obs/extra.values.u8.gz",
        "obs/group.codes.u16.gz",
        "obs/.group.codes.u8.gz",
        "obs/notes.txt",
        "var/gene0.values.u8.gz.part",
        "var/Gene0.values.u8.gz",
        "var/gene999.values.u8.gz",
        "vectors/other_umap_2d.bin.gz",
        "vectors/velocity_umap_3d.bin.gz",
        "connectivity/edges.weights.bin.gz",
        "sub/obs_manifest.json",
        "atlas/obs_manifest.json.part",
        "_cellucid/secret.txt",
        "etc/passwd",
    ]
    named = set(file_bytes(mine))
    for name in stray:
        path = mine / name
        if path.exists():
            assert path.samefile(mine / name.lower()), "it is a file of the export"
            continue
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"stray")
    (mine / "index.html").write_bytes(b"stray")
    with serving(mine) as server:
        for name in stray:
            for head in ("/", "/atlas/"):
                reply = ask(server, head + name)
                assert reply.status == 404, name
                assert b"stray" not in reply.body
        assert b"stray" not in ask(server, "/").body
        assert b"stray" not in ask(server, "/index.html").body
        assert ask(server, "/atlas/index.html").status == 404
        for name in named:
            assert ask(server, "/" + name).status == 200


def test_links_that_leave_the_folder(mine: Path, exports: dict[str, Path]) -> None:
    """Neither a file nor a folder nor a manifest is served from elsewhere."""
    outside = exports["plain"]
    for name in ("points_2d.bin.gz", "vectors", "obs_manifest.json", "var"):
        place = mine / name
        target = shutil.move(place, mine.with_name(f"outside-{name}"))
        place.symlink_to(target)
    (mine / "points_3d.bin.gz").unlink()
    (mine / "points_3d.bin.gz").symlink_to(outside / "points_3d.bin")
    with serving(mine) as server:
        for name in (
            "points_2d.bin.gz",
            "points_3d.bin.gz",
            "obs_manifest.json",
            "vectors/velocity_umap_2d.bin.gz",
            "var/gene0.values.u8.gz",
            "var/gene1.values.u8.gz",
        ):
            for head in ("/", "/atlas/"):
                assert ask(server, head + name).status == 404, name
        assert ask(server, "/obs/group.codes.u8.gz").status == 200
        assert ask(server, "/dataset_identity.json").status == 200


def test_links_by_relative_and_by_looped_ways(mine: Path) -> None:
    """A link beside the folder whose name begins like it, one to itself, one to nothing."""
    beside = mine.with_name(mine.name + "-beside")
    beside.mkdir()
    (beside / "secret").write_bytes(b"secret")
    changed = {
        "obs/group.codes.u8.gz": Path("../../mine-beside/secret"),
        "obs/group.outliers.u8.gz": Path("group.outliers.u8.gz"),
        "obs/rare.codes.u8.gz": Path("nothing"),
        "obs/rare.outliers.u8.gz": Path("/dev/zero"),
        "obs/score.values.u8.gz": Path(),
        "obs/depth.values.u8.gz": Path("/proc/self/environ"),
    }
    for name, target in changed.items():
        (mine / name).unlink()
        (mine / name).symlink_to(target)
    with serving(mine) as server:
        for name in changed:
            assert ask(server, "/" + name).status == 404, name
        assert ask(server, POINTS).status == 200


def test_links_within_the_folder_are_followed(mine: Path) -> None:
    shutil.move(mine / "var", mine / "genes")
    (mine / "var").symlink_to("genes")
    shutil.move(mine / "points_2d.bin.gz", mine / "obs" / "stored")
    (mine / "points_2d.bin.gz").symlink_to(mine / "obs" / "stored")
    with serving(mine) as server:
        assert ask(server, POINTS).body == (mine / "obs" / "stored").read_bytes()
        gene = ask(server, "/var/gene0.values.u8.gz")
        assert gene.body == (mine / "genes" / "gene0.values.u8.gz").read_bytes()
        assert ask(server, "/genes/gene0.values.u8.gz").status == 404
        assert ask(server, "/obs/stored").status == 404


def test_an_export_given_by_a_link(mine: Path) -> None:
    link = mine.with_name("link")
    link.symlink_to(mine.name)
    with serving(link) as server:
        everything(lambda path: ask(server, path), mine)


def test_what_is_no_regular_file_is_not_opened(mine: Path) -> None:
    """A pipe in the place of a payload would hold a thread for ever."""
    (mine / "points_2d.bin.gz").unlink()
    os.mkfifo(mine / "points_2d.bin.gz")
    (mine / "points_3d.bin.gz").unlink()
    (mine / "points_3d.bin.gz").mkdir()
    with serving(mine) as server:
        assert ask(server, POINTS).status == 404
        assert ask(server, "/points_3d.bin.gz").status == 404


def test_a_payload_that_is_missing_is_404(mine: Path) -> None:
    (mine / "points_2d.bin.gz").unlink()
    shutil.rmtree(mine / "var")
    with serving(mine) as server:
        assert ask(server, POINTS).status == 404
        assert ask(server, "/var/gene0.values.u8.gz").status == 404
        assert ask(server, "/points_3d.bin.gz").status == 200


# ------------------------------------------------------------------------------ conditions


def _told(reply: Reply) -> dict[str, str]:
    return {key: value for key, value in reply.told().items() if key != "connection"}


@pytest.mark.parametrize("path", [POINTS, "/obs_manifest.json", "/", "/_cellucid/page/style.css"])
def test_if_none_match(server: CellucidServer, path: str) -> None:
    whole = ask(server, path)
    tag = whole.get("ETag")
    for value in (tag, f"W/{tag}", f'"a", {tag}', f'"a,b" ,W/"c",{tag},"d"', "*"):
        for method in ("GET", "HEAD"):
            reply = ask(server, path, {"If-None-Match": value}, method=method)
            assert reply.status == 304, value
            assert reply.body == b""
            for name in ("ETag", "Cache-Control", "Vary", "X-Content-Type-Options"):
                assert reply.get(name) == whole.get(name), name
            assert reply.get("Content-Encoding") is None
    for value in ('"a"', 'W/"a", "b"', '""', '"', ",,", (tag or "")[:-2] + '"'):
        reply = ask(server, path, {"If-None-Match": value})
        assert reply.status == 200, value
        assert reply.body == whole.body


def test_if_modified_since(server: CellucidServer, exports: dict[str, Path]) -> None:
    moment = (exports["eight"] / POINTS[1:]).stat().st_mtime
    whole = ask(server, POINTS)
    for seconds, status in ((0, 304), (1, 304), (86400, 304), (-1, 200), (-1e9, 200)):
        since = formatdate(int(moment) + seconds, usegmt=True)
        assert ask(server, POINTS, {"If-Modified-Since": since}).status == status
    for nonsense in ("x", "", "Sat, 99 Nov 2030 10:29:34 GMT", "1 Jan 0001 00:00:00 +2300", "0"):
        reply = ask(server, POINTS, {"If-Modified-Since": nonsense})
        assert (reply.status, reply.body) == (200, whole.body), nonsense


def test_an_entity_tag_counts_for_more_than_a_date(server: CellucidServer) -> None:
    whole = ask(server, POINTS)
    tag, date = whole.get("ETag"), whole.get("Last-Modified")
    other = {"If-None-Match": '"other"', "If-Modified-Since": date}
    assert ask(server, POINTS, other).status == 200
    old = {"If-None-Match": tag, "If-Modified-Since": formatdate(0, usegmt=True)}
    assert ask(server, POINTS, old).status == 304
    assert ask(server, POINTS, {"If-None-Match": tag, "Range": "bytes=0-1"}).status == 304


def test_if_match(server: CellucidServer) -> None:
    """Not asked for by viewers, but if it is answered then rightly (RFC 9110, 13.1.1)."""
    tag = ask(server, POINTS).get("ETag")
    for value, status in ((tag, 200), (f'"a", {tag}', 200), ("*", 200), ('"a"', 412)):
        assert ask(server, POINTS, {"If-Match": value}).status == status, value


# ------------------------------------------------------------------------------ ranges


def _spans(size: int) -> dict[str, tuple[int, int] | None]:
    """Range headers with the bytes they ask for, None where there are none (416)."""
    return {
        "bytes=0-0": (0, 1),
        "bytes=0-": (0, size),
        "bytes=1-1": (1, 2),
        "bytes=7-99": (7, 100),
        f"bytes={size - 1}-": (size - 1, size),
        f"bytes={size - 1}-{size - 1}": (size - 1, size),
        f"bytes=0-{size - 1}": (0, size),
        f"bytes=0-{size}": (0, size),
        f"bytes=5-{size * 10}": (5, size),
        "bytes=-1": (size - 1, size),
        "bytes=-10": (size - 10, size),
        f"bytes=-{size}": (0, size),
        f"bytes=-{size + 1}": (0, size),
        f"bytes=-{size * 1000}": (0, size),
        f"bytes={size}-": None,
        f"bytes={size}-{size}": None,
        f"bytes={size * 10}-{size * 20}": None,
        "bytes=99999999999999999999-": None,
    }


def _check_ranges(get: Callable[..., Reply], path: str) -> None:
    whole = get(path)
    size = len(whole.body)
    for header, span in _spans(size).items():
        reply = get(path, {"Range": header})
        if span is None:
            assert reply.status == 416, header
            assert reply.get("Content-Range") == f"bytes */{size}"
            assert len(reply.body) < 100
            continue
        assert reply.status == 206, header
        assert reply.body == whole.body[slice(*span)], header
        assert reply.get("Content-Range") == f"bytes {span[0]}-{span[1] - 1}/{size}"
        assert reply.get("Content-Length") == str(span[1] - span[0])
        assert reply.get("ETag") == whole.get("ETag")
        assert reply.get("Content-Encoding") is None


@pytest.mark.parametrize("path", [POINTS, "/obs_manifest.json", "/atlas/var/gene0.values.u8.gz"])
def test_one_range(server: CellucidServer, path: str) -> None:
    with Client(server) as client:
        _check_ranges(client, path)


def test_the_last_no_bytes_are_none(server: CellucidServer) -> None:
    """A suffix of length 0 is well formed and cannot be satisfied (RFC 9110, 14.1.2)."""
    reply = ask(server, POINTS, {"Range": "bytes=-0"})
    assert reply.status == 416
    assert reply.body == b""


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,3-4",
        "bytes=0-1,0-1",
        "bytes=0-,-1",
        "bytes=" + ",".join(f"{i}-{i}" for i in range(2000)),
        "bytes=5-2",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=-",
        "bytes=--1",
        "bytes=+0-1",
        "bytes=0x0-0x1",
        "bytes=1_0-2_0",
        "bytes=0-1;",
        "bytes 0-1/10",
        "items=0-1",
        "0-1",
        "",
        "=",
        "bytes=0-" + "9" * 6000,
        "bytes=\xb2-",
        "bytes=\xff",
    ],
)
def test_several_ranges_and_nonsense_give_the_whole(server: CellucidServer, header: str) -> None:
    whole = ask(server, POINTS)
    reply = ask(server, POINTS, {"Range": header})
    if header.startswith("bytes=0-9999"):
        assert reply.status in (200, 206)  # an end of 6000 digits is an end behind the last byte
    else:
        assert reply.status == 200
        assert reply.get("Content-Range") is None
    assert reply.body == whole.body


def test_if_range(server: CellucidServer) -> None:
    whole = ask(server, POINTS)
    tag, date = whole.get("ETag"), whole.get("Last-Modified")
    for value, status in (
        (tag, 206),
        (date, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),  # a range of what is only much alike is none of this
        (formatdate(0, usegmt=True), 200),
        ("nonsense", 200),
        ("", 200),
        (f'"a", {tag}', 200),
    ):
        reply = ask(server, POINTS, {"Range": "bytes=3-5", "If-Range": value})
        assert reply.status == status, value
        assert reply.body == (whole.body[3:6] if status == 206 else whole.body)
        beyond = {"Range": f"bytes={len(whole.body)}-", "If-Range": value}
        assert ask(server, POINTS, beyond).status == (416 if status == 206 else 200)


def test_if_range_with_a_later_date_is_another_version(server: CellucidServer) -> None:
    """Dates of If-Range must be equal: a file put back from a backup is older, and another."""
    later = formatdate(time.time() + 1e6, usegmt=True)
    assert ask(server, POINTS, {"Range": "bytes=3-5", "If-Range": later}).status == 200


# ------------------------------------------------------------------------------ HEAD, keep-alive


@pytest.mark.parametrize(
    "path",
    [
        POINTS,
        "/obs_manifest.json",
        "/atlas/obs_manifest.json",
        "/",
        "/_cellucid/health",
        "/_cellucid/datasets",
        "/_cellucid/page/viewer.js",
        "/nothing",
        "/_cellucid/nothing",
        "/" + "a" * 3000,
        "/%ff",
    ],
)
def test_head_tells_what_get_would(server: CellucidServer, path: str) -> None:
    whole, head = ask(server, path), ask(server, path, method="HEAD")
    assert head.status == whole.status
    assert _told(head) == _told(whole)
    assert head.body == b""
    assert head.get("Content-Length") == str(len(whole.body))
    ranged = ask(server, path, {"Range": "bytes=0-0"}, method="HEAD")
    assert ranged.status == whole.status, "ranges are of GET only"


def test_many_requests_on_one_connection(server: CellucidServer) -> None:
    """Answers without a body, refusals and ranges leave the connection as it was."""
    tag = ask(server, POINTS).get("ETag")
    with Client(server) as client:
        client("/")
        address = client.address
        for _ in range(5):
            assert client(POINTS).status == 200
            assert client(POINTS, {"If-None-Match": str(tag)}).status == 304
            assert client(POINTS, {"Range": "bytes=0-3"}).status == 206
            assert client(POINTS, {"Range": "bytes=99999999-"}).status == 416
            assert client(POINTS, method="HEAD").status == 200
            assert client("/nothing").status == 404
            assert client("/nothing", method="HEAD").status == 404
            assert client("/", method="OPTIONS").status == 204
            assert client("/", method="PUT").status == 405
            assert client("/" + "a" * 3000).status == 414
            assert client("/", {"Host": "evil.com"}).status == 421
        assert client.address == address


def test_requests_sent_without_waiting(server: CellucidServer) -> None:
    """Pipelined requests are answered in their order."""
    whole = ask(server, POINTS)
    with Wire(server.port) as wire:
        paths = [POINTS, "/nothing", POINTS, "/_cellucid/health"] * 5
        wire.send(b"".join(request(server.port, path) for path in paths))
        for path in paths:
            reply = wire.reply()
            assert reply is not None
            assert reply.status == (404 if path == "/nothing" else 200)
            if path == POINTS:
                assert reply.body == whole.body


def test_a_client_of_http_1_0(server: CellucidServer) -> None:
    whole = ask(server, POINTS)
    with Wire(server.port) as wire:
        reply = wire.send(request(server.port, POINTS, version="1.0")).reply()
        assert reply is not None
        assert reply.status == 200
        assert reply.body == whole.body
        assert wire.rest() == b"", "the connection ends with the answer"


def test_many_clients_at_once(server: CellucidServer, exports: dict[str, Path]) -> None:
    wrong: list[object] = []

    def work() -> None:
        try:
            with Client(server) as client:
                everything(client, exports["eight"])
        except BaseException as error:  # noqa: BLE001  told by the test
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------ long files


@pytest.fixture
def long(mine: Path) -> Path:
    """An export with a payload that is longer than what is read at once."""
    assert BIG > 2 * internal("http.content").IN_MEMORY
    (mine / "points_3d.bin.gz").write_bytes(os.urandom(BIG))
    return mine


def test_a_long_file(long: Path) -> None:
    body = (long / "points_3d.bin.gz").read_bytes()
    with serving(long) as server, Client(server) as client:
        whole = client("/points_3d.bin.gz")
        assert whole.body == body
        assert whole.get("Content-Length") == str(BIG)
        assert whole.get("Content-Encoding") is None
        head = client("/points_3d.bin.gz", method="HEAD")
        assert _told(head) == _told(whole)
        tag = str(whole.get("ETag"))
        assert client("/points_3d.bin.gz", {"If-None-Match": tag}).status == 304
        _check_ranges(client, "/points_3d.bin.gz")
        for span in ((1_000_000, 9_999_999), (1_048_575, 1_048_577), (5, BIG - 5)):
            reply = client("/points_3d.bin.gz", {"Range": f"bytes={span[0]}-{span[1]}"})
            assert reply.status == 206
            assert reply.body == body[span[0] : span[1] + 1]
        assert client("/points_3d.bin.gz", {"Range": "bytes=0-0"}).body == body[:1]


def test_every_file_as_if_it_were_long(
    exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal("http.content"), "IN_MEMORY", 10)
    monkeypatch.setattr(internal("http.body"), "PIECE", 7)
    with serving(exports["plain"]) as server, Client(server) as client:
        everything(client, exports["plain"])
        _check_ranges(client, "/points_2d.bin")
        _check_ranges(client, "/obs_manifest.json")


def test_a_client_that_goes_away_in_the_middle(long: Path) -> None:
    """Files are closed, and the server goes on; that nothing is left open, the warnings tell."""
    with serving(long) as server:
        for _ in range(20):
            with Wire(server.port, buffer=4096) as wire:
                wire.send(request(server.port, "/points_3d.bin.gz"))
                wire.socket.recv(10)
        for _ in range(20):
            with Wire(server.port) as wire:
                wire.send(request(server.port, "/points_3d.bin.gz"))
        assert ask(server, POINTS).status == 200

        def still_open() -> list[str]:
            links = Path("/proc/self/fd").iterdir()
            return [str(link) for link in links if _points_to(link, long)]

        wait_until(lambda: not still_open(), "files stay open")


def _points_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


def test_a_long_file_that_is_replaced_while_it_is_sent(long: Path) -> None:
    """What began as the old bytes ends as the old bytes."""
    old = (long / "points_3d.bin.gz").read_bytes()
    with serving(long) as server, Wire(server.port, buffer=4096) as wire:
        wire.send(request(server.port, "/points_3d.bin.gz"))
        first = wire.socket.recv(10)
        (long / "new").write_bytes(os.urandom(BIG))
        (long / "new").replace(long / "points_3d.bin.gz")
        wire._left = first
        reply = wire.reply()
        assert reply is not None
        assert reply.body == old


def test_a_long_file_that_becomes_shorter_while_it_is_sent(long: Path) -> None:
    """The connection is cut, so that nobody takes a part for the whole."""
    with serving(long) as server:
        with Wire(server.port, buffer=4096) as wire:
            wire.send(request(server.port, "/points_3d.bin.gz"))
            got = len(wire.socket.recv(10))
            os.truncate(long / "points_3d.bin.gz", 12_000_000)
            got += len(wire.rest())
            assert got < BIG
        assert ask(server, POINTS).status == 200


# ------------------------------------------------------------------------------ changes


def swap(one: Path, two: Path) -> None:
    """Two folders change places, as exporting with --force does it."""
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def test_a_re_export_is_seen_at_once(mine: Path) -> None:
    """The manifests and payloads right after are the new ones, with other tags."""
    with serving(mine) as server, Client(server) as client:
        for seed in (1, 2, 3):
            everything(client, mine)
            before = {name: client("/" + name).get("ETag") for name in file_bytes(mine)}
            old = file_bytes(mine)
            make(mine, seed=seed)
            assert file_bytes(mine) != old
            for name in MANIFESTS:
                reply = client("/" + name, {"If-None-Match": str(before[name])})
                assert reply.status == 200, f"{name} is said to be the old one"
                assert reply.body == (mine / name).read_bytes()
            everything(client, mine)
            everything(client, mine, "/atlas/")
            for name, body in file_bytes(mine).items():
                assert client("/" + name).get("ETag") != before[name], name
                assert client("/" + name).body == body


def test_a_re_export_with_other_files_and_another_id(mine: Path) -> None:
    with serving(mine) as server, Client(server) as client:
        everything(client, mine)
        make(mine, dataset_id="renamed", **KINDS["plain"])
        everything(client, mine)
        everything(client, mine, "/renamed/")
        assert client(POINTS).status == 404, "the old export had it, the new one has not"
        assert client("/atlas/obs_manifest.json").status == 404
        listed = json.loads(client("/_cellucid/datasets").body)["datasets"]
        assert [entry["id"] for entry in listed] == ["renamed"]


def test_the_list_tells_of_a_re_export(mine: Path) -> None:
    """Without a manifest being asked for first."""
    with serving(mine) as server:
        make(mine, dataset_id="renamed", dataset_name="Other")

        def names() -> bool:
            listed = json.loads(ask(server, "/_cellucid/datasets").body)["datasets"]
            return [(entry["id"], entry["name"]) for entry in listed] == [("renamed", "Other")]

        wait_until(names, "the list stays the old one", 4)


def test_a_payload_alone_after_a_re_export(mine: Path) -> None:
    """Asked for without a manifest it may be the old one for a moment, but never fails."""
    with serving(mine) as server:
        everything(lambda path: ask(server, path), mine)
        make(mine, seed=1)
        new = (mine / POINTS[1:]).read_bytes()

        def arrived() -> bool:
            reply = ask(server, POINTS)
            assert reply.status == 200
            return reply.body == new

        wait_until(arrived, "the old payload stays")


def test_an_export_that_is_put_back(mine: Path, other: Path, tmp_path: Path) -> None:
    """Old, new, old again: what was read in between does not stay under the old manifests."""
    new = Path(shutil.copytree(other, tmp_path / "new"))
    with serving(mine) as server, Client(server) as client:
        assert client("/obs_manifest.json").status == 200
        swap(mine, new)
        names = [name for name in file_bytes(mine) if name not in MANIFESTS]
        for name in names:  # with no manifest between, as by a viewer that has them already
            assert client("/" + name).status == 200
        swap(mine, new)
        settled(client, mine)


def test_an_export_that_is_copied_over_file_by_file(mine: Path, other: Path) -> None:
    """By rsync, manifests first: a payload asked for half way is not the answer for ever."""
    with serving(mine) as server, Client(server) as client:
        everything(client, mine)
        names = sorted(file_bytes(other), key=lambda name: (name not in MANIFESTS, name))
        for name in names:
            shutil.copy2(other / name, mine / "copied")
            (mine / "copied").replace(mine / name)
            assert client("/obs_manifest.json").status == 200
            assert client("/" + names[-1]).status == 200
        settled(client, other)


def test_the_oracle_exports_over_an_export(tmp_path: Path) -> None:
    """It writes into the folder, file by file."""
    folder = tmp_path / "export"
    oracle_prepare(folder, **oracle_arguments(make_atlas()), dataset_id="d")
    with serving(folder) as server, Client(server) as client:
        everything(client, folder)
        oracle_prepare(folder, **oracle_arguments(make_atlas(seed=1)), dataset_id="d", force=True)
        everything(client, folder)


def test_a_link_that_is_turned_to_another_export(mine: Path, other: Path) -> None:
    """The usual way to publish: a link called latest."""
    link = mine.with_name("latest")
    link.symlink_to(mine)
    with serving(link) as server, Client(server) as client:
        everything(client, mine)
        turned = mine.with_name("turned")
        turned.symlink_to(other)
        turned.replace(link)
        everything(client, other)


def test_re_exports_while_clients_read(mine: Path, other: Path, tmp_path: Path) -> None:
    """No answer fails, none is a half; at the end all of it is of one export."""
    new = Path(shutil.copytree(other, tmp_path / "new"))
    both = [file_bytes(mine), file_bytes(new)]
    assert sorted(both[0]) == sorted(both[1])
    publish = import_module("cellucid_dask.exporter.recovery.publish")
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        try:
            with Client(server) as client:
                while not done.is_set():
                    for name in both[0]:
                        reply = client("/" + name)
                        if reply.status != 200 or all(reply.body != b[name] for b in both):
                            wrong.append((name, reply.status, reply.body[:100]))
        except BaseException as error:  # noqa: BLE001  told by the test
            wrong.append(error)

    with serving(mine) as server:
        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(60):
            publish.exchange(new, mine)
            ask(server, "/obs_manifest.json")
        done.set()
        for reader in readers:
            reader.join()
        assert wrong[:3] == []
        settled(lambda path: ask(server, path), mine)


def test_an_export_that_is_removed_and_comes_back(mine: Path) -> None:
    away = mine.with_name("away")
    with serving(mine) as server, Client(server) as client:
        everything(client, mine)
        mine.rename(away)
        for _ in range(3):
            for name in MANIFESTS:
                reply = client("/" + name)
                assert reply.status in (404, 503), name
                assert (reply.get("Content-Type") or "").startswith("text/plain")
                assert reply.body.count(b"\n") == 1
            for name in file_bytes(away):
                assert client("/" + name).status in (404, 503), f"{name} is not there any more"
        assert client("/").status == 200
        assert client("/_cellucid/health").status == 200
        assert client("/_cellucid/datasets").status in (200, 503)
        away.rename(mine)
        wait_until(lambda: client("/obs_manifest.json").status == 200, "it does not come back")
        everything(client, mine)


def test_an_export_that_breaks_and_is_repaired(mine: Path) -> None:
    manifest = mine / "obs_manifest.json"
    good = manifest.read_bytes()
    with serving(mine) as server, Client(server) as client:
        for bad in (b"", b"{", b"[]", b"{}", b"\xff"):
            manifest.write_bytes(bad)
            reply = client("/obs_manifest.json")
            assert reply.status == 503, bad[:10]
            assert reply.body.count(b"\n") == 1
            assert client("/_cellucid/health").status == 200
        manifest.write_bytes(good)
        everything(client, mine)


def test_a_long_payload_that_is_removed(long: Path) -> None:
    with serving(long) as server:
        assert ask(server, "/points_3d.bin.gz", method="HEAD").status == 200
        (long / "points_3d.bin.gz").unlink()
        for path in ("/points_3d.bin.gz", "/atlas/points_3d.bin.gz"):
            assert ask(server, path).status == 404
            assert ask(server, path, {"Range": "bytes=0-9"}).status == 404


def test_a_long_payload_that_is_replaced(long: Path) -> None:
    """By itself, the manifests as they were: the new one goes out."""
    with serving(long) as server:
        assert ask(server, "/points_3d.bin.gz").status == 200
        body = os.urandom(BIG)
        (long / "new").write_bytes(body)
        (long / "new").replace(long / "points_3d.bin.gz")
        reply = ask(server, "/points_3d.bin.gz")
        assert reply.status == 200
        assert reply.body == body


def test_a_re_export_of_a_long_payload(long: Path, tmp_path: Path) -> None:
    """The payload asked for right after, by a viewer that has the manifests already."""
    new = Path(shutil.copytree(long, tmp_path / "new"))
    (new / "points_3d.bin.gz").write_bytes(os.urandom(BIG))
    with serving(long) as server:
        assert ask(server, "/obs_manifest.json").status == 200
        assert ask(server, "/points_3d.bin.gz").status == 200
        swap(long, new)
        reply = ask(server, "/points_3d.bin.gz")
        assert reply.status == 200
        assert reply.body == (long / "points_3d.bin.gz").read_bytes()


# ------------------------------------------------------------------------------ a folder of them


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are listed again soon."""
    monkeypatch.setattr(internal("datasets.collection"), "LIST_AGAIN", 0.2)


NAMES = (
    "one",
    "with space",
    "ünï",
    "日本\u3000語",
    "a&b=c;d+e",
    "per%20cent",
    "what?",
    "sh#rp",
    "a.b-c_d",
)


@pytest.fixture
def folder(exports: dict[str, Path], tmp_path: Path) -> Path:
    """Exports under names of all kinds, each with an id of its own."""
    root = tmp_path / "root"
    for number, name in enumerate(NAMES):
        shutil.copytree(exports["eight"], root / name)
        rewrite(root / name / "dataset_identity.json", id=f"id{number}", name=f"Atlas of {name}")
    return root


def rewrite(path: Path, **changes: Any) -> None:
    """Other values in a manifest; None leaves a key out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def listed(server: CellucidServer) -> dict[str, dict[str, Any]]:
    """Entries of the list by their paths."""
    reply = ask(server, "/_cellucid/datasets")
    assert reply.status == 200
    return {entry["path"]: entry for entry in json.loads(reply.body)["datasets"]}


def test_each_export_under_its_name_and_its_id(folder: Path) -> None:
    with serving(folder) as server, Client(server) as client:
        entries = listed(server)
        assert len(entries) == len(NAMES)
        for number, name in enumerate(NAMES):
            path = f"/{quote(name)}/"
            assert entries[path]["id"] == f"id{number}"
            assert entries[path]["name"] == f"Atlas of {name}"
            assert "error" not in entries[path]
            everything(client, folder / name, path)
            everything(client, folder / name, f"/id{number}/")
            assert client(f"/{quote(name)}").status == 404
            assert client(path).status == 404
        for manifest in MANIFESTS:
            assert client("/" + manifest).status == 404
        assert client(POINTS).status == 404
        assert json.loads(client("/_cellucid/health").body)["type"] == "exported"


def test_the_catalog_of_a_folder(folder: Path) -> None:
    """The written one goes out as it is; else one is made of what is there."""
    with serving(folder) as server:
        made = json.loads(ask(server, "/datasets.json").body)
        assert made["version"] == 1
        assert {entry["path"] for entry in made["datasets"]} == {f"{name}/" for name in NAMES}
        assert made["default"] in {entry["id"] for entry in made["datasets"]}
        for entry in made["datasets"]:
            assert {"id", "path", "name", "n_cells", "n_genes"} <= set(entry)
        (folder / "datasets.json").write_bytes(b'{"version": 1, "mine": true}')
        assert ask(server, "/datasets.json").body == b'{"version": 1, "mine": true}'
        outside = folder.with_name("outside.json")
        outside.write_bytes(b'{"outside": true}')
        (folder / "datasets.json").unlink()
        (folder / "datasets.json").symlink_to(outside)
        assert b"outside" not in ask(server, "/datasets.json").body


BROKEN: dict[str, Callable[[Path], object]] = {
    "no identity": lambda path: (path / "dataset_identity.json").unlink(),
    "no obs manifest": lambda path: (path / "obs_manifest.json").unlink(),
    "empty identity": lambda path: (path / "dataset_identity.json").write_bytes(b""),
    "bad json": lambda path: (path / "dataset_identity.json").write_bytes(b'{"id": '),
    "no utf-8": lambda path: (path / "obs_manifest.json").write_bytes(b'{"a": "\xff\xfe"}'),
    "a list": lambda path: (path / "dataset_identity.json").write_bytes(b"[1]"),
    "no id": lambda path: rewrite(path / "dataset_identity.json", id=None),
    "id no text": lambda path: rewrite(path / "dataset_identity.json", id=7),
    "no name": lambda path: rewrite(path / "dataset_identity.json", name=None),
    "no embeddings": lambda path: rewrite(path / "dataset_identity.json", embeddings=None),
    "files a list": lambda path: rewrite(
        path / "dataset_identity.json", embeddings={"files": ["points_2d.bin"]}
    ),
    "names the parent": lambda path: rewrite(
        path / "dataset_identity.json", embeddings={"files": {"2d": "../one/points_2d.bin.gz"}}
    ),
    "names the root": lambda path: rewrite(
        path / "dataset_identity.json", embeddings={"files": {"2d": "/etc/passwd"}}
    ),
    "names a number": lambda path: rewrite(
        path / "dataset_identity.json", embeddings={"files": {"2d": 5}}
    ),
    "vectors a list": lambda path: rewrite(path / "dataset_identity.json", vector_fields=[1]),
    "fields a number": lambda path: rewrite(path / "obs_manifest.json", _continuousFields=5),
    "field empty": lambda path: rewrite(path / "obs_manifest.json", _categoricalFields=[[]]),
    "field no list": lambda path: rewrite(path / "obs_manifest.json", _categoricalFields=[None]),
    "dtype unknown": lambda path: rewrite(
        path / "obs_manifest.json", _categoricalFields=[["a", ["x"], "uint64", 1, {}]]
    ),
    "no schemas": lambda path: rewrite(path / "obs_manifest.json", _obsSchemas=None),
    "pattern of elsewhere": lambda path: rewrite(
        path / "var_manifest.json", _varSchema={"pathPattern": "../{key}"}
    ),
    "genes a number": lambda path: rewrite(path / "var_manifest.json", fields=5),
    "gene a number": lambda path: rewrite(path / "var_manifest.json", fields=[5]),
    "var a folder": lambda path: (
        (path / "var_manifest.json").unlink(),
        (path / "var_manifest.json").mkdir(),
    ),
    "edges elsewhere": lambda path: rewrite(
        path / "connectivity_manifest.json", sourcesPath="/dev/zero"
    ),
    "no edges": lambda path: rewrite(path / "connectivity_manifest.json", sourcesPath=None),
}
DEEP: dict[str, Callable[[Path], object]] = {
    "deep json": lambda path: (path / "dataset_identity.json").write_bytes(b"[" * 200_000),
    "deep obs": lambda path: (path / "obs_manifest.json").write_bytes(b'{"a":' * 200_000),
}


def test_broken_exports_are_listed_with_a_reason(exports: dict[str, Path], tmp_path: Path) -> None:
    """They stop no other, and what is told of them holds no path of this machine."""
    root = tmp_path / "root"
    shutil.copytree(exports["eight"], root / "good")
    for name, spoil in BROKEN.items():
        shutil.copytree(exports["eight"], root / name)
        spoil(root / name)
    with serving(root) as server, Client(server) as client:
        entries = listed(server)
        assert set(entries) == {f"/{quote(name)}/" for name in ("good", *BROKEN)}
        for name in BROKEN:
            entry = entries[f"/{quote(name)}/"]
            assert entry["error"], name
            assert str(tmp_path) not in entry["error"]
            assert "\n" not in entry["error"]
            for file in ("dataset_identity.json", "obs_manifest.json", "points_2d.bin.gz"):
                assert client(f"/{quote(name)}/{file}").status in (404, 503), (name, file)
        everything(client, root / "good", "/good/")
        catalog = json.loads(client("/datasets.json").body)
        assert [entry["path"] for entry in catalog["datasets"]] == ["good/"]


@pytest.mark.parametrize("name", DEEP)
def test_json_that_is_too_deep_stops_no_other_export(folder: Path, name: str) -> None:
    DEEP[name](folder / "one")
    with serving(folder) as server:
        assert listed(server)["/one/"]["error"]
        assert ask(server, "/one/obs_manifest.json").status in (404, 503)
        assert ask(server, "/id1/obs_manifest.json").status == 200


@pytest.mark.parametrize("name", [*BROKEN, *DEEP])
def test_a_broken_export_alone_is_refused(mine: Path, name: str) -> None:
    (BROKEN | DEEP)[name](mine)
    with pytest.raises(CellucidDaskError) as told:
        CellucidServer(mine, port=0, quiet=True)
    assert len(str(told.value)) < 2000


def test_nothing_to_serve_is_refused(tmp_path: Path, exports: dict[str, Path]) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(CellucidDaskError, match="no export"):
        CellucidServer(tmp_path / "empty", port=0, quiet=True)
    (tmp_path / "bad" / "one").mkdir(parents=True)
    (tmp_path / "bad" / "one" / "dataset_identity.json").write_text("{")
    with pytest.raises(CellucidDaskError, match="one"):
        CellucidServer(tmp_path / "bad", port=0, quiet=True)
    for path in (tmp_path / "missing", exports["eight"] / "obs_manifest.json"):
        with pytest.raises(CellucidDaskError):
            CellucidServer(path, port=0, quiet=True)


def test_folders_that_are_hidden_or_set_aside(folder: Path) -> None:
    for name in (".hidden", "one.before-20260131T120000Z", "one.before-20260131T120000Z-2"):
        shutil.copytree(folder / "one", folder / name)
        rewrite(folder / name / "dataset_identity.json", id="secret")
    (folder / "no export").mkdir()
    (folder / "no export" / "points_2d.bin").write_bytes(b"stray")
    (folder / "file.txt").write_bytes(b"stray")
    with serving(folder) as server:
        assert set(listed(server)) == {f"/{quote(name)}/" for name in NAMES}
        for name in (".hidden", "one.before-20260131T120000Z", "secret", "no%20export"):
            assert ask(server, f"/{name}/dataset_identity.json").status == 404
            assert ask(server, f"/{name}/points_2d.bin").status == 404
        assert ask(server, "/file.txt").status == 404


@pytest.mark.usefixtures("quick")
def test_an_export_that_comes_and_one_that_goes(folder: Path, other: Path) -> None:
    with serving(folder) as server:
        assert ask(server, "/new/obs_manifest.json").status == 404
        shutil.copytree(other, folder / "new")
        rewrite(folder / "new" / "dataset_identity.json", id="new id")
        shutil.rmtree(folder / "what?")
        wait_until(lambda: "/new/" in listed(server), "the new export is not listed")
        wait_until(lambda: ask(server, "/new/obs_manifest.json").status == 200, "it is not served")
        everything(lambda path: ask(server, path), folder / "new", "/new/")
        everything(lambda path: ask(server, path), folder / "new", "/new%20id/")
        assert "/what%3F/" not in listed(server)
        assert ask(server, "/what%3F/obs_manifest.json").status == 404
        everything(lambda path: ask(server, path), folder / "one", "/one/")


@pytest.mark.usefixtures("quick")
def test_a_new_export_is_found_without_the_list(folder: Path, other: Path) -> None:
    with serving(folder) as server:
        shutil.copytree(other, folder / "new")
        wait_until(
            lambda: ask(server, "/new/dataset_identity.json").status == 200, "it is not found"
        )


def test_a_re_export_within_a_folder(folder: Path) -> None:
    with serving(folder) as server, Client(server) as client:
        everything(client, folder / "one", "/one/")
        make(folder / "one", seed=4, dataset_id="id0")
        everything(client, folder / "one", "/one/")
        everything(client, folder / "one", "/id0/")


@pytest.mark.usefixtures("quick")
def test_an_export_of_a_folder_breaks_and_is_repaired(folder: Path) -> None:
    manifest = folder / "one" / "obs_manifest.json"
    good = manifest.read_bytes()
    with serving(folder) as server:
        manifest.write_bytes(b"{")
        wait_until(lambda: "error" in listed(server)["/one/"], "it is not told")
        assert ask(server, "/one/obs_manifest.json").status in (404, 503)
        assert ask(server, "/with%20space/obs_manifest.json").status == 200
        manifest.write_bytes(good)
        wait_until(lambda: "error" not in listed(server)["/one/"], "it is not told")
        assert ask(server, "/one/obs_manifest.json").status == 200


def test_links_among_the_exports(folder: Path, exports: dict[str, Path]) -> None:
    (folder / "out").symlink_to(exports["plain"])
    (folder / "in").symlink_to("one")
    (folder / "nowhere").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    with serving(folder) as server:
        entries = listed(server)
        assert "link" in entries["/out/"]["error"]
        assert "error" not in entries["/in/"]
        for name in ("dataset_identity.json", "points_2d.bin"):
            assert ask(server, f"/out/{name}").status == 404
            assert ask(server, f"/oracle-plain/{name}").status == 404
        everything(lambda path: ask(server, path), folder / "one", "/in/")


@pytest.mark.usefixtures("quick")
def test_a_link_among_the_exports_that_is_turned(folder: Path, other: Path) -> None:
    shutil.copytree(other, folder / "second")
    link = folder / "latest"
    link.symlink_to("one")
    with serving(folder) as server, Client(server) as client:
        everything(client, folder / "one", "/latest/")
        link.unlink()
        link.symlink_to("second")
        body = (other / "obs_manifest.json").read_bytes()
        wait_until(
            lambda: client("/latest/obs_manifest.json").body == body, "the link is not followed", 5
        )
        everything(client, folder / "second", "/latest/")


def test_links_within_an_export_of_a_folder_do_not_reach_its_neighbours(folder: Path) -> None:
    """Each export is a room of its own."""
    (folder / "one" / "points_2d.bin.gz").unlink()
    (folder / "one" / "points_2d.bin.gz").symlink_to("../with space/points_2d.bin.gz")
    with serving(folder) as server:
        assert ask(server, "/one/points_2d.bin.gz").status == 404


@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_removed_as_a_whole(folder: Path) -> None:
    away = folder.with_name("away")
    with serving(folder) as server:
        folder.rename(away)

        def gone() -> bool:
            for path in ("/_cellucid/datasets", "/_cellucid/info", "/datasets.json"):
                assert ask(server, path).status in (200, 404, 503), path
            for name in MANIFESTS[:2]:
                assert ask(server, f"/new/{name}").status in (404, 503)
            return ask(server, "/one/obs_manifest.json").status in (404, 503)

        end = time.monotonic() + 0.6  # until the folder is listed again
        while time.monotonic() < end:
            assert gone()
        assert ask(server, "/_cellucid/health").status == 200
        away.rename(folder)
        wait_until(lambda: ask(server, "/one/obs_manifest.json").status == 200, "it stays away")


def test_names_that_are_no_text(folder: Path) -> None:
    """A name on disk is any bytes; one that is no UTF-8 stops no other export."""
    odd = os.fsencode(folder) + b"/caf\xe9"
    try:
        shutil.copytree(os.fsencode(folder / "one"), odd)
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error.strerror})")
    with serving(folder) as server:
        assert {f"/{quote(name)}/" for name in NAMES} <= set(listed(server))
        everything(lambda path: ask(server, path), folder / "one", "/one/")
        assert ask(server, "/caf%E9/obs_manifest.json").status in (200, 400, 404)


def test_a_folder_named_like_a_service_path(folder: Path) -> None:
    """Whatever the list says is at a path is at that path."""
    for name in ("_cellucid", "index.html", "datasets.json", "obs_manifest.json"):
        shutil.copytree(folder / "one", folder / name)
    with serving(folder) as server:
        for path, entry in listed(server).items():
            if "error" not in entry:
                assert ask(server, f"{path}obs_manifest.json").status == 200, path


def test_two_exports_with_one_id(folder: Path) -> None:
    """The folder tells them apart; the id is that of the first, and stays so."""
    make(folder / "ünï", seed=5, dataset_id="id0")
    with serving(folder) as server, Client(server) as client:
        everything(client, folder / "one", "/one/")
        everything(client, folder / "ünï", f"/{quote('ünï')}/")
        first = client("/id0/obs_manifest.json").body
        assert first in [(folder / n / "obs_manifest.json").read_bytes() for n in ("one", "ünï")]
        chosen = "one" if first == (folder / "one" / "obs_manifest.json").read_bytes() else "ünï"
        everything(client, folder / chosen, "/id0/")


# --------------------------------------------------------------------------- at once


def test_an_export_is_served_without_what_reads_data(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    """To import it takes longer than all else until a server answers."""
    done = script_anew(
        "import sys\n"
        "from cellucid_dask.server.wsgi import create_app\n"
        f"create_app({str(exports['eight'])!r})\n"
        "slow = {'anndata', 'dask.array', 'h5py', 'numpy', 'urllib3', 'zarr'}\n"
        "print(*slow & sys.modules.keys())\n",
        tmp_path,
    )
    assert (done.code, done.out) == (0, "\n"), done.err
