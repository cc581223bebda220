"""The page in a notebook: a server in the background, and a frame that shows it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from threading import RLock
from typing import Any, Final, TypeAlias

from cellucid_dask.arguments.boundary import with_argument_names
from cellucid_dask.errors import CellucidDaskError, Problem
from cellucid_dask.notebook.embedded_server import FIXED, FramedServer
from cellucid_dask.notebook.proxy import proxy_prefix
from cellucid_dask.options.keywords import (
    REFERENCE_ARGUMENTS,
    SERVER_OPTIONS,
    choose_data,
    find_unknown_options,
)
from cellucid_dask.server.announce import has_browser, write_lines
from cellucid_dask.server.datasets.collection import looks_like_export
from cellucid_dask.server.datasets.opening import holds_exports

HELD: Final = 3  # data in memory that are served at a time, each as large as it is
TALLEST: Final = 10_000  # px
NAMES: Final = (
    frozenset(field.name for options in SERVER_OPTIONS for field in fields(options))
    .union(("height", "proxy", "quantize", *REFERENCE_ARGUMENTS))
    .difference(FIXED)
)

Key: TypeAlias = tuple[Any, ...]

_LOCK: Final = RLock()
_SERVERS: Final[dict[Key, FramedServer]] = {}  # in the order in which they were last shown


class View:
    """A page that is served; the last line of a cell, or ``display``, shows it in the notebook.

    Parameters
    ----------
    server
        The server behind it, which all views of the same data with the same options share.
    name
        Of the data.
    prefix
        Begin of the paths of Jupyter's proxy; None when the browser reaches the server itself.
    height
        Of the frame, in px.
    """

    def __init__(self, server: FramedServer, name: str, prefix: str | None, height: int) -> None:
        self.server, self.name, self.height = server, name, height
        self.prefix = prefix

    @property
    def url(self) -> str:
        """URL of the page; a path of the Jupyter server when it goes through its proxy."""
        if self.prefix is None:
            return self.server.viewer_url
        return f"{self.prefix}proxy/{self.server.port}/{self.server.path}"

    def stop(self) -> None:
        """Stop the server, and let go of data in memory; frames that show it get no more data."""
        with _LOCK:
            for key in [key for key, server in _SERVERS.items() if server is self.server]:
                del _SERVERS[key]
            self.server.stop()

    def __repr__(self) -> str:
        # Without the URL: it would be in the text of every saved notebook.
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
    **options: Any,
) -> View:
    """Show an export, a folder of exports or live data in a notebook.

    The server runs in the background until the kernel ends. It is used again when the same data
    are shown with the same options. Outside a notebook, the URL is printed and a browser opened.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    height
        Of the frame, in px.
    proxy
        Whether the browser goes through jupyter-server-proxy, or the base URL of Jupyter for
        that, such as ``"/user/ada/"``; None finds out.
    data_dir
        Another name of `data`, as ``cellucid`` has it.
    **options
        As in `cellucid_dask.CellucidServer`, but for ``host``, ``token``, ``base_path``,
        ``allowed_hosts`` and ``verbose``.

    Returns
    -------
    What shows the page as the last line of a cell; it has ``url``, ``server`` and ``stop()``.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Examples
    --------
    >>> from cellucid_dask import show
    >>> show("exports/atlas")  # doctest: +SKIP
    """
    data, problems = choose_data(data, data_dir, [])
    return _shown(data, height, proxy, options, problems)


@with_argument_names()
def show_anndata(
    data: Any, height: int = 600, *, proxy: bool | str | None = None, **options: Any
) -> View:
    """Show an AnnData in a notebook.

    One in memory is shown as it is now: call it again after a change, and reload older frames.

    Parameters
    ----------
    data
        Path of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    height, proxy, **options
        As in `show`.

    Returns
    -------
    As `show`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong, also when the path is an export.
    """
    wrong = holds_exports(data)
    problem = Problem("is an export, not an AnnData", str(data) if wrong else "", "use show")
    return _shown(data, height, proxy, options, [problem] if wrong else [])


def _shown(
    data: Any,
    height: int,
    proxy: bool | str | None,
    options: dict[str, Any],
    problems: list[Problem],
) -> View:
    kernel = in_kernel()
    wrong = find_unknown_options([name for name in options if name not in FIXED], NAMES)
    options = {name: value for name, value in options.items() if name in (*NAMES, *FIXED)}
    quiet = options.pop("quiet", False)
    browser = options.pop("open_browser", not kernel)
    if type(height) is not int or not 0 < height <= TALLEST:
        problems.append(Problem(f"{height!r} is not a height", "'height'", "give px, such as 600"))
    problems += wrong
    prefix = None
    try:
        prefix = proxy_prefix(proxy, kernel=kernel)
    except CellucidDaskError as error:
        problems += error.problems
    path = Path(data).absolute() if isinstance(data, str | os.PathLike) else None
    server = _server_of(data if path is None else path, options, problems)
    view = View(server, _name(server, path), prefix, height)
    if not kernel and not quiet:
        write_lines(sys.stdout, [f"open {view.url}"])
    if browser and prefix is None and has_browser():
        webbrowser.open(view.url)
    return view


def in_kernel() -> bool:
    """Whether this is a kernel, whose outputs a notebook shows."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _name(server: FramedServer, path: Path | None) -> str:
    listed = server.opened.datasets.list()
    if len(listed) == 1:
        return str(listed[0]["name"])
    return "exports" if path is None else path.name


def _server_of(data: Any, options: dict[str, Any], problems: Sequence[Problem]) -> FramedServer:
    """Server of the data that runs, or a new one."""
    if problems:
        return FramedServer(data, problems=problems, **options)  # raises, with what else is wrong
    key = _key(data, options)
    with _LOCK:
        server = _SERVERS.pop(key, None)
        if server is None or not server.is_running():
            server = FramedServer(data, **options)
            server.start_background()
        elif _is_held(key):
            _renew(server)
        _SERVERS[key] = server
        held = [other for other in _SERVERS if _is_held(other)]
        for old in held[:-HELD]:
            _SERVERS.pop(old).stop()
    return server


def _renew(server: FramedServer) -> None:
    """Show data in memory as they are now."""
    try:
        server.app.data.reopen()
    except BaseException:
        server.stop()  # it would go on to show what is not so any more
        raise


def _key(data: Any, options: dict[str, Any]) -> Key:
    """What tells servers apart: a fork of the kernel has none of those of the kernel itself."""
    chosen = repr(sorted(options.items()))
    if not isinstance(data, Path):
        # The server holds the object, so no other one gets its id while this key is there.
        return (os.getpid(), "held", id(data), chosen)
    place = os.path.realpath(data)
    if options.get("backed") is False:
        return (os.getpid(), "held", place, chosen)
    # What is at the path may have become something else.
    kind = (holds_exports(data), looks_like_export(data))
    return (os.getpid(), kind, place, chosen)


def _is_held(key: Key) -> bool:
    return bool(key[1] == "held")
