"""The page of the Cellucid site, fetched as it is asked for and kept by its build.

The rule that keeps builds apart: a load of the page asks the site for its index, and the build in
it is the one that all files come from until the page is loaded again. Files have the same names in
all builds, so a file that is fetched counts only if the site still has that build when all its
bytes are there. If not, the answer is an error that says to reload, and nothing is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from werkzeug.exceptions import BadGateway, NotFound, ServiceUnavailable

from cellucid_dask.server.cache_folder import default_cache_dir
from cellucid_dask.server.hosted.build import Build, build_id
from cellucid_dask.server.hosted.cache import INDEX, WebCache
from cellucid_dask.server.hosted.paths import HTML, is_page, media_of
from cellucid_dask.server.hosted.request_coalescer import CrowdedError, RequestCoalescer
from cellucid_dask.server.hosted.upstream import (
    Fetched,
    NoSuchFileError,
    UnfitError,
    UnreachableError,
    Upstream,
    UpstreamError,
)
from cellucid_dask.server.http.content import Content, bytes_content
from cellucid_dask.server.http.pages import FRAMED_BY, page_with_banner

SITE: Final = "https://www.cellucid.com"
INDEX_BYTES: Final = 2_000_000
FILE_BYTES: Final = 32_000_000
INDEX_SECONDS: Final = 6.0
FILE_SECONDS: Final = 30.0
DOWN: Final = 15.0  # seconds until a site that failed is requested again
FETCHES: Final = 8  # files fetched at the same time
WAITING: Final = 24  # requests that wait for them, of the 64 that are served at the same time
PAGES: Final = ("text/html", "application/xhtml+xml")

# What the page can reach is limited, not what its own scripts may do: it has inline scripts and
# styles, workers and WebAssembly. It may talk to this server only, since its address can hold the
# token: what counts visitors or loads data from elsewhere does not work here.
_DIRECTIVES: Final = (
    "default-src 'self' data: blob:",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    f"frame-ancestors {FRAMED_BY}",
    "base-uri 'none'",
    "form-action 'none'",
)
POLICY: Final = ("Content-Security-Policy", "; ".join(_DIRECTIVES))
REFERRER: Final = ("Referrer-Policy", "same-origin")

log = logging.getLogger("cellucid_dask.server")


class HostedPage:
    """The page of a site, served from the origin of this server.

    Parameters
    ----------
    url
        The site; None is that of Cellucid.
    folder
        Cache folder; None is below the cache folder of the user.
    """

    def __init__(self, url: str | None, folder: Path | None) -> None:
        self.url = url or SITE
        self.cache = WebCache(folder or default_cache_dir() / "web", self.url)
        self._upstream = Upstream(self.url)
        self._indexes, self._files = RequestCoalescer(1), RequestCoalescer(FETCHES)
        self._places = BoundedSemaphore(WAITING)
        self._lock = Lock()
        self._build: Build | None = None
        self._began = 0.0
        self._down = (0.0, "")
        self._reported = ""

    def describe(self) -> str:
        """Line that names the site of the page."""
        return f"the page of {self.url}, kept in {self.cache.folder}"

    # -------------------------------------------------------------------------------- what is asked

    def index(self) -> Content:
        """The current page, else the cached one, else the built-in one with a banner."""
        with self._site_thread():
            try:
                build = self._switch_build(*self._current_build())
            except (UpstreamError, CrowdedError) as error:
                kept = self._cached_build()
                shown = "built-in" if kept is None else "kept"
                self._log_once(f"{self.url} {error}; shown is the {shown} page")
                if kept is None:
                    return page_with_banner(
                        f"The page of {urlsplit(self.url).netloc} could not be loaded: it {error}. "
                        "This is the built-in page."
                    )
                build = kept
        return _answer(build.index, HTML)

    def may_have(self, path: str) -> bool:
        """Whether a path can be a file of the page."""
        return media_of(path) is not None

    def find(self, path: str) -> Content | None:
        """Content of a file of the page; None for any other path.

        Raises
        ------
        HTTPException
            When the file cannot be fetched, or belongs to another build.
        """
        media = media_of(path)
        if media is None:
            return None
        build = self._build or self._cached_build()
        body = None if build is None else self.cache.get(build.id, path)
        if body is None:
            with self._site_thread():
                body = self._fetch_shared(build, path)
        return _answer(body, media)

    def _fetch_shared(self, build: Build | None, path: str) -> bytes:
        """Bytes of a file, fetched from the site."""
        try:
            if build is None:  # the page was loaded before this server started
                build = self._switch_build(*self._current_build())
            work = partial(self._fetch_for_build, build, path)
            body: bytes = self._files.get((build.id, path), work, FILE_SECONDS)
        except NoSuchFileError as error:
            raise NotFound("there is no such path") from error
        except (UpstreamError, CrowdedError) as error:
            if isinstance(error, UnfitError):
                self._log_once(f"{path} of the hosted page cannot be had: {self.url} {error}")
                what = "the site of the hosted page sent what cannot be used; see the server's log"
                raise BadGateway(what) from error
            self._log_once(f"{self.url} {error}")
            what = "the site of the hosted page does not answer; see the server's log"
            raise ServiceUnavailable(what, retry_after=5) from error
        return body

    def _fetch_for_build(self, build: Build, path: str) -> bytes:
        """Fetch a file, check that it belongs to a build, and cache it."""
        kept = self.cache.get(build.id, path)
        if kept is not None:  # another request has fetched it in between
            return kept
        fetched = self._fetch(path, FILE_BYTES, FILE_SECONDS)
        assert fetched is not None
        if media_of(path) != HTML and (fetched.media in PAGES or is_page(fetched.body)):
            raise UnfitError("sent a web page in place of the file")
        if self._current_build(since=monotonic())[0].id != build.id:
            raise ServiceUnavailable("the hosted page has changed: reload it")
        self.cache.put(build.id, path, fetched.body)
        return fetched.body

    # ---------------------------------------------------------------------------------- the builds

    def _current_build(self, since: float = 0.0) -> tuple[Build, float]:
        """Build of the site, and the time of that request, not before `since`."""
        for _ in range(3):
            self._check_up()
            try:
                build, began = self._indexes.get(INDEX, self._ask, INDEX_SECONDS)
            except CrowdedError as error:
                raise self._went_down(UnreachableError(f"cannot be reached: it {error}")) from error
            if began >= since:
                return build, began
        raise CrowdedError("is busy")

    def _ask(self) -> tuple[Build, float]:
        known, began = self._build, monotonic()
        fetched = self._fetch(INDEX, INDEX_BYTES, INDEX_SECONDS, known.tag if known else None)
        if fetched is None:
            assert known is not None
            return known, began
        name = build_id(fetched.body)
        if name is None:
            raise UnfitError("sent no page of Cellucid: it names no build")
        return Build(name, fetched.body, fetched.tag), began

    def _switch_build(self, build: Build, began: float) -> Build:
        """Serve all files from one build from now on, and remove the others."""
        with self._lock:
            before = self._build
            if before is not None and began < self._began:
                return before  # another request has switched the build since
            self._build, self._began, self._reported = build, began, ""
            if self.cache.get(build.id, INDEX) != build.index:  # also when it was removed since
                self.cache.put(build.id, INDEX, build.index)
            if before is None or (before.id, before.index) != (build.id, build.index):
                self.cache.purge(build.id)
        return build

    def _cached_build(self) -> Build | None:
        """Cached build, used when the site does not respond."""
        with self._lock:
            if self._build is None:
                found = self.cache.latest()
                self._build = None if found is None else Build(*found)
            return self._build

    # ------------------------------------------------------------------------------------- the site

    def _fetch(
        self, path: str, limit: int, seconds: float, tag: str | None = None
    ) -> Fetched | None:
        """Fetch a file of the site, unless the site failed a moment ago."""
        self._check_up()
        try:
            return self._upstream.get(path, limit, seconds, tag)
        except UnreachableError as error:
            raise self._went_down(error) from error

    def _check_up(self) -> None:
        until, why = self._down
        if monotonic() < until:
            raise UnreachableError(why)

    def _went_down(self, error: UnreachableError) -> UnreachableError:
        self._down = (monotonic() + DOWN, str(error))
        return error

    @contextmanager
    def _site_thread(self) -> Iterator[None]:
        """Use one of a few threads that may wait for the site: the others are for data."""
        if not self._places.acquire(blocking=False):
            what = "too many requests wait for the site of the hosted page"
            raise ServiceUnavailable(what, retry_after=2)
        try:
            yield
        finally:
            self._places.release()

    def _log_once(self, line: str) -> None:
        """Log a problem once, until it changes or is solved in between."""
        with self._lock:
            previous, self._reported = self._reported, line
        if line != previous:
            log.warning("%s", line)


def _answer(body: bytes, media: str) -> Content:
    content = bytes_content(body, media)
    content.headers.extend((POLICY, REFERRER))  # also of scripts: a worker has that of its file
    return content
