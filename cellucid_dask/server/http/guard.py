"""Who may ask: the Host header, the Origin, the token."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs

import psutil
from werkzeug.sansio.http import parse_cookie

from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.http.deliver import Environ, Headers

CORS: Final = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type, Range"),
    ("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag"),
)
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def requested_hosts(environ: Environ) -> list[str]:
    """Hosts that a request names: in its Host header, and in its target of absolute form."""
    hosts = [environ.get("HTTP_HOST", "")]
    for key in ("RAW_URI", "REQUEST_URI"):  # no standard: as gunicorn, uWSGI and others have it
        found = _ABSOLUTE.match(environ.get(key, ""))
        if found is not None:
            hosts.append(found[1])
    return hosts


_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class HostPolicy:
    """Names the Host header may have, against DNS rebinding.

    Parameters
    ----------
    bound
        Address or name the server listens on; of all interfaces, every address of the machine.
    allowed
        What else the user allows.
    """

    def __init__(self, bound: str, allowed: Iterable[str]) -> None:
        names = (*LOOPBACK, *allowed, *_names_of(bound))
        self.names = {name.casefold().removesuffix(".") for name in names}
        self._good: set[str] = set()

    def accepts(self, header: str) -> bool:
        """Whether a Host header names this server, whatever its port."""
        if header in self._good:
            return True
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@,\s]+)(:\d{1,5})?", header)
        if found is None or found[1].casefold().removesuffix(".") not in self.names:
            return False
        if len(self._good) < 1000:
            self._good.add(header)
        return True


class AnyHostPolicy(HostPolicy):
    """Accepts every name: for a server whose paths begin with a secret.

    A page that came to this address by DNS rebinding does not know the secret, so it gets 404s,
    whatever it calls the server.
    """

    def __init__(self) -> None:
        super().__init__("localhost", ())

    def accepts(self, header: str) -> bool:  # noqa: ARG002
        """Whether a Host header names this server: always."""
        return True


def _names_of(bound: str) -> list[str]:
    try:
        address = ip_address(bound.strip("[]"))
    except ValueError:
        return [bound]
    if not address.is_unspecified:
        return [_written(str(address))]
    found = [socket.gethostname(), socket.getfqdn()]
    entries = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    inet = [e.address for e in entries if e.family in (socket.AF_INET, socket.AF_INET6)]
    return [*found, *(_written(address.partition("%")[0]) for address in inet)]


def _written(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_HERE: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_CELLUCID: Final = re.compile(r"https://([a-z0-9-]+\.)*cellucid\.com(:443)?")


def is_allowed_origin(origin: str) -> bool:
    """Whether pages of `origin` may read answers: those of this machine and of Cellucid."""
    here = _HERE.fullmatch(origin)
    if here is not None:
        return int((here[2] or ":0")[1:]) <= 65535
    return _CELLUCID.fullmatch(origin) is not None


def cors_headers(environ: Environ) -> Headers:
    """CORS headers of the answer to a request."""
    origin = environ.get("HTTP_ORIGIN")
    if not origin or not is_allowed_origin(origin):
        return []
    return [("Access-Control-Allow-Origin", origin), *CORS]


class Token:
    """The secret that requests must carry.

    Parameters
    ----------
    secret
        In a query once, then in a cookie, or as a bearer in every request.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        # Cookies know no ports: a name of its own for every server of this machine.
        self.cookie = "cellucid-" + hashlib.sha256(secret.encode()).hexdigest()[:8]

    @classmethod
    def chosen(cls, options: ServeOptions) -> Token | None:
        """Token of the options, made here when they say ``auto``; None for none."""
        if options.token in (None, "none"):
            return None
        made = options.token == "auto"  # noqa: S105  a choice, not a token
        return cls(secrets.token_urlsafe(24) if made else str(options.token))

    def check(self, environ: Environ, base_path: str) -> Headers | None:
        """Headers to answer with; None when the request does not carry the token."""
        kind, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.casefold() == "bearer" and self._same(given.strip()):
            return []
        # Not werkzeug.http.parse_cookie: it raises when a cookie, of whatever server, is not UTF-8.
        cookies = parse_cookie(environ.get("HTTP_COOKIE"))
        if any(map(self._same, cookies.getlist(self.cookie))):
            return []
        query = environ.get("QUERY_STRING", "")
        if "token=" in query and any(map(self._same, parse_qs(query).get("token", ()))):
            where = f"Path={base_path or ''}/; HttpOnly; SameSite=Lax"
            return [("Set-Cookie", f"{self.cookie}={self.secret}; {where}")]
        return None

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.secret.encode())
