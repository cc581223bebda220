"""The page in a notebook: a server in the background, and a frame with its page."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cellucid_dask.arguments.boundary import with_argument_names
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.display.kernel import in_kernel
from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.notebook.embedded_server import FIXED_OPTIONS, EmbeddedServer
from cellucid_dask.notebook.proxy import find_proxy_prefix
from cellucid_dask.options.formats import OF_EXPORT
from cellucid_dask.options.keywords import (
    REFERENCE_ARGUMENTS,
    SERVER_OPTIONS,
    choose_data,
    find_unknown_options,
)
from cellucid_dask.server.announce import has_browser, write_lines
from cellucid_dask.server.datasets.collection import looks_like_export
from cellucid_dask.server.opening import holds_exports

if TYPE_CHECKING:
    from typing import Unpack

    from cellucid_dask.options.keyword_types import ShowKeywords

MAX_IN_MEMORY: Final = 3  # datasets in memory that are served at the same time
MAX_HEIGHT: Final = 10_000  # px
OPTION_NAMES: Final = (
    frozenset(field.name for options in SERVER_OPTIONS for field in fields(options))
    .union(("height", "proxy", "quantize", *REFERENCE_ARGUMENTS))
    .difference(FIXED_OPTIONS, OF_EXPORT)
)

Key: TypeAlias = tuple[Any, ...]

_LOCK: Final = RLock()
_SERVERS: Final[dict[Key, EmbeddedServer]] = {}  # in the order in which they were last shown


class View:
    """A page that is served. The last line of a cell, or ``display``, shows it in the notebook.

    Parameters
    ----------
    server
        The server of the page; all views of the same data with the same options share it.
    name
        Name of the data.
    prefix
        Prefix of the paths of Jupyter's proxy; None when the browser needs no proxy.
    height
        Height of the frame, in px.
    """

    def __init__(self, server: EmbeddedServer, name: str, prefix: str | None, height: int) -> None:
        self.server, self.name, self.height = server, name, height
        self.prefix = prefix

    @property
    def url(self) -> str:
        """URL of the page; through Jupyter's proxy, a path of the Jupyter server."""
        if self.prefix is None:
            return self.server.viewer_url
        return f"{self.prefix}proxy/{self.server.port}/{self.server.path}"

    def stop(self) -> None:
        """Stop the server, and release data in memory; frames of the page get no more data."""
        with _LOCK:
            for key in [key for key, server in _SERVERS.items() if server is self.server]:
                del _SERVERS[key]
            self.server.stop()

    def __repr__(self) -> str:
        # Without the URL: every saved notebook would hold it.
        state = f"served on port {self.server.port}" if self.server.is_running() else "stopped"
        return f"<View of {self.name}: {state}>"

    def _repr_html_(self) -> str:
        name = escape(self.name)
        if not self.server.is_running():
            return f"<p>The server of {name} was stopped. Run the cell again.</p>"
        return (
            f'<iframe src="{escape(self.url)}" title="Cellucid: {name}" '
            f'width="100%" height="{self.height}" style="border: 0" '
            f'allow="fullscreen; clipboard-write"></iframe>'
        )


@with_argument_names()
def show(
    data: Any = None,
    height: int = 600,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    proxy: bool | str | None = None,
    **options: Unpack[ShowKeywords],
) -> View:
    """Show an export, a folder of exports or live data in a notebook.

    The server runs in the background until the kernel ends. The same data with the same options
    use the same server. Outside a notebook, print the URL and open a browser.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    height
        Height of the frame, in px.
    proxy
        Whether the browser uses jupyter-server-proxy, or the base URL of Jupyter for it, such as
        ``"/user/ada/"``; None decides itself.
    data_dir
        Another name of `data`, as in ``cellucid``.
    **options
        As in `cellucid_dask.CellucidServer`, without ``host``, ``token``, ``base_path``,
        ``allowed_hosts`` and ``verbose``.

    Returns
    -------
    View
        Shows the page as the last line of a cell.

    Raises
    ------
    CellucidDaskError
        With all problems of the data and the options.

    Examples
    --------
    >>> from cellucid_dask import show
    >>> show("exports/atlas")  # doctest: +SKIP
    """
    data, problems = choose_data(data, data_dir, [])
    return _make_view(data, height, proxy, options, problems)


@with_argument_names()
def show_anndata(
    data: Any,
    height: int = 600,
    *,
    proxy: bool | str | None = None,
    **options: Unpack[ShowKeywords],
) -> View:
    """Show an AnnData in a notebook.

    An AnnData in memory is shown as it is now: after a change, call the function again, and
    reload older frames.

    Parameters
    ----------
    data
        Path of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    height, proxy, **options
        As in `show`.

    Returns
    -------
    View
        As of `show`.

    Raises
    ------
    CellucidDaskError
        With all problems; one of them is a path of an export.
    """
    is_export = holds_exports(data)
    problem = Problem("is an export, not an AnnData", str(data) if is_export else "", "use show")
    return _make_view(data, height, proxy, options, [problem] if is_export else [])


def _make_view(
    data: Any,
    height: int,
    proxy: bool | str | None,
    options: Mapping[str, Any],
    problems: list[Problem],
) -> View:
    kernel = in_kernel()
    unknown = find_unknown_options(
        [name for name in options if name not in FIXED_OPTIONS], OPTION_NAMES
    )
    options = {
        name: value for name, value in options.items() if name in (*OPTION_NAMES, *FIXED_OPTIONS)
    }
    quiet = options.pop("quiet", False)
    browser = options.pop("open_browser", not kernel)
    if type(height) is not int or not 0 < height <= MAX_HEIGHT:
        problems.append(Problem(f"{height!r} is not a height", "'height'", "give px, such as 600"))
    problems += unknown
    prefix = None
    try:
        prefix = find_proxy_prefix(proxy, kernel=kernel)
    except CellucidDaskError as error:
        problems += error.problems
    path = Path(data).absolute() if isinstance(data, str | os.PathLike) else None
    server = _find_or_start_server(data if path is None else path, options, problems)
    view = View(server, _view_name(server, path), prefix, height)
    if not kernel and not quiet:
        write_lines(sys.stdout, [f"open {view.url}"])
    if browser and prefix is None and has_browser():
        webbrowser.open(view.url)
    return view


def _view_name(server: EmbeddedServer, path: Path | None) -> str:
    listed = server.opened.datasets.list()
    if len(listed) == 1:
        return str(listed[0]["name"])
    return "exports" if path is None else path.name


def _find_or_start_server(
    data: Any, options: dict[str, Any], problems: Sequence[Problem]
) -> EmbeddedServer:
    """Return the running server of the data, or start a new one."""
    if problems:
        return EmbeddedServer(data, problems=problems, **options)  # raises all problems
    key = _server_key(data, options)
    with _LOCK:
        server = _SERVERS.pop(key, None)
        if server is None or not server.is_running():
            server = EmbeddedServer(data, **options)
            server.start_background()
        elif _is_in_memory(key):
            _reopen(server)
        _SERVERS[key] = server
        in_memory = [other for other in _SERVERS if _is_in_memory(other)]
        for old in in_memory[:-MAX_IN_MEMORY]:
            _SERVERS.pop(old).stop()
    return server


def _reopen(server: EmbeddedServer) -> None:
    """Serve data in memory as they are now."""
    try:
        server.app.data.reopen()
    except BaseException:
        server.stop()  # it would still serve the old state
        raise
    warn_caller(server.opened.warnings())


def _server_key(data: Any, options: dict[str, Any]) -> Key:
    """Return the key of a server; a fork of the kernel does not share servers with it."""
    chosen = repr(sorted(options.items()))
    if not isinstance(data, Path):
        # The server holds the object, so no other object has its id while the key exists.
        return (os.getpid(), "in memory", id(data), chosen)
    location = os.path.realpath(data)
    if options.get("backed") is False:
        return (os.getpid(), "in memory", location, chosen)
    # The path may have changed from an export to something else.
    kind = (holds_exports(data), looks_like_export(data))
    return (os.getpid(), kind, location, chosen)


def _is_in_memory(key: Key) -> bool:
    return bool(key[1] == "in memory")
