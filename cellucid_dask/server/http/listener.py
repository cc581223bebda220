"""The HTTP server around the application: its socket, its limits and its end.

This module binds the socket. granian would bind it with SO_REUSEPORT: a second server on the same
port would then take half of the connections of the first, without an error.
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

PORT_ATTEMPTS: Final = 100  # the requested port and those after it
BACKLOG: Final = 1024  # connections that the kernel queues until the server accepts them
CONNECTIONS: Final = 1024  # connections at a time
THREADS: Final = 64  # requests at a time
HEADERS: Final = 32_768  # bytes of a request line and its headers
IDLE_MS: Final = 15_000  # for the headers of a request, and for the next request
STALLED_MS: Final = 20_000  # for a client that reads no byte of a response
GRACE: Final = 0.9  # seconds for running responses when the server stops
CUT: Final = 0.5  # seconds for threads to notice that their connection is closed
LINGER: Final = 0.5  # seconds for threads that are unknown to Python to end after the server


def bind(host: str, port: int) -> socket.socket:
    """Listen on a port, or on the next free one; on any free port for 0.

    Raises
    ------
    OptionError
        When the address does not belong to this machine, or no port is free.
    """
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"{host!r} is not an address of this machine ({error.strerror})"
        raise OptionError(message, where="--host", fix=_HOST_HINT) from error
    family, kind, protocol, _, address = addresses[0]
    last = min(port + PORT_ATTEMPTS, 65536) if port else 1
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
                message = f"{host!r} is not an address of this machine"
                raise OptionError(message, where="--host", fix=_HOST_HINT) from error
            problem = error
            continue
        return _set_options(listener)
    assert problem is not None
    message = f"no port from {port} to {last - 1} is free on {host} ({problem.strerror})"
    raise OptionError(message, where="--port", fix="choose another --port, or --port 0 for any")


_HOST_HINT: Final = "use 127.0.0.1, the default, or 0.0.0.0 for all addresses of this machine"


def _set_options(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    if sys.platform == "linux":  # connections inherit it: the kernel cuts off a stalled client
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listener


class Listener:
    """Serves a WSGI application on a socket until it is stopped.

    Parameters
    ----------
    app
        WSGI application.
    listening
        Socket that listens; the listener closes it.
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
        """Whether the server accepts requests."""
        return self._threads.accepts_requests()

    def stop(self) -> bool:
        """Stop: accept no more requests, and cut off the responses that run longer than `GRACE`.

        A client that reads slowly must not keep the process.

        Returns
        -------
        Whether all running responses were sent to their end.
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
    """Ids of all threads of this process, also of those that are unknown to Python."""
    try:
        return {thread.id for thread in psutil.Process().threads()}
    except psutil.Error:  # a system that does not list threads
        return set()


def _cut_connections(port: int) -> None:
    """Shut down the open connections to a port of this process."""
    with suppress(psutil.Error):  # then they end when their clients have read everything
        for connection in psutil.Process().net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port:
                _shut_down(connection.fd, port)


def _shut_down(descriptor: int, port: int) -> None:
    with suppress(OSError):  # it is already closed
        copy = socket.socket(fileno=os.dup(descriptor))
        with copy:
            if copy.getsockname()[1] == port:  # otherwise another socket has the number now
                copy.shutdown(socket.SHUT_RDWR)
