"""The WSGI application: guards, routes, and errors as one line of text."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    MisdirectedRequest,
    NotFound,
    RequestEntityTooLarge,
    RequestURITooLarge,
    ServiceUnavailable,
    Unauthorized,
)
from werkzeug.routing import RequestRedirect

from cellucid_dask.errors import CellucidDaskError, InputError, OutputError
from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.announce import write_lines
from cellucid_dask.server.datasets.opening import Opened, emptied
from cellucid_dask.server.http.content import Content, ReplacedError, text_content
from cellucid_dask.server.http.deliver import Answer, Environ, Headers, deliver, wants_gzip
from cellucid_dask.server.http.guard import HostPolicy, Token, cors_headers, requested_hosts
from cellucid_dask.server.http.pages import page_file
from cellucid_dask.server.http.thread_quota import BusyError

if TYPE_CHECKING:
    from cellucid_dask.server.hosted.page import HostedPage

log = logging.getLogger("cellucid_dask.server")

LONGEST_PATH: Final = 2000  # characters; the longest path of an export has about 300
LONGEST_QUERY: Final = 2000
LARGEST_BODY: Final = 1 << 20
RETRY: Final = 5  # seconds after which to ask again for a long answer
SERVICE: Final = "_cellucid/"
HEALTH: Final = SERVICE + "health"

StartResponse = Callable[..., Any]


class App:
    """WSGI application that serves one dataset, or the exports of a folder.

    Parameters
    ----------
    opened
        Opens what is served; called again when it is started after it was closed.
    serving
        How.
    token
        What requests must carry; None for nothing.
    """

    def __init__(
        self, opened: Callable[[], Opened], serving: ServeOptions, token: Token | None
    ) -> None:
        self._open, self.opened = opened, opened()
        self.serving, self.token = serving, token
        self.hosts = HostPolicy(serving.host, serving.allowed_hosts)
        self._base = serving.base_path
        self.hosted = _hosted(serving)
        self._started = self._closed = False
        self._lock = Lock()
        self._services: dict[str, Callable[[], Content]] = {
            HEALTH: self._health,
            SERVICE + "info": self._info,
            SERVICE + "datasets": self._datasets,
        }

    def start(self) -> None:
        """Begin what runs in the background, unless it runs."""
        with self._lock:
            if self._closed:
                self.opened, self._closed = self._open(), False
            if not self._started:
                self.opened.start()
                self._started = True

    def close(self) -> None:
        """End what runs in the background, and remove what was only for this server."""
        with self._lock:
            if not self._closed:
                self.opened.close()
            self._started, self._closed = False, True

    def forget(self) -> None:
        """Close for good, and let go of the data; whoever still holds this does not hold them."""
        self.close()
        with self._lock:
            self._open, self.opened = _forgotten, emptied(self.opened)

    def reopen(self) -> None:
        """Serve the data as they are now, under the same address.

        Raises
        ------
        CellucidDaskError
            When they cannot be served now; then what was served before goes on.
        """
        fresh = self._open()
        with self._lock:
            before, self.opened = self.opened, fresh
            closed, self._closed = self._closed, False
            if self._started:
                fresh.start()
        if not closed:
            before.close()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = time.perf_counter() if self.serving.verbose else 0.0
        if not self._started:
            self.start()
        try:
            answer = self._answer(environ)
        except HTTPException as error:
            answer = _refused(error)
        except CancelledError:
            answer = _refused(ServiceUnavailable("the server is stopping, or the data changed"))
        except CellucidDaskError as error:
            log.error(  # noqa: TRY400  the traceback only where it was asked for
                "%s", error, exc_info=log.isEnabledFor(logging.DEBUG)
            )
            answer = _refused(ServiceUnavailable(_reason(error)))
        except Exception as error:
            shown = log.isEnabledFor(logging.DEBUG)
            log.error(  # noqa: TRY400
                "internal error: %s: %s", type(error).__name__, error, exc_info=shown
            )
            answer = _line("500 Internal Server Error", "internal error; see the server's log")
        answer.headers += cors_headers(environ)
        if environ["REQUEST_METHOD"] == "HEAD":
            answer.body = []
        if self.serving.verbose:
            _note(environ, answer, time.perf_counter() - began)
        start_response(answer.status, answer.headers)
        return answer.body

    def _answer(self, environ: Environ) -> Answer:
        if not all(map(self.hosts.accepts, requested_hosts(environ))):
            raise MisdirectedRequest("this server has another name: see --allowed-host")
        method, path = environ["REQUEST_METHOD"], self._path(environ)
        if method == "OPTIONS":
            return Answer("204 No Content", [("Vary", "Origin"), NOSNIFF])
        cookie: Headers = []
        if self.token is not None and path != HEALTH:
            given = self.token.check(environ, self._base)
            if given is None:
                raise Unauthorized("this server wants its token: open the URL that it printed")
            cookie = given
        if method == "POST":
            return self._posted(environ, path)
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(valid_methods=["GET", "HEAD", "OPTIONS"])
        answer = self._got(environ, path)
        answer.headers += cookie
        return answer

    def _path(self, environ: Environ) -> str:
        """Path below the base path, without its first slash.

        Raises
        ------
        HTTPException
            When it is too long, is no UTF-8, or is outside.
        """
        raw = environ.get("PATH_INFO", "")
        if len(raw) > LONGEST_PATH or len(environ.get("QUERY_STRING", "")) > LONGEST_QUERY:
            raise RequestURITooLarge("the URL is too long")
        if not raw.isascii():
            try:
                raw = raw.encode("latin-1").decode()
            except UnicodeError as error:
                raise BadRequest("the path is not UTF-8") from error
        if self._base:
            if raw == self._base:
                query = environ.get("QUERY_STRING", "")
                raise RequestRedirect(f"{self._base}/" + (f"?{query}" if query else ""))
            if not raw.startswith(self._base + "/"):
                raise NotFound("there is nothing here; the server has a base path")
            raw = raw[len(self._base) :]
        if not raw.startswith("/"):
            raise BadRequest("the path does not begin with a slash")
        return str(raw[1:])

    def _got(self, environ: Environ, path: str) -> Answer:
        for _ in range(4):
            try:
                content = self._find(environ, path)
                if content is None:
                    raise NotFound("there is no such path")
                answer = deliver(environ, content)
            except ReplacedError:
                continue
            except BusyError as error:
                raise ServiceUnavailable(
                    "too many long answers are under way", retry_after=RETRY
                ) from error
            return answer
        raise ServiceUnavailable("the file is being replaced")

    def _find(self, environ: Environ, path: str) -> Content | None:
        if path.startswith(SERVICE):
            return self._service(path)
        if path in ("", "index.html"):
            return self._page()
        hosted = self.hosted
        try:
            found = self.opened.datasets.find(path, gzip=wants_gzip(environ))
        except CellucidDaskError:
            if hosted is None or not hosted.may_have(path):
                raise
            found = None  # the page comes, and tells that the data does not
        return hosted.find(path) if found is None and hosted is not None else found

    def _page(self) -> Content | None:
        if self.hosted is not None:
            return self.hosted.index()
        if self.serving.viewer == "none":
            raise NotFound("this server serves data only, and no page (--viewer none)")
        return page_file("index.html")

    def _service(self, path: str) -> Content | None:
        if path in self._services:
            return self._services[path]()
        if path.startswith(SERVICE + "page/") and self.serving.viewer != "none":
            return page_file(path.removeprefix(SERVICE + "page/"))
        if path.startswith(SERVICE + "zarr/") and self.opened.zarr is not None:
            return self.opened.zarr.find(path.removeprefix(SERVICE + "zarr/"))
        return None

    # ----------------------------------------------------------------------------- service paths

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"type": self.opened.type, "version": version("cellucid-dask")}
        live = self.opened.live
        if live is not None:
            with suppress(CellucidDaskError):  # told when the data are asked for
                live.refresh()
            facts |= {"format": self.opened.format, "is_backed": self.opened.backed}
            facts |= live.facts()
        return facts

    def _health(self) -> Content:
        return text_content(json.dumps({"status": "ok", **self._facts()}))

    def _info(self) -> Content:
        cache = self.opened.cache
        facts = self._facts() | {"cache": {"bytes": cache.used, "limit": cache.n_bytes}}
        facts |= {"datasets": len(self.opened.datasets.list())}
        if self.opened.live is not None:
            facts["index"] = self.opened.index_progress()
        return text_content(json.dumps(facts))

    def _datasets(self) -> Content:
        return text_content(json.dumps({"datasets": self.opened.datasets.list()}))

    def _posted(self, environ: Environ, path: str) -> Answer:
        """Events of a viewer inside a notebook: heard, but there is nobody to pass them to."""
        if path != SERVICE + "events":
            raise MethodNotAllowed(valid_methods=["GET", "HEAD", "OPTIONS"])
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdecimal():
            raise BadRequest("the Content-Length is no number")
        if int(length) > LARGEST_BODY:
            raise RequestEntityTooLarge("the body is too large")
        # The body is not read: a client that sends it slowly would hold a thread for it.
        return deliver(
            {"REQUEST_METHOD": "GET"},
            text_content(json.dumps({"status": "not_found", "delivered": False})),
        )


def _forgotten() -> Opened:
    raise InputError("what was shown was stopped", fix="show it again")


def _hosted(serving: ServeOptions) -> HostedPage | None:
    if serving.viewer != "hosted":
        return None
    from cellucid_dask.server.hosted.page import HostedPage  # with an HTTP client

    folder = serving.viewer_cache
    return HostedPage(serving.viewer_url, None if folder is None else Path(folder).absolute())


NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")


def _refused(error: HTTPException) -> Answer:
    code = error.code or 500
    answer = _line(f"{code} {error.name}", error.description or error.name)
    if isinstance(error, ServiceUnavailable) and error.retry_after is not None:
        answer.headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, RequestRedirect):
        answer.headers.append(("Location", error.new_url))
    if code == 401:
        answer.headers.append(("WWW-Authenticate", "Bearer"))
    if isinstance(error, MethodNotAllowed):
        answer.headers.append(("Allow", ", ".join(error.valid_methods or ())))
    return answer


def _reason(error: CellucidDaskError) -> str:
    """What an answer says of an error whose message may hold paths of the machine."""
    if isinstance(error, OutputError):
        return "the server has no room for temporary files; see its log"
    return "the data cannot be read now; see the server's log"


def _line(status: str, line: str) -> Answer:
    body = f"{line}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Origin"),
        NOSNIFF,
    ]
    return Answer(status, headers, [body])


def _note(environ: Environ, answer: Answer, seconds: float) -> None:
    """One line for a request; the query, which may hold the token, is not in it."""
    size = dict(answer.headers).get("Content-Length", "0")
    path = ascii(environ.get("PATH_INFO", "")).strip("'")
    line = f"{environ['REQUEST_METHOD']} {path} {answer.status[:3]} {size} {seconds * 1e3:.1f} ms"
    write_lines(sys.stderr, [line])
