"""The HTTP server around the application: granian's, in threads of this process.

Sockets are ours: granian would bind with SO_REUSEPORT, with which a second server takes half of
the connections of the first without a word.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psutil
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import MTServer

from cellucid_dask.errors import OptionError

TRIES: Final = 100  # ports after the one that was asked for
BACKLOG: Final = 1024  # connections the kernel holds until they are taken
CONNECTIONS: Final = 1024  # connections at a time
THREADS: Final = 64  # requests at a time
HEADERS: Final = 32_768  # bytes of a request line and its headers
IDLE_MS: Final = 15_000  # for the headers of a request, and for the next request
STALLED_MS: Final = 20_000  # that a client may take no byte of an answer
GRACE: Final = 0.9  # seconds for answers under way when the server stops
CUT: Final = 0.5  # seconds for what answers to notice that its connection is gone
LINGER: Final = 0.5  # seconds for threads that Python does not know to end after the server


def bind(host: str, port: int) -> socket.socket:
    """Bind to a port, or to the next free one; any free one for port 0.

    Raises
    ------
    OptionError
        When the address is none of this machine, or no port is free.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        what = f"{host!r} is no address of this machine ({error.strerror})"
        raise OptionError(what, where="--host", fix=_USUAL) from error
    family, kind, protocol, _, address = found[0]
    last = min(port + TRIES, 65536) if port else 1
    problem: OSError | None = None
    for number in range(port, last):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address[0], number, *address[2:]))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRNOTAVAIL:
                what = f"{host!r} is no address of this machine"
                raise OptionError(what, where="--host", fix=_USUAL) from error
            problem = error
            continue
        return _tuned(listener)
    assert problem is not None
    what = f"no port from {port} to {last - 1} is free on {host} ({problem.strerror})"
    raise OptionError(what, where="--port", fix="choose another --port, or --port 0 for any")


_USUAL: Final = "127.0.0.1 is the usual one; 0.0.0.0 listens on all of them"


def _tuned(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    if sys.platform == "linux":  # connections inherit it; a stalled reader is cut by the kernel
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listener


def only_headers(app: Callable[..., Any]) -> Callable[..., Any]:
    """Keep environment variables of this process from passing for headers of a request.

    granian starts from the process's environment, as CGI had it.
    """
    names = [name for name in os.environ if name.startswith("HTTP_") or name in _ASKED]
    stray = [(name, os.environ[name]) for name in names if name != "HTTP_PROXY"]
    if not stray:
        return app

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        for name, value in stray:
            if environ.get(name) == value:
                del environ[name]
        return app(environ, start_response)

    return guarded


_ASKED: Final = ("CONTENT_LENGTH", "CONTENT_TYPE")


class Listener(MTServer):  # type: ignore[misc]
    """Serves a WSGI application on a socket until it is stopped.

    granian's server of threads, without its main loop: that one takes the signals and the main
    thread, which here belong to the command, or to a notebook.

    Parameters
    ----------
    app
        WSGI application.
    listening
        Socket that listens; it belongs to the listener from then on.
    """

    def __init__(self, app: Callable[..., Any], listening: socket.socket) -> None:
        super().__init__(
            "cellucid_dask",
            interface=Interfaces.WSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=HEADERS),
            runtime_threads=1,
            blocking_threads=THREADS,
            backlog=BACKLOG,
            backpressure=CONNECTIONS,
            websockets=False,
            log_enabled=False,
            workers_kill_timeout=None,
        )
        self.runtime_mode = RuntimeModes.mt
        self._port: int = listening.getsockname()[1]
        holder: Any = SocketHolder(listening.detach(), False, BACKLOG)  # type: ignore[call-arg]
        self._ssp, self._shd = None, holder
        self._others = _native_threads()
        self._spawn_workers(self._spawn_wsgi_worker, only_headers(app))

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return any(worker.is_alive() for worker in self.wrks)

    def stop(self) -> bool:
        """Take no more requests; whether all answers under way went out within the grace.

        Those that did not are cut off: a client that reads slowly must not keep the process.
        """
        for worker in self.wrks:
            worker.terminate()
        if self._ended(GRACE):
            return True
        _cut_connections(self._port)
        self._ended(CUT)
        return False

    def wait_for_threads(self) -> None:
        """Wait until the threads of a listener that was stopped are gone.

        granian has threads that Python does not wait for. One that calls Python while the
        interpreter is being ended aborts the process.
        """
        left = _native_threads() - self._others - {threading.get_native_id()}
        end = time.monotonic() + LINGER
        while left & _native_threads() and time.monotonic() < end:
            time.sleep(0.01)

    def _ended(self, seconds: float) -> bool:
        for worker in self.wrks:
            worker.join(seconds)
        return not any(worker.inner.is_alive() for worker in self.wrks)


def _native_threads() -> set[int]:
    """Ids of all threads of this process, also of those that Python does not know."""
    try:
        return {thread.id for thread in psutil.Process().threads()}
    except psutil.Error:  # a system that does not tell
        return set()


def _cut_connections(port: int) -> None:
    """Shut the connections to a port of this process down, where they are not closed."""
    with suppress(psutil.Error):  # then they end when their clients have read all
        for connection in psutil.Process().net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port:
                _cut(connection.fd, port)


def _cut(descriptor: int, port: int) -> None:
    with suppress(OSError):  # it is closed by now
        copy = socket.socket(fileno=os.dup(descriptor))
        with copy:
            if copy.getsockname()[1] == port:  # else the number is of another socket by now
                copy.shutdown(socket.SHUT_RDWR)
