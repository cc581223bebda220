"""What is answered: bytes in memory or a file, with the headers that describe them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final
from weakref import finalize

from werkzeug.http import http_date
from zlib_ng.zlib_ng import crc32

from cellucid_dask.server.http.thread_quota import Place, places

BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
IN_MEMORY: Final = 1_000_000  # bytes; longer bodies are read piece by piece while they are sent
PIECE: Final = 1 << 20
SLOWEST: Final = 32_000  # bytes per second; a client that takes a long body slower is cut off
PATIENCE: Final = 60.0  # seconds before that is asked


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Content:
    """A body and what HTTP says of it.

    Parameters
    ----------
    body
        The bytes, or the file that holds them.
    size
        Number of bytes.
    etag
        Entity tag without quotes; another one for other bytes.
    type
        Media type.
    gzipped
        Whether the bytes are a gzip coding of what was asked for.
    varies
        Whether another coding would have gone to another client.
    modified
        Seconds since 1970, where a file was.
    """

    body: bytes | Path
    size: int
    etag: str
    type: str = BINARY
    gzipped: bool = False
    varies: bool = False
    modified: float | None = None
    headers: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        headers = [
            ("Content-Type", self.type),
            ("Content-Length", str(self.size)),
            ("ETag", f'"{self.etag}"'),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept-Encoding, Origin" if self.varies else "Origin"),
            ("Accept-Ranges", "bytes"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if self.gzipped:
            headers.append(("Content-Encoding", "gzip"))
        if self.modified is not None:
            headers.append(("Last-Modified", http_date(self.modified)))
        object.__setattr__(self, "headers", headers)

    def pieces(self, start: int, stop: int, peer: str) -> Iterable[bytes]:
        """Bytes `start` to `stop` for a client; those of a long body come piece by piece.

        Raises
        ------
        BusyError
            When the body is long and too many are under way.
        ReplacedError
            When the file was replaced since it was described.
        """
        if isinstance(self.body, bytes) and self.size <= IN_MEMORY:
            return [self.body if stop - start == self.size else self.body[start:stop]]
        body = self.body
        if isinstance(body, bytes):
            return Paced(places.take(peer), lambda: iter_bytes(body, start, stop))
        if stop - start > IN_MEMORY:
            return Paced(places.take(peer), lambda: iter_file(self._opened(body), start, stop))
        with self._opened(body) as file:
            file.seek(start)
            return [file.read(stop - start)]

    def _opened(self, path: Path) -> BinaryIO:
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise ReplacedError(path.name) from error
        if self.modified is not None and file_etag(os.fstat(file.fileno())) != self.etag:
            file.close()
            raise ReplacedError(path.name)
        return file


class ReplacedError(Exception):
    """A file was replaced after it was described: describe it again."""


def iter_bytes(body: bytes, start: int, stop: int) -> Generator[bytes, None, None]:
    """Pieces of bytes in memory: the server copies what it is given, so give it a little."""
    for first in range(start, stop, PIECE):
        yield body[first : min(first + PIECE, stop)]


def iter_file(file: BinaryIO, start: int, stop: int) -> Generator[bytes, None, None]:
    """Pieces of an open file, which is closed after them."""
    pieces = _iter_file(file, start, stop)
    next(pieces)  # from here on it closes the file, also when nobody asks for a piece
    return pieces


def _iter_file(file: BinaryIO, start: int, stop: int) -> Generator[bytes, None, None]:
    with file:
        file.seek(start)
        yield b""
        while start < stop:
            piece = file.read(min(PIECE, stop - start))
            if not piece:
                raise EOFError("the file became shorter while it was sent")
            start += len(piece)
            yield piece


class Paced:
    """A long body on its way, but not to a client that hardly reads.

    Parameters
    ----------
    place
        Released in the end.
    start
        Begins it.

    Raises
    ------
    TimeoutError
        While iterating, which ends the connection.
    """

    def __init__(self, place: Place, start: Callable[[], Generator[bytes, None, None]]) -> None:
        self._place = place
        self._done = finalize(self, place.release, place)
        try:
            self._pieces = start()
        except BaseException:
            self._done()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        place = self._place
        spent = monotonic() - place.began
        if place.gave_way or (spent > PATIENCE and place.sent < SLOWEST * spent):
            self.close()
            raise TimeoutError(f"the client read {place.sent} bytes in {spent:.0f} s")
        try:
            piece = next(self._pieces)
        except BaseException:
            self.close()
            raise
        place.note(len(piece))
        return piece

    def close(self) -> None:
        """Let another long body go out."""
        self._pieces.close()
        self._done()


def read_file_content(path: Path, *, media: str = BINARY) -> Content | None:
    """Content of a file as it is, None where there is none; small ones are read at once."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            body: bytes | Path = file.read() if facts.st_size <= IN_MEMORY else path
    except (OSError, ValueError):
        return None
    size = len(body) if isinstance(body, bytes) else facts.st_size
    return Content(body, size, file_etag(facts), media, modified=facts.st_mtime)


def file_etag(facts: os.stat_result) -> str:
    """Entity tag of a file: another one after any replacement of it."""
    return f"{facts.st_mtime_ns:x}-{facts.st_size:x}-{facts.st_ino:x}"


def text_content(body: str, media: str = JSON) -> Content:
    """Content of a text made here."""
    return bytes_content(body.encode(), media)


def bytes_content(body: bytes, media: str) -> Content:
    """Content of bytes that are no file's."""
    return Content(body, len(body), f"{crc32(body):08x}-{len(body):x}", media)
