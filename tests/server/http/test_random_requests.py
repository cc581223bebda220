"""Random paths and headers: a clean response to each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import file_bytes
from serving import MANIFESTS, POINTS, Reply, Wire, ask, internal, request, serving

from cellucid_dask import CellucidServer
from cellucid_dask.server.http.pages import page_file

FUZZ = settings(
    max_examples=300,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


PIECES = [
    "..",
    ".",
    "",
    "...",
    "%2e",
    "%2e%2e",
    "%2E.",
    "%2f",
    "%5c",
    "\\",
    "%00",
    "\0",
    "%",
    "%z",
    "%u002e",
    "%c0%ae",
    "%ff",
    "\xff",
    "é",
    "%C3%A9",
    "日",
    " ",
    "%20",
    "%0d%0a",
    "\r\n",
    ";",
    "?",
    "#",
    "&",
    "=",
    "*",
    ":",
    "@",
    "~",
    "_cellucid",
    "health",
    "info",
    "datasets",
    "page",
    "viewer.js",
    "zarr",
    "zarr.json",
    "events",
    "index.html",
    "atlas",
    "one",
    "two",
    "export",
    "stray.txt",
    "obs",
    "var",
    "vectors",
    "connectivity",
    "etc",
    "passwd",
    "http://localhost",
    "datasets.json",
    *MANIFESTS,
    "points_2d.bin.gz",
    "obs/group.codes.u8.gz",
    "group.codes.u8.gz",
    "gene0.values.u8.gz",
    "var/gene0.values.u8.gz",
]


ALLOWED_ORIGIN = "https://cellucid.com"  # and http://localhost:1
STATUSES = {200, 204, 206, 304, 400, 401, 404, 405, 412, 413, 414, 416, 421, 431, 501, 505}


targets = st.lists(
    st.tuples(
        st.sampled_from(["/", "/", "/", "", "//", "%2f", "/./", "/../"]),
        st.one_of(st.sampled_from(PIECES), st.text(max_size=6)),
    ),
    max_size=7,
).map(lambda parts: "".join(sep + piece for sep, piece in parts))


class Fuzzed:
    """A server of an export, one of a folder of two, and all bodies that they may send."""

    def __init__(self, servers: tuple[CellucidServer, CellucidServer], bodies: set[bytes]) -> None:
        self.servers, self.bodies = servers, bodies


@pytest.fixture(scope="module")
def fuzzed(
    atlas_export: Path, impatient_server: CellucidServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fuzzed]:
    """The servers that get random requests."""
    root = tmp_path_factory.mktemp("fuzz") / "root"
    for name in ("one", "two"):
        shutil.copytree(atlas_export, root / name)
    (root / "stray.txt").write_text("a byte from outside")
    page = Path(internal("app").__file__ or "").parent / "page"
    bodies = {path.read_bytes() for path in page.rglob("*") if path.is_file()}
    index = page_file("index.html")
    assert index is not None
    bodies.add(index.body)
    bodies |= {body for name, body in file_bytes(atlas_export).items() if name != "stray.txt"}
    with serving(root) as several:
        yield Fuzzed((impatient_server, several), bodies)


def _is_of_the_service(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False
    known = {"status", "type", "version", "cache", "datasets", "default", "delivered"}
    return isinstance(told, dict) and set(told) <= known


def _check(reply: Reply | None, bodies: set[bytes]) -> None:
    if reply is None:
        return
    told = f"{reply.status} {reply.headers} {reply.body[:200]!r}"
    assert reply.status in STATUSES, told
    assert b"outside" not in reply.body
    if reply.status == 200 and reply.body:
        assert reply.body in bodies or _is_of_the_service(reply.body), told
    if reply.status >= 400:
        assert reply.body.count(b"\n") <= 1
        assert len(reply.body) < 200


@FUZZ
@given(target=targets, which=st.integers(0, 1), slash=st.booleans())
def test_random_path_gets_a_clean_response(
    fuzzed: Fuzzed, target: str, which: int, slash: bool
) -> None:
    raw = (
        (("/" if slash else "") + target)
        .encode("utf-8", "surrogatepass")
        .replace(b"\xc3\xbf", b"\xff")
    )
    port = fuzzed.servers[which].port
    with Wire(port) as wire:
        wire.send(request(port, raw, {"Connection": "close"}))
        _check(wire.reply(), fuzzed.bodies)


junk = st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n\0"), max_size=30)


numbers = st.one_of(
    st.integers(0, 3000).map(str), st.sampled_from(["", "-1", "9" * 30, "a", " 1 "])
)


tags = st.sampled_from(['"a"', 'W/"a"', "*", '"', "", "a", '"a', "TAG", "W/TAG", '"a", TAG', ",,"])


dates = st.sampled_from(
    [
        "Sat, 21 Nov 2026 10:29:34 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sat, 21 Nov 9999 10:29:34 GMT",
        "Sat, 21 Nov 2026 10:29:34 +9999",
        "Sat, 99 Xyz 0000 99:99:99 GMT",
        "1 Jan 1 0:0:0 +2359",
        "0",
    ]
)


origins = st.sampled_from(
    ["http://localhost:1", "https://cellucid.com", "https://evil.com", "null"]
)


HEADERS: dict[str, Any] = {
    "Range": st.one_of(
        st.tuples(numbers, numbers).map(lambda ends: f"bytes={ends[0]}-{ends[1]}"),
        st.lists(st.tuples(numbers, numbers), max_size=4).map(
            lambda spans: "bytes=" + ",".join(f"{a}-{b}" for a, b in spans)
        ),
        junk,
    ),
    "If-None-Match": st.one_of(tags, junk),
    "If-Match": st.one_of(tags, junk),
    "If-Range": st.one_of(tags, dates, junk),
    "If-Modified-Since": st.one_of(dates, junk),
    "If-Unmodified-Since": st.one_of(dates, junk),
    "Accept-Encoding": st.one_of(
        st.sampled_from(
            ["gzip", "gzip;q=0", "*", "identity;q=0", "gzip;q=x", "br, gzip;q=1e9", ";"]
        ),
        junk,
    ),
    "Host": st.one_of(st.sampled_from(["localhost", "127.0.0.1:1", "[::1]", "evil.com", ""]), junk),
    "Origin": st.one_of(origins, junk),
    "Cookie": junk,
    "Authorization": st.one_of(st.just("Bearer x"), junk),
    "Content-Length": st.one_of(numbers, junk),
    "Transfer-Encoding": st.sampled_from(["chunked", "identity", "x, chunked", "gzip"]),
    "Connection": st.sampled_from(["close", "keep-alive", "Upgrade", "x"]),
    "Upgrade": st.sampled_from(["websocket", "h2c", "x"]),
    "Expect": st.sampled_from(["100-continue", "x"]),
    "X-Forwarded-For": junk,
    "X-HTTP-Method-Override": st.just("DELETE"),
}


methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "X"])


header_sets = st.lists(st.sampled_from(sorted(HEADERS)), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: HEADERS[name] for name in names})
)


def _exchange(port: int, path: str, method: str, headers: dict[str, str], tag: str) -> Reply | None:
    given = {name: value.replace("TAG", tag) for name, value in headers.items()}
    with Wire(port) as wire:
        wire.send(request(port, path, given, method=method))
        reply = wire.reply(method)
        while reply is not None and reply.status == 100:
            reply = wire.reply(method)
        return reply


@FUZZ
@given(
    path=st.sampled_from(
        [POINTS, "/obs_manifest.json", "/", "/_cellucid/page/viewer.js", "/nothing"]
    ),
    method=methods,
    headers=header_sets,
)
def test_random_headers_get_a_clean_response(
    fuzzed: Fuzzed, path: str, method: str, headers: dict[str, str]
) -> None:
    server = fuzzed.servers[0]
    whole = ask(server, path)
    reply = _exchange(server.port, path, method, headers, whole.get("ETag") or '"x"')
    _check(reply, fuzzed.bodies)
    if reply is None:
        return
    if reply.status == 200 and method == "GET":
        assert reply.body == whole.body
    if reply.status == 206:
        first, last, size = (
            int(n)
            for n in (reply.get("Content-Range") or "")
            .removeprefix("bytes ")
            .replace("/", "-")
            .split("-")
        )
        assert size == len(whole.body)
        assert reply.body == whole.body[first : last + 1]
    if headers.get("Origin", ALLOWED_ORIGIN) != ALLOWED_ORIGIN:
        echoed = reply.get("Access-Control-Allow-Origin")
        assert echoed in (None, "http://localhost:1")
        assert echoed is None or echoed == headers["Origin"].strip()


@FUZZ
@given(
    path=st.sampled_from([POINTS, "/obs_manifest.json", "/", "/nothing", "/_cellucid/info"]),
    query=st.one_of(st.sampled_from(["", "token=", "token=x", "token=%ff"]), junk),
    method=methods,
    headers=header_sets,
)
def test_random_headers_do_not_replace_the_token(
    token_server: CellucidServer, path: str, query: str, method: str, headers: dict[str, str]
) -> None:
    target = path + ("?" + query.replace(" ", "+") if query else "")
    reply = _exchange(token_server.port, target, method, headers, '"x"')
    if reply is not None and method != "OPTIONS":
        assert reply.status in (400, 401, 404, 413, 414, 421, 431), reply
        assert reply.get("Set-Cookie") is None
        assert reply.status != 404 or "#" in target or "?" in target
