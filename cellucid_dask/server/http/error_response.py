"""Errors as responses: a status and one line of text, without paths of the machine."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError

from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable
from werkzeug.routing import RequestRedirect

from cellucid_dask.errors import CellucidDaskError, EmbeddingError, OutputError, ValuesError
from cellucid_dask.server.http.content import NOSNIFF
from cellucid_dask.server.http.response import Response

log = logging.getLogger("cellucid_dask.server")


def error_response(error: Exception) -> Response:
    """Response to a request that failed; errors of the data or of the program are logged."""
    if isinstance(error, HTTPException):
        return _http_error_response(error)
    if isinstance(error, CancelledError):
        unavailable = ServiceUnavailable("the server is stopping, or the data changed")
        return _http_error_response(unavailable)
    with_traceback = log.isEnabledFor(logging.DEBUG)
    if isinstance(error, CellucidDaskError):
        log.error("%s", error, exc_info=error if with_traceback else None)
        return _http_error_response(ServiceUnavailable(_public_reason(error)))
    log.error(
        "internal error: %s: %s",
        type(error).__name__,
        error,
        exc_info=error if with_traceback else None,
    )
    return _text_response("500 Internal Server Error", "internal error; see the server's log")


def _http_error_response(error: HTTPException) -> Response:
    code = error.code or 500
    response = _text_response(f"{code} {error.name}", error.description or error.name)
    if isinstance(error, ServiceUnavailable) and error.retry_after is not None:
        response.headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, RequestRedirect):
        response.headers.append(("Location", error.new_url))
    if code == 401:
        response.headers.append(("WWW-Authenticate", "Bearer"))
    if isinstance(error, MethodNotAllowed):
        response.headers.append(("Allow", ", ".join(error.valid_methods or ())))
    return response


def _public_reason(error: CellucidDaskError) -> str:
    """What a client may know of an error whose message may hold paths of the machine."""
    if isinstance(error, OutputError):
        return "the server has no room for temporary files; see its log"
    if isinstance(error, ValuesError):
        return f"the matrix {error.problems[0].what}"
    if isinstance(error, EmbeddingError):
        problem = error.problems[0]
        return f"{problem.where}: {problem.what}"
    return "the data cannot be read now; see the server's log"


def _text_response(status: str, line: str) -> Response:
    body = f"{line}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Origin"),
        NOSNIFF,
    ]
    return Response(status, headers, [body])
