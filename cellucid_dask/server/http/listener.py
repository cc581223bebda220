"""The HTTP server around the application: its socket, its limits and its end.

The socket is ours: granian would bind with SO_REUSEPORT, and a second server on the same port then
takes half of the connections of the first, and nobody sees an error.
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

from cellucid_dask.errors import OptionError
from cellucid_dask.server.http.granian_threads import GranianThreads

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


class Listener:
    """Serves a WSGI application on a socket until it is stopped.

    Parameters
    ----------
    app
        WSGI application.
    listening
        Socket that listens; it belongs to the listener from then on.
    """

    def __init__(self, app: Callable[..., Any], listening: socket.socket) -> None:
        self._port: int = listening.getsockname()[1]
        self._others = _native_threads()
        self._threads = GranianThreads(
            app,
            listening,
            backlog=BACKLOG,
            connections=CONNECTIONS,
            threads=THREADS,
            header_bytes=HEADERS,
            idle_ms=IDLE_MS,
        )

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._threads.accepts_requests()

    def stop(self) -> bool:
        """Accept no more requests; whether all running responses were sent within the grace.

        The others are cut off: a client that reads slowly must not keep the process.
        """
        self._threads.stop_accepting()
        if self._threads.wait(GRACE):
            return True
        _cut_connections(self._port)
        self._threads.wait(CUT)
        return False

    def wait_for_threads(self) -> None:
        """Wait until the threads of a stopped listener have ended.

        granian has threads that Python does not wait for. If one calls Python while the interpreter
        ends, the process aborts.
        """
        left = _native_threads() - self._others - {threading.get_native_id()}
        end = time.monotonic() + LINGER
        while left & _native_threads() and time.monotonic() < end:
            time.sleep(0.01)


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
