"""Fetching one file of another web site, with limits of size and time; nothing is trusted."""

from __future__ import annotations

import ssl
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from time import monotonic
from typing import Final
from urllib.parse import urljoin, urlsplit

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from cellucid_dask.options.addresses import is_loopback, is_site_url
from cellucid_dask.server.hosted.deadline import (
    SILENT,
    Watch,
    seconds_left,
    watched_connection_class,
)

CONNECT: Final = 3.0  # seconds to connect, to each address of the name
PIECE: Final = 1 << 16
REDIRECTS: Final = 3
MOVED: Final = (301, 302, 303, 307, 308)


class UpstreamError(Exception):
    """A file cannot be fetched; the message says nothing about this machine."""


class UnreachableError(UpstreamError):
    """The site does not respond."""


class UnfitError(UpstreamError):
    """The response of the site cannot be used.

    Parameters
    ----------
    what
        The message.
    status
        The status of the response, if that is the reason.
    """

    def __init__(self, what: str, status: int | None = None) -> None:
        super().__init__(what)
        self.status = status


class NoSuchFileError(UpstreamError):
    """The site has no such file."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file.

    Parameters
    ----------
    body
        Exactly the bytes that the response announced.
    media
        Media type that the site gives; used only to detect an error page.
    tag
        Entity tag of the site, for conditional requests.
    """

    body: bytes
    media: str
    tag: str | None


class Upstream:
    """A web site.

    Parameters
    ----------
    url
        http or https, a host, and perhaps a path, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._origin = _origin(url)

    def get(self, path: str, limit: int, seconds: float, tag: str | None = None) -> Fetched | None:
        """Fetch a file; None when it still has `tag`.

        Parameters
        ----------
        path
            Below the URL, without its first slash, checked by the caller.
        limit
            Largest size in bytes.
        seconds
            Time limit from the first to the last byte of the response, without the connection.
        tag
            Entity tag of the known version.

        Raises
        ------
        UpstreamError
            When the complete file cannot be fetched.
        """
        url, until = f"{self.url}/{path}", monotonic() + seconds
        for _ in range(REDIRECTS + 1):
            try:
                with _Exchange(url, until, tag) as exchange:
                    status, headers = exchange.response.status, exchange.response.headers
                    if status == 304 and tag is not None:
                        return None
                    if status == 200:
                        media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
                        return Fetched(exchange.body(limit), media, headers.get("ETag"))
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                raise UnfitError(f"broke off ({type(error).__name__})") from error
            if status in (404, 410):
                raise NoSuchFileError("has no such file")
            if status not in MOVED:
                raise UnfitError(f"answered {status}", status)
            url = self._moved(url, headers.get("Location", ""))
        raise UnfitError("redirects without end")

    def _moved(self, url: str, location: str) -> str:
        """Target of a redirect, which must be on the same site."""
        try:
            target = parse_url(urljoin(url, location)).url
            where = _origin(target)
        except ValueError as error:
            raise UnfitError("redirects to what is no address") from error
        if where != self._origin:
            site = f", {where}" if is_site_url(where) else ""  # it may hold any characters
            raise UnfitError(f"redirects to another site{site}")
        return target


def _origin(url: str) -> str:
    # By what connects, too: in http://one.org\@two.org/ other parsers see the other host.
    parts = parse_url(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")
    return f"{parts.scheme}://{parts.host}:{port}"


class _Exchange:
    """A request and its response, on a connection of their own."""

    def __init__(self, url: str, until: float, tag: str | None) -> None:
        self._watch = Watch(until)
        self._manager = _manager(url)
        headers = {
            "Accept-Encoding": "identity",  # an inflated body has no length to check
            "Connection": "close",
            "User-Agent": f"cellucid-dask/{version('cellucid-dask')}",
        }
        if tag is not None:
            headers["If-None-Match"] = tag
        try:
            pool = self._manager.connection_from_url(url)
            pool.ConnectionCls = watched_connection_class(pool, self._watch)
            self.response: BaseHTTPResponse = self._manager.urlopen(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=min(CONNECT, seconds_left(until)), read=SILENT),
            )
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            self._manager.clear()
            raise UnreachableError(f"cannot be reached ({type(error).__name__})") from error

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *exc: object) -> None:
        self.response.close()
        self._manager.clear()

    def body(self, limit: int) -> bytes:
        """The complete body; checks the announced length."""
        response = self.response
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding != "identity":
            raise UnfitError("sent a coding that was not asked for")
        chunked = response.headers.get("Transfer-Encoding", "").strip().lower() == "chunked"
        length = response.headers.get("Content-Length")
        if not chunked and (length is None or not (length.isascii() and length.isdecimal())):
            raise UnfitError("did not say how long the file is")  # a part could pass for all
        if not chunked and int(length or 0) > limit:
            raise UnfitError(f"sent more than {limit:,} bytes")
        body = bytearray()
        while piece := response.read(PIECE):
            body += piece
            if len(body) > limit:
                raise UnfitError(f"sent more than {limit:,} bytes")
        if not chunked and len(body) != int(length or 0):
            raise UnfitError("sent less than it announced")
        if self._watch.surplus():
            raise UnfitError("sent more than it announced")
        return bytes(body)


def _manager(url: str) -> PoolManager:
    """Pool that connects directly, or through the proxy that the environment sets for this host."""
    parts = urlsplit(url)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not is_loopback(host) and not urllib.request.proxy_bypass(host):
        at = proxy if "://" in proxy else f"http://{proxy}"
        return ProxyManager(at, ssl_context=context)
    return PoolManager(ssl_context=context)
