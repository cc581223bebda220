"""What a user may choose of a server, checked once, at construction."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from cellucid_dask.errors import InputError, Problem
from cellucid_dask.options.argument_types import convert
from cellucid_dask.options.export import ExportOptions, Options, bytes_of, make

HOST: Final = "127.0.0.1"
PORT: Final = 8765
VIEWERS: Final = ("builtin", "hosted", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(Options):
    """How data is served.

    Parameters
    ----------
    host, port
        Where to listen. A port that is taken gives way to the next free one of 100; 0 takes any.
    open_browser
        Whether to open a browser, where there is one.
    quiet, verbose
        Print nothing but errors; or a line for every request.
    cache_size
        Bound on the memory of answers, those being made included, in bytes or as text such as
        ``"512MB"``.
    cache_dir
        Where the gene index of CSR data is kept; None is the cache folder of the user.
    index
        Whether to make and use that index.
    backed
        Read from the file as answers need it; False reads the whole AnnData into memory first.
    allowed_hosts
        Names besides the bound one and those of the loopback that the Host header may have.
    token
        ``auto`` makes one, ``none`` serves without where that must be said aloud; None needs
        none on a loopback address and refuses any other.
    base_path
        Prefix of all paths, as a reverse proxy has it.
    viewer
        The page at the root: ``builtin``, ``hosted`` for that of a web site, or ``none``.
    viewer_url
        The site of the hosted page; None is that of Cellucid.
    viewer_cache
        Where the hosted page is kept; None is below the cache folder of the user.

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
    viewer_url: str | None = None
    viewer_cache: str | os.PathLike[str] | None = None

    def _tidy(self) -> None:
        base = self.base_path.strip("/")
        object.__setattr__(self, "base_path", f"/{base}" if base else "")
        if self.viewer_url is not None:
            object.__setattr__(self, "viewer_url", self.viewer_url.rstrip("/"))

    def problems(self) -> Iterator[Problem]:
        """Say what is wrong with the values."""
        if not 0 <= self.port <= 65535:
            yield Problem(f"{self.port!r} is not a port", "--port", "use 0 to 65535")
        if bytes_of(self.cache_size) is None:
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
        yield from self._token_problems()
        yield from self._viewer_problems()

    def _viewer_problems(self) -> Iterator[Problem]:
        if self.viewer not in VIEWERS:
            fix = "use builtin, hosted or none"
            yield Problem(f"{self.viewer!r} is not a viewer", "--viewer", fix)
        url, folder = self.viewer_url, self.viewer_cache
        if self.viewer in ("builtin", "none"):
            for name, value in (("--viewer-url", url), ("--viewer-cache", folder)):
                if value is not None:
                    fix = "give --viewer hosted as well, or leave it out"
                    yield Problem("is for the hosted page only", name, fix)
        if url is not None and not is_site(url):
            fix = "write it as https://host or https://host/path, without user, ? or #"
            yield Problem(f"{url!r} is not the URL of a site", "--viewer-url", fix)
        if folder is not None and _is_file(Path(folder)):
            yield Problem(f"{os.fspath(folder)!r} is not a folder", "--viewer-cache")

    def _token_problems(self) -> Iterator[Problem]:
        token = self.token
        if token not in (None, "auto", "none") and not re.fullmatch(
            r"[A-Za-z0-9._~-]{8,200}", token
        ):
            fix = "use 8 or more letters, digits and . _ ~ -, or --token auto"
            yield Problem("cannot be used as a token", "--token", fix)
        if token is None and not is_loopback(self.host):
            fix = "use --token auto, or say --token none to let everyone in"
            yield Problem(f"{self.host} can be reached from other machines", "--host", fix)

    def cache_bytes(self) -> int:
        """`cache_size` in bytes."""
        return bytes_of(self.cache_size) or 0


BOTH: Final = (ExportOptions, ServeOptions)


def is_plain_path(path: str) -> bool:
    """Whether a path is empty, or made of parts that a URL writes as they are."""
    return bool(re.fullmatch(r"(/[A-Za-z0-9._~@:-]+)*", path)) and ".." not in path


def is_site(url: str) -> bool:
    """Whether `url` is http or https, a host, perhaps a port and a path, and no more."""
    found = re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?(/.*)?", url)
    if found is None or not is_plain_path(found[3] or ""):
        return False
    try:
        return urlsplit(url).port != 0 and bool(urlsplit(url).hostname)
    except ValueError:  # a port above 65535, or brackets around what is no address
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_serving(given: Mapping[str, Any]) -> tuple[ExportOptions, ServeOptions, list[Problem]]:
    """Make the options of a server of keyword arguments, and say what is wrong with them.

    Live data is served uncompressed by name, and as float32 unless ``quantize`` says otherwise.
    """
    given, problems = dict(given), []
    bits = given.pop("quantize", None)
    try:
        bits = convert(bits, Literal[8, 16] | None)
    except TypeError:
        problems.append(Problem(f"{bits!r} bits", "--quantize", "use 8 or 16"))
        bits = None
    fixed = {"compression": 0, "var_quantization": bits, "obs_quantization": bits}
    for key in fixed.keys() & given.keys():
        what, fix = "has no meaning for a server", "use --quantize for 8 or 16 bits"
        problems.append(Problem(what, repr(key), fix))
    problems += _translate(given)
    (what_served, how), wrong = make(BOTH, given | fixed, ("quantize", *OF_REFERENCE))
    return what_served, how, [*problems, *wrong]


OF_REFERENCE: Final = ("centroid_outlier_quantile", "normalize_embeddings")


def _translate(given: dict[str, Any]) -> list[Problem]:
    """Give arguments of the servers of the reference their names here; what is wrong with them."""
    problems = []
    theirs, ours = "centroid_outlier_quantile", "centroid_quantile"
    if theirs in given:
        value = given.pop(theirs)
        if ours in given:
            what = "are two names of one argument"
            problems.append(Problem(what, f"{theirs!r}, {ours!r}", "give one of them"))
        given.setdefault(ours, value)
    if given.pop("normalize_embeddings", True) is not True:
        what, fix = "embeddings are always normalized: the format has no other", "leave it out"
        problems.append(Problem(what, "'normalize_embeddings'", fix))
    return problems


def choose_data(data: Any, data_dir: Any, problems: Sequence[Problem]) -> tuple[Any, list[Problem]]:
    """The data, under our name of the argument or under that of the reference.

    Parameters
    ----------
    data, data_dir
        One of them is not None.
    problems
        What is already known to be wrong.

    Returns
    -------
    The data, and all that is wrong.

    Raises
    ------
    InputError
        When there are none.
    """
    if data is None and data_dir is None:
        nothing = Problem("there is nothing to serve", "data", "give a path or an AnnData")
        raise InputError.of([*problems, nothing])
    if data is None:
        return data_dir, [*problems]
    if data_dir is None:
        return data, [*problems]
    twice = Problem("are two names of one argument", "'data', 'data_dir'", "give one of them")
    return data, [*problems, twice]
