"""From content to an HTTP response: conditions, ranges and codings by the rules of RFC 9110."""

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
class Response:
    """Status line, headers and body of a response.

    Not the response class of werkzeug: most responses use the headers of a `Content` unchanged, and
    ``werkzeug.Response.make_conditional`` takes 7 to 40 times as long.
    """

    status: str
    headers: Headers
    body: Iterable[bytes] = field(default_factory=list)


@lru_cache(maxsize=256)
def accepts_gzip(header: str) -> bool:
    """Whether a client with this Accept-Encoding header prefers gzip to no coding."""
    qualities = {name.lower(): quality for name, quality in parse_accept_header(header)}
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def wants_gzip(environ: Environ) -> bool:
    """Whether to code the response with gzip: never for a range, which counts plain bytes."""
    accepted = environ.get("HTTP_ACCEPT_ENCODING")
    return bool(accepted) and "HTTP_RANGE" not in environ and accepts_gzip(accepted)


def make_response(environ: Environ, content: Content) -> Response:
    """Respond to a GET or HEAD with `content`: 200, 206, 304, 412 or 416."""
    if any(name in environ for name in CONDITIONS):
        if "HTTP_IF_MATCH" in environ:
            expected = parse_etags(environ["HTTP_IF_MATCH"])
            if not (expected.star_tag or expected.is_strong(content.etag)):
                headers = _without(content.headers, DESCRIBE_BODY)
                return Response("412 Precondition Failed", headers)
        conditions = {name: environ[name] for name in CONDITIONS[1:] if name in environ}
        modified = _to_second(content.modified)
        if conditions and not is_resource_modified(conditions, f'"{content.etag}"', None, modified):
            return Response("304 Not Modified", _without(content.headers, DESCRIBE_BODY))
    if "HTTP_RANGE" in environ and environ["REQUEST_METHOD"] == "GET":
        return _range_response(environ, content)
    return _full_response(environ, content)


def _full_response(environ: Environ, content: Content) -> Response:
    headers = list(content.headers)
    if environ["REQUEST_METHOD"] == "HEAD":
        return Response("200 OK", headers)
    return Response("200 OK", headers, content.pieces(0, content.size, _peer(environ)))


def _range_response(environ: Environ, content: Content) -> Response:
    requested = parse_range_header(environ["HTTP_RANGE"])
    if re.fullmatch(r"\s*bytes\s*=\s*-0+\s*", environ["HTTP_RANGE"]):
        requested = Range("bytes", [(content.size, None)])  # the last 0 bytes: an empty range
    if not _is_single_byte_range(requested) or _is_outdated(environ, content):
        return _full_response(environ, content)  # RFC 9110 lets a server ignore the header
    assert requested is not None
    span = requested.range_for_length(content.size)
    if span is None and -requested.ranges[0][0] > content.size > 0:
        span = (0, content.size)  # the last N bytes of a shorter content are all of it
    if span is None:
        headers = _without(content.headers, (*DESCRIBE_BODY, "ETag", "Last-Modified"))
        headers += [("Content-Range", f"bytes */{content.size}"), ("Content-Length", "0")]
        return Response("416 Requested Range Not Satisfiable", headers)
    start, stop = span
    headers = _without(content.headers, ("Content-Length",))
    headers += [
        ("Content-Range", f"bytes {start}-{stop - 1}/{content.size}"),
        ("Content-Length", str(stop - start)),
    ]
    return Response("206 Partial Content", headers, content.pieces(start, stop, _peer(environ)))


def _peer(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def _is_single_byte_range(requested: Range | None) -> bool:
    return requested is not None and requested.units == "bytes" and len(requested.ranges) == 1


def _is_outdated(environ: Environ, content: Content) -> bool:
    """Whether the client asks for a range of another version (If-Range).

    werkzeug compares weak tags and takes an older date for a match; RFC 9110, section 13.1.5, wants
    a strong tag or exactly the same date.
    """
    given = environ.get("HTTP_IF_RANGE")
    if given is None:
        return False
    if given.startswith(('"', "W/")):
        return given.strip() != f'"{content.etag}"'
    date = parse_date(given)
    return date is None or date != _to_second(content.modified)


def _to_second(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC)


def _without(headers: Headers, names: tuple[str, ...]) -> Headers:
    return [header for header in headers if header[0] not in names]
