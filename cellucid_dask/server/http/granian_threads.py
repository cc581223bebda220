"""Run the threads of granian on a socket of ours; the only module that uses its private names.

The public servers of granian do not fit. `granian.Granian` starts processes and needs the main
thread and its signals; here the threads of one process share a cache, also in a notebook.
`granian.server.embed.Server` runs ASGI in an event loop and not WSGI, and it binds its own socket
with SO_REUSEPORT: a second server on the same port then takes half of the connections.

The private path stays because of its speed. For genes, with 16 or 64 clients, it serves 2.4 to 3.0
times as many requests per second as the embedded server of granian, the fastest server with a
public API that can pass the safety tests, and 4 to 8 times as many as waitress and cheroot
(`python -m benchmarks serve http-servers`; docs/explanation/benchmarks.md). The gain is about two
for one client, and 1.0 to 1.5 for long responses.

pyproject.toml limits granian to the tested minor version, and tests/server/test_granian_threads.py
fails when an upgrade changes what this module uses.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import MTServer

WsgiApp = Callable[..., Any]


class GranianThreads(MTServer):  # type: ignore[misc]
    """Threads of granian that serve a WSGI application until they are stopped.

    The main loop of `MTServer`, which takes the signals, does not run.

    Parameters
    ----------
    app
        WSGI application.
    listening
        Socket that listens; it belongs to granian from then on.
    backlog
        Connections that the kernel holds until granian accepts them.
    connections
        Largest number of connections at a time.
    threads
        Largest number of requests at a time.
    header_bytes
        Largest size of a request line with its headers, bytes.
    idle_ms
        Time for the headers of a request, and until the next request, milliseconds.
    """

    def __init__(
        self,
        app: WsgiApp,
        listening: socket.socket,
        *,
        backlog: int,
        connections: int,
        threads: int,
        header_bytes: int,
        idle_ms: int,
    ) -> None:
        super().__init__(
            "cellucid_dask",
            interface=Interfaces.WSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=idle_ms, max_buffer_size=header_bytes),
            runtime_mode=RuntimeModes.mt,
            runtime_threads=1,  # a second one wakes more threads, which wait for the interpreter
            blocking_threads=threads,
            backlog=backlog,
            backpressure=connections,
            websockets=False,
            log_enabled=False,
            workers_kill_timeout=None,
        )
        # granian would bind a socket of its own, unless it has the holder of one.
        holder: Any = SocketHolder(listening.detach(), False, backlog)  # type: ignore[call-arg]
        self._ssp, self._shd = None, holder
        self._spawn_workers(self._spawn_wsgi_worker, hide_environment(app))

    def accepts_requests(self) -> bool:
        """Whether requests are accepted."""
        return any(worker.is_alive() for worker in self.wrks)

    def stop_accepting(self) -> None:
        """Accept no more requests; running ones continue."""
        for worker in self.wrks:
            worker.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait for the running requests; whether all threads ended in time."""
        for worker in self.wrks:
            worker.join(seconds)
        return not any(worker.inner.is_alive() for worker in self.wrks)


def hide_environment(app: WsgiApp) -> WsgiApp:
    """Remove environment variables of this process that look like headers of a request.

    granian starts each WSGI environment from the environment of the process, like CGI.
    """
    names = [name for name in os.environ if name.startswith("HTTP_") or name in _NO_PREFIX]
    stray = [(name, os.environ[name]) for name in names if name != "HTTP_PROXY"]
    if not stray:
        return app

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        for name, value in stray:
            if environ.get(name) == value:
                del environ[name]
        return app(environ, start_response)

    return guarded


_NO_PREFIX: Final = ("CONTENT_LENGTH", "CONTENT_TYPE")  # headers without HTTP_ in WSGI
