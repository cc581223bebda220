"""From content to a WSGI answer: conditions, ranges, codings; the rules of RFC 9110."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from werkzeug.datastructures import Range
from werkzeug.http import (
    is_resource_modified,
    parse_accept_header,
    parse_date,
    parse_etags,
    parse_range_header,
)

from cellucid_dask.server.http.content import Content

Environ: TypeAlias = dict[str, Any]
Headers: TypeAlias = list[tuple[str, str]]

CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
DESCRIBE_BODY = ("Content-Length", "Content-Type", "Content-Encoding")


@dataclass(slots=True)
class Answer:
    """Status line, headers and body of a response."""

    status: str
    headers: Headers
    body: Iterable[bytes] = field(default_factory=list)


@lru_cache(maxsize=256)
def accepts_gzip(header: str) -> bool:
    """Whether a client with this Accept-Encoding header wants gzip, and not rather no coding."""
    qualities = {name.lower(): quality for name, quality in parse_accept_header(header)}
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def wants_gzip(environ: Environ) -> bool:
    """Whether to code the answer: a range is one of the plain bytes."""
    accepted = environ.get("HTTP_ACCEPT_ENCODING")
    return bool(accepted) and "HTTP_RANGE" not in environ and accepts_gzip(accepted)


def deliver(environ: Environ, content: Content) -> Answer:
    """Answer a GET or HEAD with `content`: 200, 206, 304, 412 or 416."""
    if any(name in environ for name in CONDITIONS):
        if "HTTP_IF_MATCH" in environ:
            wanted = parse_etags(environ["HTTP_IF_MATCH"])
            if not (wanted.star_tag or wanted.is_strong(content.etag)):
                headers = _without(content.headers, DESCRIBE_BODY)
                return Answer("412 Precondition Failed", headers)
        asked = {name: environ[name] for name in CONDITIONS[1:] if name in environ}
        modified = _whole_second(content.modified)
        if asked and not is_resource_modified(asked, f'"{content.etag}"', None, modified):
            return Answer("304 Not Modified", _without(content.headers, DESCRIBE_BODY))
    if "HTTP_RANGE" in environ and environ["REQUEST_METHOD"] == "GET":
        return _ranged(environ, content)
    return _whole(environ, content)


def _whole(environ: Environ, content: Content) -> Answer:
    headers = list(content.headers)
    if environ["REQUEST_METHOD"] == "HEAD":
        return Answer("200 OK", headers)
    return Answer("200 OK", headers, content.pieces(0, content.size, _peer(environ)))


def _ranged(environ: Environ, content: Content) -> Answer:
    wanted = parse_range_header(environ["HTTP_RANGE"])
    if re.fullmatch(r"\s*bytes\s*=\s*-0+\s*", environ["HTTP_RANGE"]):
        wanted = Range("bytes", [(content.size, None)])  # the last 0 bytes: none, says the RFC
    if not _is_one_of_bytes(wanted) or _outdated(environ, content):
        return _whole(environ, content)  # several ranges or nonsense: as if not asked for
    assert wanted is not None
    span = wanted.range_for_length(content.size)
    if span is None and -wanted.ranges[0][0] > content.size > 0:
        span = (0, content.size)  # the last N bytes of what is shorter are all of it
    if span is None:
        headers = _without(content.headers, (*DESCRIBE_BODY, "ETag", "Last-Modified"))
        headers += [("Content-Range", f"bytes */{content.size}"), ("Content-Length", "0")]
        return Answer("416 Requested Range Not Satisfiable", headers)
    start, stop = span
    headers = _without(content.headers, ("Content-Length",))
    headers += [
        ("Content-Range", f"bytes {start}-{stop - 1}/{content.size}"),
        ("Content-Length", str(stop - start)),
    ]
    return Answer("206 Partial Content", headers, content.pieces(start, stop, _peer(environ)))


def _peer(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def _is_one_of_bytes(wanted: Range | None) -> bool:
    return wanted is not None and wanted.units == "bytes" and len(wanted.ranges) == 1


def _outdated(environ: Environ, content: Content) -> bool:
    """Whether the range was asked of another version (If-Range, which compares strongly)."""
    given = environ.get("HTTP_IF_RANGE")
    if given is None:
        return False
    if given.startswith(('"', "W/")):
        return given.strip() != f'"{content.etag}"'
    date = parse_date(given)
    return date is None or date != _whole_second(content.modified)


def _whole_second(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC)


def _without(headers: Headers, names: tuple[str, ...]) -> Headers:
    return [header for header in headers if header[0] not in names]
