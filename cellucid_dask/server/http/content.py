"""What a path holds: bytes in memory or a file, with the headers that describe them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final

from werkzeug.http import http_date
from zlib_ng.zlib_ng import crc32

from cellucid_dask.errors import refuse_fault
from cellucid_dask.server.http.body import LongBody, iter_bytes, iter_file, iter_open_file
from cellucid_dask.server.http.open_file import OpenFile, file_etag, read_small_file
from cellucid_dask.server.http.thread_quota import thread_quota

BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
IN_MEMORY: Final = 1_000_000  # bytes; a longer body is read piece by piece while it is sent
LOOK_AGAIN: Final = 1.0  # seconds until a path is asked again whether it has another file
NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")


class ReplacedError(Exception):
    """A file was replaced after it was described: describe it again."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Content:
    """A body and its description in HTTP headers.

    Parameters
    ----------
    body
        The bytes, or the file that holds them: its path, or the file itself, which stays open.
    size
        Number of bytes.
    etag
        Entity tag without quotes; different for different bytes.
    type
        Media type.
    gzipped
        Whether the bytes are a gzip coding of the resource.
    varies
        Whether clients with another Accept-Encoding get another coding.
    modified
        Time of the last change of the file, in seconds since 1970; None for bytes in memory.
    """

    body: bytes | Path | OpenFile
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
            NOSNIFF,
        ]
        if self.gzipped:
            headers.append(("Content-Encoding", "gzip"))
        if self.modified is not None:
            headers.append(("Last-Modified", _http_date(int(self.modified))))
        object.__setattr__(self, "headers", headers)

    def pieces(self, start: int, stop: int, peer: str) -> Iterable[bytes]:
        """Bytes `start` to `stop` for a client; a long body comes piece by piece.

        Raises
        ------
        BusyError
            When the body is long and too many long bodies are being sent.
        ReplacedError
            When the file was replaced since it was described.
        """
        body = self.body
        if isinstance(body, bytes):
            if self.size > IN_MEMORY:
                return LongBody(thread_quota.acquire(peer), lambda: iter_bytes(body, start, stop))
            return [body if stop - start == self.size else body[start:stop]]
        if isinstance(body, OpenFile):
            return self._pieces_of_open_file(body, start, stop, peer)
        if stop - start > IN_MEMORY:
            return LongBody(
                thread_quota.acquire(peer), lambda: iter_file(self._open(body), start, stop)
            )
        with self._open(body) as file:
            file.seek(start)
            return [file.read(stop - start)]

    def _pieces_of_open_file(
        self, file: OpenFile, start: int, stop: int, peer: str
    ) -> Iterable[bytes]:
        if stop - start > IN_MEMORY:
            if file.read(start, start) is None:
                raise ReplacedError(self.etag)
            return LongBody(thread_quota.acquire(peer), lambda: iter_open_file(file, start, stop))
        piece = file.read(start, stop)
        if piece is None:
            raise ReplacedError(self.etag)
        return [piece]

    def _open(self, path: Path) -> BinaryIO:
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise ReplacedError(path.name) from error
        if self.modified is not None and file_etag(os.fstat(file.fileno())) != self.etag:
            file.close()
            raise ReplacedError(path.name)
        return file


def read_file_content(
    path: str | os.PathLike[str], *, media: str = BINARY, flags: int = 0
) -> Content | None:
    """Content of a file as it is now; None without a file. A small file is read at once.

    Parameters
    ----------
    flags
        Additional flags of `os.open`.

    Raises
    ------
    MachineError
        When the machine cannot read it.
    """
    try:
        read, status = read_small_file(path, IN_MEMORY, flags)
    except (OSError, ValueError) as error:
        refuse_fault(error, os.fspath(path))  # it may well be there
        return None
    body: bytes | Path = Path(path) if read is None else read
    size = len(body) if isinstance(body, bytes) else status.st_size
    return Content(body, size, file_etag(status), media, modified=status.st_mtime)


class OpenFileContent:
    """Content of one file, from which many ranges are read: it stays open.

    Parameters
    ----------
    path
        Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._opened_at = path, -inf
        self._opened: tuple[OpenFile, Content] | None = None

    def find(self) -> Content | None:
        """Content of the file; None without one. Whether it was replaced is asked once a second."""
        now, opened = monotonic(), self._opened
        if opened is None or opened[0].is_changed or now - self._opened_at > LOOK_AGAIN:
            opened = self._opened = _open_content(self._path)
            self._opened_at = now
        return None if opened is None else opened[1]


def _open_content(path: Path) -> tuple[OpenFile, Content] | None:
    try:
        file = OpenFile(path)
    except OSError:
        return None
    status = file.status
    content = Content(file, status.st_size, file_etag(status), modified=status.st_mtime)
    return file, content


@lru_cache(maxsize=1024)  # the files of one dataset are mostly written within few minutes
def _http_date(moment: int) -> str:
    return http_date(moment)


def text_content(body: str, media: str = JSON) -> Content:
    """Content of a generated text."""
    return bytes_content(body.encode(), media)


def bytes_content(body: bytes, media: str) -> Content:
    """Content of generated bytes."""
    return Content(body, len(body), f"{crc32(body):08x}-{len(body):x}", media)
