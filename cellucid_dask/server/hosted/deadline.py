"""A deadline for a whole answer of urllib3, and what came behind its announced end.

urllib3 has a limit for a connection and for the pause between two bytes, none for the whole of an
answer, and does not tell of bytes behind the announced end. Both are seen where its bytes come
from: the file that is made of the socket.
"""

from __future__ import annotations

import io
from socket import socket
from time import monotonic
from typing import Any, Final

from urllib3.connectionpool import HTTPConnectionPool

SILENT: Final = 5.0  # seconds without a byte
SURPLUS: Final = 0.5  # seconds to wait for bytes behind the end, or for the connection to be closed


def left(until: float) -> float:
    """Seconds until a moment; a TimeoutError when it is over."""
    seconds = until - monotonic()
    if seconds <= 0:
        raise TimeoutError("it takes too long")
    return seconds


class Watch:
    """The time that an answer has, and the file it is read from."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.file: _File | None = None

    def surplus(self) -> bool:
        """Whether bytes came behind the end of the body that was read."""
        return self.file is not None and self.file.surplus


class _Bytes(io.RawIOBase):
    """Bytes of a socket until a deadline, however slowly they drip."""

    def __init__(self, sock: socket, watch: Watch) -> None:
        self._sock, self._watch = sock, watch
        self._raw: Any = sock.makefile("rb", buffering=0)  # keeps the socket open until closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        self._sock.settimeout(min(left(self._watch.until), SILENT))
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
    """A socket, but for the file that is made of it."""

    def __init__(self, sock: socket, watch: Watch) -> None:
        self._sock, self._watch = sock, watch

    def makefile(self, *_: Any, **__: Any) -> _File:
        self._watch.file = _File(_Bytes(self._sock, self._watch), self._watch)
        return self._watch.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def watched(pool: HTTPConnectionPool, watch: Watch) -> type:
    """Class of connections of a pool whose answers are watched."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
        def connect(self) -> None:
            super().connect()
            sock: Any = self.sock
            self.sock: Any = _Socket(sock, watch)

    return Connection
