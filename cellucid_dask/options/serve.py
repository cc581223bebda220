"""Options of a server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cellucid_dask.errors import Problem
from cellucid_dask.options.addresses import is_loopback, is_plain_path, is_site_url
from cellucid_dask.options.base import Options
from cellucid_dask.options.sizes import parse_size

HOST: Final = "127.0.0.1"
PORT: Final = 8765
VIEWERS: Final = ("builtin", "hosted", "none")
PROTOCOLS: Final = ("folder", "ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(Options):
    """How data is served.

    Parameters
    ----------
    host, port
        Where to listen. If the port is in use, the next free one of 100 is taken; 0 takes any.
    open_browser
        Whether to open a browser, if there is one.
    quiet, verbose
        Print only errors; or print a line for every request.
    cache_size
        Limit of the memory of responses, including those in preparation, in bytes or as text such
        as ``"512MB"``.
    cache_dir
        Folder for the gene index of CSR data; None is the cache folder of the user.
    index
        Whether to build and use that index.
    backed
        Read from the file when a response needs it; False reads the AnnData into memory first.
    allowed_hosts
        Names that the Host header may have, in addition to the bound and the loopback names.
    token
        Secret of the requests. ``auto`` makes one; ``none`` serves without one on any address;
        None serves without one on a loopback address, and refuses other addresses.
    base_path
        Prefix of all paths, as behind a reverse proxy.
    viewer
        The page at the root: ``builtin``, ``hosted`` for the page of a web site, or ``none``.
    protocol
        Whose bodies the paths have that two protocols share: ``folder`` of the built-in page, or
        ``ready`` of today's public app; None is that of the viewer.
    viewer_url
        Site of the hosted page; None is the site of Cellucid.
    viewer_cache
        Folder for the hosted page; None is below the cache folder of the user.

    Raises
    ------
    OptionError
        With every value that cannot be used.
    """

    host: str = HOST
    port: int = PORT
    open_browser: bool = True
    quiet: bool = False
    verbose: bool = False
    cache_size: float | str = "512MB"
    cache_dir: str | os.PathLike[str] | None = None
    index: bool = True
    backed: bool = True
    allowed_hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    base_path: str = ""
    viewer: str = "builtin"
    protocol: str | None = None
    viewer_url: str | None = None
    viewer_cache: str | os.PathLike[str] | None = None

    def _normalize(self) -> None:
        base = self.base_path.strip("/")
        object.__setattr__(self, "base_path", f"/{base}" if base else "")
        if self.viewer_url is not None:
            object.__setattr__(self, "viewer_url", self.viewer_url.rstrip("/"))

    def find_problems(self) -> Iterator[Problem]:
        """Find every problem of the values."""
        if not 0 <= self.port <= 65535:
            yield Problem(f"{self.port!r} is not a port", "--port", "use 0 to 65535")
        if parse_size(self.cache_size) is None:
            fix = "write it as 512MB or 512MiB"
            yield Problem(f"{self.cache_size!r} is not a size", "--cache-size", fix)
        elif self.cache_bytes() < 16_000_000:
            yield Problem("is less than 16 MB", "--cache-size", "512MB is the default")
        if self.cache_dir is not None and _is_file(Path(self.cache_dir)):
            where = "--cache-dir"
            yield Problem(f"{os.fspath(self.cache_dir)!r} is not a folder", where)
        if not is_plain_path(self.base_path):
            fix = "write it as /name or /name/name"
            yield Problem(f"{self.base_path!r} is not a path", "--base-path", fix)
        for name in self.allowed_hosts:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", name):
                fix = "give the name alone, such as viewer.lab.org: no http://, port or path"
                yield Problem(f"{name!r} is not a host name", "--allowed-host", fix)
        yield from self._check_token()
        yield from self._check_viewer()

    def _check_viewer(self) -> Iterator[Problem]:
        if self.viewer not in VIEWERS:
            fix = "use builtin, hosted or none"
            yield Problem(f"{self.viewer!r} is not a viewer", "--viewer", fix)
        if self.protocol not in (None, *PROTOCOLS):
            fix = "use folder or ready"
            yield Problem(f"{self.protocol!r} is not a protocol", "--protocol", fix)
        url, folder = self.viewer_url, self.viewer_cache
        if self.viewer in ("builtin", "none"):
            for name, value in (("--viewer-url", url), ("--viewer-cache", folder)):
                if value is not None:
                    fix = "give --viewer hosted as well, or leave it out"
                    yield Problem("is for the hosted page only", name, fix)
        if url is not None and not is_site_url(url):
            fix = "write it as https://host or https://host/path, without user, ? or #"
            yield Problem(f"{url!r} is not the URL of a site", "--viewer-url", fix)
        if folder is not None and _is_file(Path(folder)):
            yield Problem(f"{os.fspath(folder)!r} is not a folder", "--viewer-cache")

    def _check_token(self) -> Iterator[Problem]:
        token = self.token
        if token not in (None, "auto", "none") and not re.fullmatch(
            r"[A-Za-z0-9._~-]{8,200}", token
        ):
            fix = "use 8 or more letters, digits and . _ ~ -, or --token auto"
            yield Problem("cannot be used as a token", "--token", fix)
        if token is None and not is_loopback(self.host):
            fix = "use --token auto, or say --token none to let everyone in"
            yield Problem(f"{self.host} can be reached from other machines", "--host", fix)

    @property
    def speaks_ready(self) -> bool:
        """Whether paths that two protocols share have the bodies of the public app."""
        return (self.protocol or ("ready" if self.viewer == "hosted" else "folder")) == "ready"

    def cache_bytes(self) -> int:
        """Return `cache_size` in bytes."""
        return parse_size(self.cache_size) or 0


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return True
