"""What an inventory may hold: it comes from another machine, and decides what is stored."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory_site import INVENTORY, build_files, entry, inventory_of

from cellucid_dask.server.hosted.inventory import (
    BYTES,
    FILE_BYTES,
    FILES,
    TOTAL,
    InventoryError,
    parse_inventory,
)

GOOD = inventory_of("one", build_files("one"))
INDEX = entry("index.html", b"index")


def listed(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"version": 1, "build_id": "one", "assets": list(entries)}).encode()


def refusal(body: bytes) -> str:
    with pytest.raises(InventoryError) as caught:
        parse_inventory(body)
    text = str(caught.value)
    assert len(text) < 700
    assert text.isascii()
    assert text.isprintable()
    return text


def test_a_good_one_is_read() -> None:
    body = json.dumps(GOOD).encode()
    found = parse_inventory(body)
    assert (found.build, found.body) == ("one", body)
    assert list(found.assets) == [asset["path"] for asset in GOOD["assets"]]
    assert found.size == sum(asset["bytes"] for asset in GOOD["assets"])
    assert found.assets["assets/js/modules/.gitkeep"].matches(b"")
    assert not found.assets["index.html"].matches(b"")
    more = GOOD | {"made_with": "a later version", "assets": [INDEX | {"integrity": "x"}]}
    assert list(parse_inventory(json.dumps(more).encode()).assets) == ["index.html"]


PATHS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../index.html",
    "assets/../../up",
    "assets/..",
    "assets/./x.js",
    "assets//x.js",
    "assets/",
    "assets/x.",
    "./x.js",
    "C:/x.js",
    "C:x.js",
    "\\\\host\\share",
    "assets\\x.js",
    "assets/%2e%2e/x.js",
    "assets/x.js\0",
    "assets/x.js\n",
    "assets/a b.js",
    "assets/x.js?y",
    "assets/x.js#y",
    "assets/ä.js",
    "assets/\u202ex.js",
    "\ud800",
    "http://host/x.js",
    "//host/x.js",
    "assets/CON",
    "assets/nul.js",
    "COM1.txt",
    "x" * 301,
    "x/" * 150 + "x",
    INVENTORY,
    "_cellucid/health",
    None,
    7,
    ["assets/x.js"],
]


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_paths_that_are_refused(path: Any) -> None:
    assert "has a path that " in refusal(listed(entry("0.js", b"") | {"path": path}, INDEX))


WRONG = [
    ("sha256", [None, 1, "", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"], "no sum of"),
    ("bytes", [None, -1, 1.0, True, "7", FILE_BYTES + 1, 10**30, [1]], "is not a size up to"),
    (
        "content_type",
        [
            None,
            "",
            "text",
            "TEXT/CSS",
            "text/css;charset=utf-8",
            "text/css\r\nX: y",
            "a/b" * 200,
            1,
        ],
        "no media type",
    ),
]


@pytest.mark.parametrize(("key", "values", "told"), WRONG, ids=[key for key, *_ in WRONG])
def test_values_that_are_refused(key: str, values: list[Any], told: str) -> None:
    for value in values:
        assert told in refusal(listed(INDEX | {key: value})), value
    assert told in refusal(listed({k: v for k, v in INDEX.items() if k != key}))


def test_lists_that_are_refused() -> None:
    one, two = entry("a.js", b"1"), entry("b.js", b"2")
    assert "does not list index.html" in refusal(listed(one))
    assert "has a.js twice" in refusal(listed(one, one, INDEX))
    assert "is not sorted: a.js comes after b.js" in refusal(listed(two, one, INDEX))
    folded = (entry("A.js", b""), entry("a.js", b""), INDEX)
    assert "differ in case only: A.js and a.js" in refusal(listed(*folded))
    assert "an entry that is no object" in refusal(b'{"version":1,"build_id":"x","assets":[[]]}')
    for assets in ("null", "{}", '"index.html"', "1"):
        raw = f'{{"version":1,"build_id":"x","assets":{assets}}}'.encode()
        assert "lists no files" in refusal(raw)
    large = [entry(f"{n:03}.bin", b"") | {"bytes": FILE_BYTES} for n in range(TOTAL // FILE_BYTES)]
    assert "bytes, more than 512,000,000" in refusal(listed(*large, INDEX))
    many = b'{"version":1,"build_id":"x","assets":[' + b"0," * FILES + b"0]}"
    assert "lists 20,001 files, more than 20,000" in refusal(many)


def test_documents_that_are_refused() -> None:
    assert refusal(b"0" * (BYTES + 1)) == "has 4,000,001 bytes, more than 4,000,000"
    for raw in (b"", b"\xff", b"{", b"<html>", b"\xef\xbb\xbf{}", b"{}x", b"1" * 5000, b"nul"):
        assert refusal(raw) == "is not JSON", raw
    assert refusal(json.dumps(GOOD).encode("utf-16")) == "is not JSON"
    for raw in (b"[" * 1_000_000, b'{"a":' * 600_000, b'{"assets":' + b"[" * 900_000):
        assert refusal(raw) == "is nested too deep"
    for raw in (b"[]", b"null", b'"text"', b"3"):
        assert refusal(raw) == "is no object"
    assert "twice in one object" in refusal(b'{"version":1,"version":1}')
    for version in ("", '"version":"1"', '"version":1.0', '"version":true', '"version":null'):
        assert refusal(f"{{{version}}}".encode()) == "has no version"
    assert refusal(b'{"version":2}') == "has version 2; this program reads version 1"
    assert "has version -1" in refusal(b'{"version":-1}')
    assert "has version 999" in refusal(b'{"version":' + b"9" * 4000 + b"}")
    for build in ("", "null", '""', "7", "[]"):
        raw = b'{"version":1' + (f',"build_id":{build}'.encode() if build else b"") + b"}"
        assert refusal(raw) == "names no build"


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
values = (
    plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(max_size=3), plain, max_size=2)
)


@given(st.sampled_from(["version", "build_id", "assets"]), values)
def test_any_value_at_the_top_is_read_or_refused(key: str, value: Any) -> None:
    body = json.dumps(GOOD | {key: value}).encode()
    if key == "build_id" and isinstance(value, str) and value:
        assert parse_inventory(body).build == value
    elif value != GOOD[key] or type(value) is not type(GOOD[key]):
        refusal(body)


@given(st.sampled_from(["path", "sha256", "bytes", "content_type"]), values)
def test_any_value_of_an_entry_is_read_or_refused(key: str, value: Any) -> None:
    body = json.dumps(GOOD | {"assets": [INDEX, entry("z.js", b"z") | {key: value}]}).encode()
    try:
        found = parse_inventory(body)
    except InventoryError:
        refusal(body)
    else:
        assert len(found.assets) == 2


parts = st.sampled_from(["a", ".", "..", "/", "%", "\\", "\0", ":", "é", "A", ".js", "~", " "])


@given(st.lists(parts, max_size=8).map("".join))
def test_a_path_that_is_taken_is_written_in_one_way(path: str) -> None:
    try:
        parse_inventory(listed(entry("0", b"") | {"path": path}, INDEX))
    except InventoryError as error:
        if "sorted" not in str(error):
            return
    assert urlsplit(f"http://host/{path}") == ("http", "host", f"/{path}", "", "")
    pieces = PurePosixPath(path).parts
    assert "/".join(pieces) == path
    assert not {".", ".."} & set(pieces)
