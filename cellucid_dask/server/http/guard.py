"""Who may send requests: the Host header, the Origin, the token."""

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
from werkzeug.exceptions import MisdirectedRequest, Unauthorized
from werkzeug.sansio.http import parse_cookie

from cellucid_dask.options.serve import ServeOptions
from cellucid_dask.server.http.response import Environ, Headers

EXPOSED: Final = "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag"
CORS: Final = (
    ("Access-Control-Allow-Headers", "Content-Type, Range"),
    ("Access-Control-Expose-Headers", EXPOSED),
)
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def requested_hosts(environ: Environ) -> list[str]:
    """Hosts that a request names: in its Host header, and in its target of absolute form."""
    hosts = [environ.get("HTTP_HOST", "")]
    for key in ("RAW_URI", "REQUEST_URI"):  # not standard: gunicorn, uWSGI and others set them
        match = _ABSOLUTE.match(environ.get(key, ""))
        if match is not None:
            hosts.append(match[1])
    return hosts


_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class HostPolicy:
    """Names that the Host header may have; protects against DNS rebinding.

    Parameters
    ----------
    bound
        Address or name the server listens on; for all interfaces, every address of the machine
        is allowed.
    allowed
        Other names that the user allows.
    """

    def __init__(self, bound: str, allowed: Iterable[str]) -> None:
        names = (*LOOPBACK, *allowed, *_bound_names(bound))
        self.names = {name.casefold().removesuffix(".") for name in names}
        self._accepted: set[str] = set()

    def check(self, environ: Environ) -> None:
        """Check the hosts that a request names.

        Raises
        ------
        MisdirectedRequest
            When one of them is not a name of this server.
        """
        if not all(map(self.accepts, requested_hosts(environ))):
            raise MisdirectedRequest("this server has another name: see --allowed-host")

    def accepts(self, header: str) -> bool:
        """Whether a Host header names this server, whatever its port."""
        if header in self._accepted:
            return True
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@,\s]+)(:\d{1,5})?", header)
        if match is None or match[1].casefold().removesuffix(".") not in self.names:
            return False
        if len(self._accepted) < 1000:
            self._accepted.add(header)
        return True


class AnyHostPolicy(HostPolicy):
    """Accepts every name: for a server whose paths begin with a secret.

    A page that reaches this address by DNS rebinding does not know the secret, so it gets 404.
    """

    def __init__(self) -> None:
        super().__init__("localhost", ())

    def accepts(self, header: str) -> bool:  # noqa: ARG002
        """Whether a Host header names this server: always."""
        return True


def _bound_names(bound: str) -> list[str]:
    try:
        address = ip_address(bound.strip("[]"))
    except ValueError:
        return [bound]
    if not address.is_unspecified:
        return [_in_url(str(address))]
    names = [socket.gethostname(), socket.getfqdn()]
    entries = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    inet = [e.address for e in entries if e.family in (socket.AF_INET, socket.AF_INET6)]
    return [*names, *(_in_url(address.partition("%")[0]) for address in inet)]


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_THIS_MACHINE: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_CELLUCID: Final = re.compile(r"https://([a-z0-9-]+\.)*cellucid\.com(:443)?")


def is_allowed_origin(origin: str) -> bool:
    """Whether pages of `origin` may read responses: those of this machine and of Cellucid."""
    local = _THIS_MACHINE.fullmatch(origin)
    if local is not None:
        return int((local[2] or ":0")[1:]) <= 65535
    return _CELLUCID.fullmatch(origin) is not None


def cors_headers(environ: Environ, methods: str) -> Headers:
    """CORS headers of the response to a request; `methods` are those that pages may use."""
    origin = environ.get("HTTP_ORIGIN")
    if not origin or not is_allowed_origin(origin):
        return []
    allowed = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Methods", methods)]
    return [*allowed, *CORS]


class Token:
    """The secret that requests must carry.

    Parameters
    ----------
    secret
        Sent in the query once and then in a cookie, or as a bearer token in every request.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        # Cookies ignore ports: every server of this machine needs a cookie name of its own.
        self.cookie = "cellucid-" + hashlib.sha256(secret.encode()).hexdigest()[:8]

    @classmethod
    def from_options(cls, options: ServeOptions) -> Token | None:
        """Token of the options, a new one for ``auto``; None for none."""
        if options.token in (None, "none"):
            return None
        is_auto = options.token == "auto"  # noqa: S105  a choice, not a token
        return cls(secrets.token_urlsafe(24) if is_auto else str(options.token))

    def authorize(self, environ: Environ, base_path: str) -> Headers:
        """Headers to add to the response: the cookie, when the token came in the query.

        Raises
        ------
        Unauthorized
            When the request does not carry the token.
        """
        kind, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.casefold() == "bearer" and self._matches(bearer.strip()):
            return []
        # Not werkzeug.http.parse_cookie: it raises when any server's cookie is not UTF-8.
        cookies = parse_cookie(environ.get("HTTP_COOKIE"))
        if any(map(self._matches, cookies.getlist(self.cookie))):
            return []
        query = environ.get("QUERY_STRING", "")
        if "token=" in query and any(map(self._matches, parse_qs(query).get("token", ()))):
            attributes = f"Path={base_path or ''}/; HttpOnly; SameSite=Lax"
            return [("Set-Cookie", f"{self.cookie}={self.secret}; {attributes}")]
        raise Unauthorized("this server requires its token: open the URL that it printed")

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.secret.encode())
