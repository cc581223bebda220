"""Servers: the application on a socket, started and stopped from the command line or a notebook."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from cellucid_dask.arguments.boundary import is_command, with_argument_names
from cellucid_dask.arguments.caller_warnings import warn_caller
from cellucid_dask.display.results import Link, Value, count, html_table
from cellucid_dask.errors import InputError, Problem
from cellucid_dask.options.keywords import choose_data
from cellucid_dask.options.serve import HOST, PORT
from cellucid_dask.server.announce import (
    has_browser,
    open_lines,
    reachable_name,
    tunnel_command,
    write_lines,
)
from cellucid_dask.server.datasets.served import ServedData
from cellucid_dask.server.http.listener import Listener, bind
from cellucid_dask.server.progress_lines import progress_lines
from cellucid_dask.server.wsgi import build_app

if TYPE_CHECKING:
    from typing import Unpack

    from cellucid_dask.options.keyword_types import ServerKeywords

NO_EXPORTS: Final = (
    "today's page of Cellucid reads no export, and will show no data: serve the AnnData, "
    "or a ready file of it: export --format zarr"
)
MAIN_THREAD_CHECK: Final = 0.2  # seconds between two checks whether the main thread has ended


class CellucidServer:
    """Serves an export, a folder of exports or live data, until it is stopped.

    Parameters
    ----------
    data
        As in `create_app`.
    port, host
        Where to listen. When the port is in use, the next free one of 100; 0 selects any free port.
    open_browser
        Open the page in a browser, when this machine has one.
    quiet
        Print nothing but errors.
    data_dir
        Another name of `data`, for compatibility with ``cellucid``.
    problems
        Problems that are already known; they are reported with all others.
    **options
        As in `create_app`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong with the data and the options.

    Warns
    -----
    DataWarning
        For each warning about the data.

    Examples
    --------
    >>> from cellucid_dask import CellucidServer
    >>> with CellucidServer("exports/atlas", quiet=True) as server:  # doctest: +SKIP
    ...     print(server.viewer_url)
    """

    @with_argument_names()
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
        **options: Unpack[ServerKeywords],
    ) -> None:
        data, problems = choose_data(data, data_dir, problems)
        given = {"port": port, "host": host, "open_browser": open_browser, "quiet": quiet}
        self.app = build_app(data, options | given, problems)
        self.port, self.host = port, host
        self._data = data
        self._listener: Listener | None = None
        self._stopped = threading.Event()
        try:
            warn_caller([*self.opened.warnings(), *self._page_warnings()])
        except BaseException:  # of a caller who turns warnings into errors
            self.app.close()
            raise

    # --------------------------------------------------------------------------------- addresses

    @property
    def opened(self) -> ServedData:
        """The data that are open now."""
        return self.app.data.current

    @property
    def url(self) -> str:
        """URL of the root, without a slash at the end."""
        return f"http://{reachable_name(self.host)}:{self.port}{self.app.serving.base_path}"

    @property
    def viewer_url(self) -> str:
        """URL of the page, with the token."""
        query = [] if self.app.token is None else [f"token={self.app.token.secret}"]
        if self.opened.type == "anndata":
            query.append("anndata=true")
        return f"{self.url}/" + ("?" + "&".join(query) if query else "")

    # ---------------------------------------------------------------------------------- lifetime

    @with_argument_names()
    def start(self, *, blocking: bool = True) -> None:
        """Start to serve, and block until Ctrl-C, a signal or `stop`.

        Parameters
        ----------
        blocking
            False returns at once; the server then runs in threads of this process.

        Raises
        ------
        OptionError
            When the server cannot listen on the address.
        """
        if self._listener is None:
            self._listen()
        if blocking:
            try:
                self.wait()
            finally:
                self.stop()

    def start_background(self) -> None:
        """Serve from threads of this process until `stop`, or until the main thread ends."""
        self.start(blocking=False)

    def _listen(self) -> None:
        requested_port, listening = self.port, bind(self.host, self.port)
        self.port = listening.getsockname()[1]
        self._stopped = threading.Event()
        self._listener = Listener(self.app, listening)
        try:
            self._stop_after_main_thread(self._listener, self._stopped)
            self.app.data.start()
            self._announce(requested_port)
            if self.opened.speaks_ready and not self.app.serving.quiet:
                threading.Thread(
                    target=self._tell_progress, args=(self._stopped,), daemon=True
                ).start()
            if self._has_page() and self.app.serving.open_browser and has_browser():
                webbrowser.open(self.viewer_url)
        except BaseException:
            self.stop()
            raise

    def _stop_after_main_thread(self, listener: Listener, stopped: threading.Event) -> None:
        """Stop when the main thread has ended: the interpreter waits for the listener."""

        def watch() -> None:
            while not stopped.wait(MAIN_THREAD_CHECK):
                if not threading.main_thread().is_alive():
                    self.stop()
            listener.wait_for_threads()

        # Not a daemon: the interpreter must wait until the server is stopped.
        threading.Thread(target=watch, name="cellucid end", daemon=False).start()

    def wait(self) -> None:
        """Block until the server is stopped."""
        while not self._stopped.wait(0.5):  # without a timeout some systems ignore Ctrl-C
            pass

    def stop(self) -> bool:
        """Stop within about a second; the server can be started again.

        Returns
        -------
        bool
            Whether all running responses were sent to their end.
        """
        listener, self._listener = self._listener, None
        clean = True if listener is None else listener.stop()
        self.app.close()
        self._stopped.set()
        return clean

    def is_running(self) -> bool:
        """Whether the server responds to requests."""
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

    # ------------------------------------------------------------------------------------- output

    def _page_warnings(self) -> list[str]:
        is_todays_page = self.app.hosted is not None and self.app.serving.viewer_url is None
        return [NO_EXPORTS] if is_todays_page and self.opened.type == "exported" else []

    def __repr__(self) -> str:
        # Without the URL, which may hold a secret: a saved notebook or a log would keep it.
        return f"<{type(self).__name__} of {self._name()}: {self._state()}>"

    def _repr_html_(self) -> str:
        """A table, with a link to the page if its URL holds no secret.

        The output of a cell is saved with the notebook, a token may be in use for years, and the
        server may listen beyond this machine. So a URL with a secret is shown only on request.
        """
        rows: dict[str, Value] = {"data": self._name(), "state": self._state()}
        if self.is_running():
            rows["datasets"] = [
                f"{entry['name']}, {count(entry['n_cells'], 'cell')}"
                if "n_cells" in entry
                else str(entry["name"])
                for entry in self.opened.datasets.list()
            ]
            if self._has_page():
                secret = "print(server.viewer_url) shows it: it holds the secret"  # noqa: S105
                rows["page"] = secret if self._has_secret() else Link(self.viewer_url)
        return html_table(type(self).__name__, rows)

    def _name(self) -> str:
        """Return what is served, in one line."""
        is_path = isinstance(self._data, str | os.PathLike)
        return repr(os.fspath(self._data)) if is_path else "data in memory"

    def _state(self) -> str:
        return f"running on port {self.port}" if self.is_running() else "not running"

    def _has_secret(self) -> bool:
        """Whether the URL of the page lets anyone who has it in."""
        return self.app.token is not None

    def _has_page(self) -> bool:
        return self.app.serving.viewer != "none"

    def _data_url(self) -> str:
        """URL that lists the data, with the token: without a page, the root responds with 404."""
        query = "" if self.app.token is None else f"?token={self.app.token.secret}"
        return f"{self.url}/_cellucid/datasets{query}"

    def _tell_progress(self, stopped: threading.Event) -> None:
        """Print what the public app waits for: its protocol has no place for it."""
        for line in progress_lines(lambda: self.opened.index_progress(), stopped.wait):
            write_lines(sys.stdout, [line])

    def _announce(self, requested_port: int) -> None:
        serving, hosted = self.app.serving, self.app.hosted
        if serving.quiet:
            if serving.token == "auto":  # noqa: S105  the user cannot know the URL otherwise
                write_lines(sys.stdout, [self.viewer_url])
            return
        lines = self.opened.describe(str(self._data))
        lines += _warning_lines(self.opened.warnings())
        if hosted is not None:
            lines += [hosted.describe(), *_warning_lines(self._page_warnings())]
        if self.port != requested_port and requested_port:
            lines.append(f"port {requested_port} is in use: using {self.port}")
        local_url = f"http://localhost:{self.port}{serving.base_path}"
        shown_url = self.viewer_url if self._has_page() else self._data_url()
        lines += open_lines(
            shown_url,
            shown_url.replace(self.url, local_url, 1),
            tunnel_command(self.host, self.port),
            has_page=self._has_page(),
        )
        write_lines(sys.stdout, lines)


def _warning_lines(warnings: Iterable[str]) -> list[str]:
    """Lines of warnings for the command line; callers from Python were warned at once."""
    return [f"warning: {text}" for text in warnings] if is_command() else []


class AnnDataServer(CellucidServer):
    """Serves an AnnData: a path of a file, or an object in memory.

    Parameters are those of `CellucidServer`.

    Raises
    ------
    CellucidDaskError
        With everything that is wrong, also when the path is an export.
    """

    @with_argument_names()
    def __init__(self, data: Any = None, *args: Any, **options: Unpack[ServerKeywords]) -> None:
        super().__init__(data, *args, **options)
        if self.opened.live is None:
            self.app.close()
            raise InputError("is an export, not an AnnData", where=str(self._data), fix="use serve")
