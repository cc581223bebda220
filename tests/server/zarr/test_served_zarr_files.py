"""The files of a zarr store over HTTP: as they are, and no others."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served_zarr import CHUNK, METADATA, ROOT, atlas_of, members, zipped
from serving import Client, Reply, ask, serving
from versions import write_zarr


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


def is_error(reply: Reply) -> bool:
    """Whether a reader sees that a chunk is there: it would take one that is absent for zeros."""
    return reply.status == 503 and SECRET not in reply.body


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
    for key in ("linked/0", "linked/zarr.json", "linked/.zgroup",
                "obsm/up/zarr.json", "obsm/up/.zgroup", "obsm/up/0"):  # fmt: skip
        assert refused(ask(server, f"{ROOT}/{key}")), key
    for key in ("X/data/777", "X/data/778", "X/data/780"):
        assert is_error(ask(server, f"{ROOT}/{key}")), key


def test_a_link_onto_itself_is_no_chunk(littered: tuple[Any, Path]) -> None:
    server, path = littered
    (path / "X" / "data" / "779").symlink_to(path / "X" / "data" / "779")
    assert is_error(ask(server, f"{ROOT}/X/data/779"))


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
    assert refused(ask(server, f"{ROOT}/X/data/888"))


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


def test_a_damaged_chunk_of_an_archive_is_not_absent(tmp_path: Path) -> None:
    path = write_zarr(atlas_of(), tmp_path / "a.zarr.zip", "v2")
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("X/data/0")
    damaged = bytearray(path.read_bytes())
    damaged[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 1
    path.write_bytes(damaged)
    with serving(path, index=False) as server:
        assert is_error(ask(server, f"{ROOT}/X/data/0"))
        assert ask(server, f"{ROOT}/X/data/.zarray").status == 200
