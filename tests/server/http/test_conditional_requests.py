"""Conditional requests: entity tags and dates."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest
from serving import POINTS, ask

from cellucid_dask import CellucidServer


@pytest.mark.parametrize(
    "path", [POINTS, "/obs_manifest.json", "/", "/_cellucid/page/styles/base.css"]
)
def test_if_none_match_gives_304_for_the_same_etag(server: CellucidServer, path: str) -> None:
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


def test_if_modified_since_gives_304_for_unchanged_files(
    server: CellucidServer, atlas_export: Path
) -> None:
    moment = (atlas_export / POINTS[1:]).stat().st_mtime
    whole = ask(server, POINTS)
    for seconds, status in ((0, 304), (1, 304), (86400, 304), (-1, 200), (-1e9, 200)):
        since = formatdate(int(moment) + seconds, usegmt=True)
        assert ask(server, POINTS, {"If-Modified-Since": since}).status == status
    for nonsense in ("x", "", "Sat, 99 Nov 2030 10:29:34 GMT", "1 Jan 0001 00:00:00 +2300", "0"):
        reply = ask(server, POINTS, {"If-Modified-Since": nonsense})
        assert (reply.status, reply.body) == (200, whole.body), nonsense


def test_etag_has_priority_over_date(server: CellucidServer) -> None:
    whole = ask(server, POINTS)
    tag, date = whole.get("ETag"), whole.get("Last-Modified")
    other_tag = {"If-None-Match": '"other"', "If-Modified-Since": date}
    assert ask(server, POINTS, other_tag).status == 200
    old = {"If-None-Match": tag, "If-Modified-Since": formatdate(0, usegmt=True)}
    assert ask(server, POINTS, old).status == 304
    assert ask(server, POINTS, {"If-None-Match": tag, "Range": "bytes=0-1"}).status == 304


def test_if_match_gives_412_for_another_etag(server: CellucidServer) -> None:
    """Viewers do not use If-Match; the response follows RFC 9110, section 13.1.1."""
    tag = ask(server, POINTS).get("ETag")
    for value, status in ((tag, 200), (f'"a", {tag}', 200), ("*", 200), ('"a"', 412)):
        assert ask(server, POINTS, {"If-Match": value}).status == status, value
