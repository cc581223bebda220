"""A deadline for a complete response of urllib3, and a check for bytes after its announced end.

urllib3 limits the time of a connection and the pause between two bytes, not the time of a complete
response, and it ignores bytes after the announced end. Both can be checked in the file that
http.client reads: it is made from the socket.
"""

from __future__ import annotations

import io
from socket import socket
from time import monotonic
from typing import Any, Final

from urllib3.connectionpool import HTTPConnectionPool

SILENT: Final = 5.0  # seconds without a byte
SURPLUS: Final = 0.5  # seconds to wait for bytes behind the end, or for the connection to be closed


def seconds_left(until: float) -> float:
    """Seconds until a moment; raises TimeoutError when it has passed."""
    seconds = until - monotonic()
    if seconds <= 0:
        raise TimeoutError("it takes too long")
    return seconds


class Watch:
    """The deadline of a response, and the file that it is read from."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.file: _File | None = None

    def surplus(self) -> bool:
        """Whether bytes came after the end of the body."""
        return self.file is not None and self.file.surplus


class _Bytes(io.RawIOBase):
    """Bytes of a socket until a deadline, even when they come slowly."""

    def __init__(self, sock: socket, watch: Watch) -> None:
        self._sock, self._watch = sock, watch
        self._raw: Any = sock.makefile("rb", buffering=0)  # keeps the socket open until closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        self._sock.settimeout(min(seconds_left(self._watch.until), SILENT))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _File(io.BufferedReader):
    """What http.client reads; it closes it when it has the last byte of the body."""

    surplus = False

    def __init__(self, raw: _Bytes, watch: Watch) -> None:
        super().__init__(raw)
        self._watch = watch

    def close(self) -> None:
        if not self.closed:
            self._watch.until = min(self._watch.until, monotonic() + SURPLUS)
            try:
                self.surplus = bool(self.peek(1))
            except (OSError, ValueError):  # it stays open: nothing more came in time
                self.surplus = False
        super().close()


class _Socket:
    """A socket whose file applies the deadline."""

    def __init__(self, sock: socket, watch: Watch) -> None:
        self._sock, self._watch = sock, watch

    def makefile(self, *_: Any, **__: Any) -> _File:
        self._watch.file = _File(_Bytes(self._sock, self._watch), self._watch)
        return self._watch.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def watched_connection_class(pool: HTTPConnectionPool, watch: Watch) -> type:
    """Class of connections of a pool that apply the deadline to their responses."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
        def connect(self) -> None:
            super().connect()
            sock: Any = self.sock
            self.sock: Any = _Socket(sock, watch)

    return Connection
