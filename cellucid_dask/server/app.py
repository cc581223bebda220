"""The WSGI application: one request from its checks to the bytes of the response."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from werkzeug.exceptions import MethodNotAllowed, ServiceUnavailable

from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.announce import write_lines
from cellucid_dask.server.datasets.reopenable import ReopenableData
from cellucid_dask.server.datasets.served import ServedData
from cellucid_dask.server.http.content import NOSNIFF, ReplacedError
from cellucid_dask.server.http.error_response import error_response
from cellucid_dask.server.http.guard import HostPolicy, Token, cors_headers
from cellucid_dask.server.http.request_path import read_path, read_summaries
from cellucid_dask.server.http.response import Environ, Response, make_response, wants_gzip
from cellucid_dask.server.http.thread_quota import BusyError
from cellucid_dask.server.ready.served import PREFIX
from cellucid_dask.server.router import Router, open_hosted_page
from cellucid_dask.server.service_paths import HEALTH, READ_METHODS, receive_events

MAX_REPLACED: Final = 4  # attempts to send a file that is replaced at the same time
RETRY_AFTER: Final = 5  # seconds after which a client may ask for a long response again

StartResponse = Callable[..., Any]


class App:
    """WSGI application that serves one dataset, or the exports of a folder.

    Parameters
    ----------
    open_data
        Opens the data; called again when the application starts after it was closed.
    serving
        Options of the server.
    token
        Token that requests must carry; None for none.
    """

    def __init__(
        self, open_data: Callable[[], ServedData], serving: ServeOptions, token: Token | None
    ) -> None:
        self.serving, self.token = serving, token
        self.data = ReopenableData(open_data)
        self.host_policy = HostPolicy(serving.host, serving.allowed_hosts)
        speaks_ready = self.data.current.speaks_ready
        self.hosted = open_hosted_page(serving, speaks_ready=speaks_ready)
        self._methods = "GET, HEAD, OPTIONS" if speaks_ready else "GET, HEAD, POST, OPTIONS"
        self._router = Router(self.data, serving, self.hosted)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to one request."""
        started = time.perf_counter()
        if not self.data.started:
            self.data.start()
        try:
            response = self._respond(environ)
        except Exception as error:  # noqa: BLE001  logged there
            response = error_response(error)
        response.headers += cors_headers(environ, self._methods)
        if environ["REQUEST_METHOD"] == "HEAD":
            response.body = []
        if self.serving.verbose:
            _log_request(environ, response, time.perf_counter() - started)
        start_response(response.status, response.headers)
        return response.body

    def _respond(self, environ: Environ) -> Response:
        self.host_policy.check(environ)
        method, path = environ["REQUEST_METHOD"], read_path(environ, self.serving.base_path)
        if method == "OPTIONS":
            return Response("204 No Content", [("Vary", "Origin"), NOSNIFF])
        cookie = []
        if self.token is not None and path != HEALTH:
            cookie = self.token.authorize(environ, self.serving.base_path)
        if method == "POST":
            return make_response({"REQUEST_METHOD": "GET"}, receive_events(environ, path))
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(valid_methods=READ_METHODS)
        response = self._send_content(environ, path)
        response.headers += cookie
        return response

    def _send_content(self, environ: Environ, path: str) -> Response:
        address = self.serving.host, int(environ.get("SERVER_PORT") or self.serving.port)
        gzip, summaries = wants_gzip(environ), read_summaries(environ)
        for _ in range(MAX_REPLACED):
            try:
                content = self._router.find(path, address, gzip=gzip, summaries=summaries)
                return make_response(environ, content, exact_ranges=path.startswith(PREFIX))
            except ReplacedError:
                continue
            except BusyError as error:
                raise ServiceUnavailable(
                    "too many long responses are being sent", retry_after=RETRY_AFTER
                ) from error
        raise ServiceUnavailable("the file is being replaced")

    def close(self) -> None:
        """Stop the background work, and remove the temporary files; a new request starts again."""
        self.data.close()


def _log_request(environ: Environ, response: Response, seconds: float) -> None:
    """Print one line, without the query, which may hold the token."""
    size = dict(response.headers).get("Content-Length", "0")
    path = ascii(environ.get("PATH_INFO", "")).strip("'")
    status = response.status[:3]
    line = f"{environ['REQUEST_METHOD']} {path} {status} {size} {seconds * 1e3:.1f} ms"
    write_lines(sys.stderr, [line])
