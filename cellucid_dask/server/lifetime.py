"""Servers: the application on a socket, started and stopped from the command line or a notebook."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from cellucid_dask.arguments.boundary import in_arguments
from cellucid_dask.errors import InputError, Problem
from cellucid_dask.options.serve import HOST, PORT, choose_data, read_serving
from cellucid_dask.server.announce import has_browser, reachable_name, tunnel_command, write_lines
from cellucid_dask.server.app import App
from cellucid_dask.server.datasets.opening import Opened, open_data
from cellucid_dask.server.http.guard import Token
from cellucid_dask.server.http.listener import Listener, bind

S = TypeVar("S", bound="CellucidServer")
LOOK_AGAIN: Final = 0.2  # seconds until the main thread is asked again whether it has ended


@in_arguments()
def create_app(data: Any, **options: Any) -> App:
    """Make the WSGI application, for a server of your own such as gunicorn.

    Parameters
    ----------
    data
        Path of an export, of a folder of exports, of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    **options
        Fields of `cellucid_dask.options.ServeOptions` (how it is served) and, for live
        data, of `cellucid_dask.options.ExportOptions` (what is served); ``quantize`` is 8, 16 or
        None.
        The host is the one that the Host header of requests may name.

    Returns
    -------
    The application. Its background work starts with the first request, so that it may be made
    before a server forks.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Examples
    --------
    >>> from cellucid_dask import create_app
    >>> app = create_app("exports/atlas", allowed_hosts=("viewer.lab.org",))  # doctest: +SKIP
    """
    return _app(data, options)


def _app(data: Any, options: dict[str, Any], problems: Sequence[Problem] = ()) -> App:
    what, how, wrong = read_serving(options)
    if problems or wrong:
        open_data(data, what, how, [*problems, *wrong]).close()
        raise InputError.of([*problems, *wrong])
    return App(lambda: open_data(data, what, how), how, Token.chosen(how))


class CellucidServer:
    """Serves an export, a folder of exports or live data, until it is stopped.

    Parameters
    ----------
    data
        As in `create_app`.
    port, host
        Where to listen. A port that is taken gives way to the next free one; 0 takes any.
    open_browser
        Open the page, where there is a browser.
    quiet
        Print nothing but errors.
    data_dir
        Another name of `data`, as the servers of ``cellucid`` have it.
    problems
        What is already known to be wrong, told with the rest.
    **options
        As in `create_app`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Examples
    --------
    >>> from cellucid_dask import CellucidServer
    >>> with CellucidServer("exports/atlas", quiet=True) as server:  # doctest: +SKIP
    ...     print(server.viewer_url)
    """

    @in_arguments()
    def __init__(
        self,
        data: Any = None,
        port: int = PORT,
        host: str = HOST,
        open_browser: bool = False,
        quiet: bool = False,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        problems: Sequence[Problem] = (),
        **options: Any,
    ) -> None:
        data, problems = choose_data(data, data_dir, problems)
        given = {"port": port, "host": host, "open_browser": open_browser, "quiet": quiet}
        self.app = _app(data, options | given, problems)
        self.port, self.host = port, host
        self._data = data
        self._listener: Listener | None = None
        self._stopped = threading.Event()

    # --------------------------------------------------------------------------------- addresses

    @property
    def opened(self) -> Opened:
        """What is served."""
        return self.app.opened

    @property
    def url(self) -> str:
        """Root of the server, without a slash at the end."""
        return f"http://{reachable_name(self.host)}:{self.port}{self.app.serving.base_path}"

    @property
    def viewer_url(self) -> str:
        """What to open in a browser, the token included."""
        query = [] if self.app.token is None else [f"token={self.app.token.secret}"]
        if self.opened.type == "anndata":
            query.append("anndata=true")
        return f"{self.url}/" + ("?" + "&".join(query) if query else "")

    # ---------------------------------------------------------------------------------- lifetime

    @in_arguments()
    def start(self, *, blocking: bool = True) -> None:
        """Serve; until Ctrl-C, a signal or `stop` unless not `blocking`.

        Raises
        ------
        OptionError
            When the address cannot be listened on.
        """
        if self._listener is None:
            asked, listening = self.port, bind(self.host, self.port)
            self.port = listening.getsockname()[1]
            self._stopped = threading.Event()
            self._listener = Listener(self.app, listening)
            try:
                self._end_with_the_main_thread(self._listener, self._stopped)
                self.app.start()
                self._tell(asked)
                if self._has_page() and self.app.serving.open_browser and has_browser():
                    webbrowser.open(self.viewer_url)
            except BaseException:
                self.stop()
                raise
        if blocking:
            try:
                self.wait()
            finally:
                self.stop()

    def start_background(self) -> None:
        """Serve from threads of this process, and go on, until `stop` or the main thread ends."""
        self.start(blocking=False)

    def _end_with_the_main_thread(self, listener: Listener, stopped: threading.Event) -> None:
        """Stop when the main thread has ended: the interpreter waits for the listener."""

        def watch() -> None:
            while not stopped.wait(LOOK_AGAIN):
                if not threading.main_thread().is_alive():
                    self.stop()
            listener.wait_for_threads()

        # Not a daemon: the interpreter must wait until the server is stopped.
        threading.Thread(target=watch, name="cellucid end", daemon=False).start()

    def wait(self) -> None:
        """Block until the server is stopped."""
        while not self._stopped.wait(0.5):  # a wait without end would not see Ctrl-C everywhere
            pass

    def stop(self) -> bool:
        """Stop within about a second; whether all answers under way went out.

        The server can be started again.
        """
        listener, self._listener = self._listener, None
        clean = True if listener is None else listener.stop()
        self.app.close()
        self._stopped.set()
        return clean

    def is_running(self) -> bool:
        """Whether requests are answered."""
        return self._listener is not None and self._listener.alive

    def __enter__(self) -> Self:
        self.start_background()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -------------------------------------------------------------------------------------- words

    def _has_page(self) -> bool:
        return self.app.serving.viewer != "none"

    def _tell(self, asked: int) -> None:
        if self.app.serving.quiet:
            if self.app.serving.token == "auto":  # noqa: S105  nobody else could tell it
                write_lines(sys.stdout, [self.viewer_url])
            return
        lines = self.opened.describe(str(self._data))
        verb = "open" if self._has_page() else "no page, data only:"
        if self.app.hosted is not None:
            lines.append(
                f"the page of {self.app.hosted.url}, kept in {self.app.hosted.cache.folder}"
            )
        if self.port != asked and asked:
            lines.append(f"port {asked} is taken: using {self.port}")
        lines.append(f"{verb} {self.viewer_url}")
        command = tunnel_command(self.host, self.port)
        if command is not None:
            here = f"http://localhost:{self.port}{self.app.serving.base_path}"
            local = self.viewer_url.replace(self.url, here, 1)
            lines += ["on your own computer:", f"    {command}", f"    then {verb} {local}"]
        lines.append("Ctrl-C stops it")
        write_lines(sys.stdout, lines)


class AnnDataServer(CellucidServer):
    """Serves an AnnData: a path of a file, or an object in memory.

    Parameters are those of `CellucidServer`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong, also when the path is an export.
    """

    @in_arguments()
    def __init__(self, data: Any = None, *args: Any, **options: Any) -> None:
        super().__init__(data, *args, **options)
        if self.opened.live is None:
            self.app.close()
            raise InputError("is an export, not an AnnData", where=str(self._data), fix="use serve")


def serve(
    data: Any = None,
    port: int = PORT,
    host: str = HOST,
    open_browser: bool = True,
    quiet: bool = False,
    **options: Any,
) -> CellucidServer:
    """Serve an export, a folder of exports or live data until Ctrl-C; opens a browser.

    Parameters
    ----------
    data, port, host, open_browser, quiet, **options
        As in `CellucidServer`.

    Returns
    -------
    The server, which has stopped.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Examples
    --------
    >>> from cellucid_dask import serve
    >>> serve("exports/atlas", token="auto")  # doctest: +SKIP
    """
    return _blocking(CellucidServer(data, port, host, open_browser, quiet, **options))


def serve_anndata(
    data: Any = None,
    port: int = PORT,
    host: str = HOST,
    open_browser: bool = True,
    quiet: bool = False,
    **options: Any,
) -> AnnDataServer:
    """Serve an AnnData until Ctrl-C; opens a browser.

    Parameters
    ----------
    data
        Path of an .h5ad, .zarr or .zarr.zip, or an AnnData.
    port, host, open_browser, quiet, **options
        As in `CellucidServer`.

    Returns
    -------
    The server, which has stopped.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.
    """
    return _blocking(AnnDataServer(data, port, host, open_browser, quiet, **options))


def _blocking(server: S) -> S:
    try:
        server.start()
    except KeyboardInterrupt:
        if not server.app.serving.quiet:
            write_lines(sys.stdout, ["stopped"])
    return server
