"""The page of the Cellucid site, fetched as it is asked for and kept by its build.

The rule that keeps builds apart: a load of the page asks the site for its index, and the build in
it is the one that all files come from until the page is loaded again. Files have the same names in
all builds. With an inventory, a file counts only if it has the sum that the inventory of the build
gives; without one, only if the site still has that build when all its bytes are there. If not, the
answer is an error that says to reload, and nothing is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Final, TypeVar
from urllib.parse import urlsplit

from werkzeug.exceptions import BadGateway, NotFound, ServiceUnavailable

from cellucid_dask.server.hosted.build import Build, printable
from cellucid_dask.server.hosted.cache import WebCache, default_web_folder
from cellucid_dask.server.hosted.paths import HTML, INDEX, media_of
from cellucid_dask.server.hosted.protocol import Protocol, mismatch, with_notice
from cellucid_dask.server.hosted.request_coalescer import CrowdedError, RequestCoalescer
from cellucid_dask.server.hosted.site import SITE, RefusedInventoryError, Rest, Site
from cellucid_dask.server.hosted.upstream import (
    NoSuchFileError,
    UnfitError,
    UnreachableError,
    UpstreamError,
)
from cellucid_dask.server.http.content import Content, bytes_content
from cellucid_dask.server.http.pages import FRAMED_BY, page_with_banner

INDEX_SECONDS: Final = 6.0
FILE_SECONDS: Final = 30.0
FETCHES: Final = 8  # files fetched at the same time
WAITING: Final = 24  # requests that wait for them, of the 64 that are served at the same time

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
R = TypeVar("R")


class HostedPage:
    """The page of a site, served from the origin of this server.

    Parameters
    ----------
    url
        The site; None is that of Cellucid.
    folder
        Cache folder; None is below the cache folder of the user.
    served
        Protocol of the server: the page tells when its build speaks another; None leaves that
        unchecked.
    """

    def __init__(
        self, url: str | None, folder: Path | None, served: Protocol | None = None
    ) -> None:
        self.url = url or SITE
        self.served = served
        self.cache = WebCache(folder or default_web_folder(), self.url)
        self._site = Site(self.url)
        self._indexes, self._files = RequestCoalescer(1), RequestCoalescer(FETCHES)
        self._places = BoundedSemaphore(WAITING)
        self._lock = Lock()
        self._build: Build | None = None
        self._began = 0.0
        self._rest = Rest()
        self._reported = ""

    def describe(self) -> str:
        """Line that names the site of the page, and what can be shown without it."""
        line = f"the page of {self.url}, kept in {self.cache.folder}"
        kept = self.cache.latest()
        if kept is None or not self.cache.is_complete(kept):
            return line
        return f"{line}; without the site: all of {_dated(kept)}"

    # -------------------------------------------------------------------------------- what is asked

    def index(self) -> Content:
        """The current page, else the cached one, else the built-in one with a banner."""
        news = None
        with self._site_thread():
            try:
                build = self._switch_build(*self._current_build())
            except (UpstreamError, CrowdedError) as error:
                kept = self._cached_build(reload=True)
                if kept is None:
                    self._log_once(f"{self.url} {error}; shown is the built-in page")
                    return page_with_banner(
                        f"The page of {urlsplit(self.url).netloc} could not be loaded: it {error}. "
                        "This is the built-in page."
                    )
                self._log_once(f"{self.url} {error}; shown is the kept page, {_dated(kept)}")
                build = kept
                if isinstance(error, RefusedInventoryError):
                    news = f"The page cannot be brought up to date: its site {error}. This is "
                    news += f"{_dated(kept)}. There is also the"
        news = news or mismatch(build, self.served)
        return _answer(build.index if news is None else with_notice(build.index, news), HTML)

    def may_have(self, path: str) -> bool:
        """Whether a path can be a file of the page."""
        build = self._build
        return media_of(path) is not None or (build is not None and build.asset(path) is not None)

    def find(self, path: str) -> Content | None:
        """Content of a file of the page; None for any other path.

        Raises
        ------
        HTTPException
            When the file cannot be fetched, or belongs to another build.
        """
        if self._build is None and media_of(path) is None:
            return None
        build = self._build or self._cached_build()
        if build is None:  # the page was loaded before this server started
            build = self._from_site(path, self._first_build)
        asset = build.asset(path)
        media = media_of(path) if build.inventory is None else asset.media if asset else None
        if media is None:
            return None
        body = self.cache.get_asset(build, path)
        if body is None:
            work = partial(self._fetch_for_build, build, path)
            key = (build.id, path)
            body = self._from_site(path, lambda: self._files.get(key, work, FILE_SECONDS))
        return _answer(body, media)

    def _from_site(self, path: str, work: Callable[[], R]) -> R:
        """Do what waits for the site on behalf of a request for a path."""
        try:
            with self._site_thread():
                return work()
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

    def _fetch_for_build(self, build: Build, path: str) -> bytes:
        """Fetch a file, check that it belongs to a build, and cache it."""
        kept = self.cache.get_asset(build, path)
        if kept is not None:  # another request has fetched it in between
            return kept
        asset = build.asset(path)
        if asset is None:
            body = self._rest.ask(lambda: self._site.file(path, FILE_SECONDS))
            self._check_unchanged(build)
        else:
            try:
                body = self._rest.ask(lambda: self._site.asset(path, asset, FILE_SECONDS))
            except UnfitError:
                with suppress(UpstreamError, CrowdedError):
                    self._check_unchanged(build)
                raise
        self.cache.put(build.id, path, body)
        return body

    # ---------------------------------------------------------------------------------- the builds

    def _check_unchanged(self, build: Build) -> None:
        """Raise unless the site has this build now."""
        if self._current_build(since=monotonic())[0].id != build.id:
            raise ServiceUnavailable("the hosted page has changed: reload it")

    def _first_build(self) -> Build:
        return self._switch_build(*self._current_build())

    def _current_build(self, since: float = 0.0) -> tuple[Build, float]:
        """Build of the site, and the time of that request, not before `since`."""
        for _ in range(3):
            self._rest.check()
            try:
                build, began = self._indexes.get(INDEX, self._ask, INDEX_SECONDS)
            except CrowdedError as error:
                raise self._rest.begin(
                    UnreachableError(f"cannot be reached: it {error}")
                ) from error
            if began >= since:
                return build, began
        raise CrowdedError("is busy")

    def _ask(self) -> tuple[Build, float]:
        known, began = self._build, monotonic()
        build = self._rest.ask(lambda: self._site.build(known, INDEX_SECONDS))
        if build.inventory is None:  # a site that loses it does not take away what was verified
            build = replace(build, inventory=self.cache.inventory(build.id, build.index))
        return build, began

    def _switch_build(self, build: Build, began: float) -> Build:
        """Serve all files from one build from now on, and remove the others."""
        with self._lock:
            before = self._build
            if before is not None and began < self._began:
                return before  # another request has switched the build since
            self._build, self._began, self._reported = build, began, ""
            self.cache.put_index(build)
            if before is None or (before.id, before.index) != (build.id, build.index):
                self.cache.purge(build)
        return build

    def _cached_build(self, *, reload: bool = False) -> Build | None:
        """Cached build, used when the site does not respond.

        With `reload`, one that has all its files takes the place of one that has not.
        """
        with self._lock:
            build = self._build
            if build is None or (reload and not self.cache.is_complete(build)):
                found = self.cache.latest()
                if build is None or (found is not None and self.cache.is_complete(found)):
                    self._build = found
            return self._build

    # ------------------------------------------------------------------------------------- limits

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


def _dated(build: Build) -> str:
    """A kept build and its date, in a sentence."""
    name = f"build {printable(build.id)}"
    if build.fetched is None:
        return name
    return f"{name} of {datetime.fromtimestamp(build.fetched, UTC).astimezone():%Y-%m-%d}"


def _answer(body: bytes, media: str) -> Content:
    content = bytes_content(body, media)
    content.headers.extend((POLICY, REFERRER))  # also of scripts: a worker has that of its file
    return content
