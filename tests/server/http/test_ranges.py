"""Range requests, and If-Range."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from exported import check_ranges
from serving import POINTS, Client, ask

from cellucid_dask import CellucidServer


@pytest.mark.parametrize("path", [POINTS, "/obs_manifest.json", "/atlas/points_3d.bin.gz"])
def test_one_range_gets_206_or_416(server: CellucidServer, path: str) -> None:
    with Client(server) as client:
        check_ranges(client, path)


def test_range_of_the_last_0_bytes_gets_416(server: CellucidServer) -> None:
    """A suffix of length 0 is valid and cannot be satisfied (RFC 9110, section 14.1.2)."""
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
def test_several_or_invalid_ranges_get_the_full_file(server: CellucidServer, header: str) -> None:
    whole = ask(server, POINTS)
    reply = ask(server, POINTS, {"Range": header})
    if header.startswith("bytes=0-9999"):
        assert reply.status in (200, 206)  # an end of 6000 digits is an end behind the last byte
    else:
        assert reply.status == 200
        assert reply.get("Content-Range") is None
    assert reply.body == whole.body


def test_if_range_needs_the_same_version(server: CellucidServer) -> None:
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
    """Dates of If-Range must be equal: a file restored from a backup is older, but different."""
    later = formatdate(time.time() + 1e6, usegmt=True)
    assert ask(server, POINTS, {"Range": "bytes=3-5", "If-Range": later}).status == 200
