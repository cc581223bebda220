"""From content to an HTTP response: conditions, ranges and codings by the rules of RFC 9110."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

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


def make_response(environ: Environ, content: Content, *, exact_ranges: bool = False) -> Response:
    """Respond to a GET or HEAD with `content`: 200, 206, 304, 412 or 416.

    Parameters
    ----------
    exact_ranges
        Whether a Range header must ask for one range: any other gets 416, where RFC 9110 lets a
        server send the whole content. HEAD then describes the range, and If-Range takes no date.
    """
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
    if "HTTP_RANGE" in environ and (exact_ranges or environ["REQUEST_METHOD"] == "GET"):
        modified = None if exact_ranges else _to_second(content.modified)
        if not _is_outdated(environ, content.etag, modified):
            read_range = find_exact_range if exact_ranges else find_range
            span = read_range(environ["HTTP_RANGE"], content.size)
            if span is not None:
                return _range_response(environ, content, span)
    return _full_response(environ, content)


def _full_response(environ: Environ, content: Content) -> Response:
    headers = list(content.headers)
    if environ["REQUEST_METHOD"] == "HEAD":
        return Response("200 OK", headers)
    return Response("200 OK", headers, content.pieces(0, content.size, _peer(environ)))


def _range_response(environ: Environ, content: Content, span: range) -> Response:
    if not span:
        headers = _without(content.headers, (*DESCRIBE_BODY, "ETag", "Last-Modified"))
        headers += [("Content-Range", f"bytes */{content.size}"), ("Content-Length", "0")]
        return Response("416 Requested Range Not Satisfiable", headers)
    headers = _without(content.headers, ("Content-Length",))
    headers += [
        ("Content-Range", f"bytes {span.start}-{span.stop - 1}/{content.size}"),
        ("Content-Length", str(len(span))),
    ]
    if environ["REQUEST_METHOD"] == "HEAD":
        return Response("206 Partial Content", headers)
    pieces = content.pieces(span.start, span.stop, _peer(environ))
    return Response("206 Partial Content", headers, pieces)


def find_range(header: str, size: int) -> range | None:
    """Bytes that a Range header asks for by RFC 9110, which lets a server ignore some headers.

    Returns
    -------
    None for a header to be ignored; an empty range when there are no such bytes.
    """
    if re.fullmatch(r"\s*bytes\s*=\s*-0+\s*", header):
        return range(0)  # the last 0 bytes
    requested = parse_range_header(header)
    if requested is None or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    span = requested.range_for_length(size)
    if span is None and -requested.ranges[0][0] > size > 0:
        span = (0, size)  # the last N bytes of a shorter content are all of it
    return range(*span) if span is not None else range(0)


def find_exact_range(header: str, size: int) -> range:
    """Bytes that a Range header asks for as today's public app writes it; empty for any other."""
    match = _EXACT_RANGE.fullmatch(header.strip())
    if match is None:
        return range(0)
    first, last = match.groups()
    if first:
        return range(int(first), min(int(last) + 1 if last else size, size))
    return range(max(0, size - int(last or 0)), size)


_EXACT_RANGE: Final = re.compile(r"bytes=([0-9]{0,20})-([0-9]{0,20})")


def _peer(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def _is_outdated(environ: Environ, etag: str, modified: datetime | None) -> bool:
    """Whether the client asks for a range of another version (If-Range).

    werkzeug compares weak tags and takes an older date for a match; RFC 9110, section 13.1.5, wants
    a strong tag or exactly the same date.
    """
    given = environ.get("HTTP_IF_RANGE")
    if given is None:
        return False
    if given.startswith(('"', "W/")):
        return given.strip() != f'"{etag}"'
    date = parse_date(given)
    return date is None or date != modified


def _to_second(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC)


def _without(headers: Headers, names: tuple[str, ...]) -> Headers:
    return [header for header in headers if header[0] not in names]
