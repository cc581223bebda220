"""Live data over HTTP: gzip, conditions, ranges and entity tags."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from live_serving import GENES, Save, atlas_of, expected
from serving import ask, serving

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
