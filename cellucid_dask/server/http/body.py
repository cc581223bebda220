"""Bodies that are sent piece by piece, and the end of those that a client hardly reads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from time import monotonic
from typing import BinaryIO, Final
from weakref import finalize

from cellucid_dask.server.http.open_file import OpenFile
from cellucid_dask.server.http.thread_quota import Transfer

PIECE: Final = 1 << 20  # bytes
MIN_RATE: Final = 32_000  # bytes per second; a client that takes a long body slower is cut off
RATE_GRACE: Final = 60.0  # seconds before the rate is checked


class LongBody:
    """A long body, sent piece by piece as long as the client reads fast enough.

    Parameters
    ----------
    transfer
        Its part of the thread quota, released at the end.
    open_pieces
        Opens the body.

    Raises
    ------
    TimeoutError
        While iterating, which ends the connection.
    """

    def __init__(
        self, transfer: Transfer, open_pieces: Callable[[], Generator[bytes, None, None]]
    ) -> None:
        self._transfer = transfer
        self._release = finalize(self, transfer.release, transfer)
        try:
            self._pieces = open_pieces()
        except BaseException:
            self._release()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        transfer = self._transfer
        seconds = monotonic() - transfer.started
        too_slow = seconds > RATE_GRACE and transfer.sent < MIN_RATE * seconds
        if transfer.evicted or too_slow:
            self.close()
            raise TimeoutError(f"the client read {transfer.sent} bytes in {seconds:.0f} s")
        try:
            piece = next(self._pieces)
        except BaseException:
            self.close()
            raise
        transfer.record(len(piece))
        return piece

    def close(self) -> None:
        """Close the body, and let another long response start."""
        self._pieces.close()
        self._release()


def iter_bytes(body: bytes, start: int, stop: int) -> Generator[bytes, None, None]:
    """Pieces of bytes in memory; small ones, because the server copies each."""
    for first in range(start, stop, PIECE):
        yield body[first : min(first + PIECE, stop)]


def iter_open_file(file: OpenFile, start: int, stop: int) -> Generator[bytes, None, None]:
    """Pieces of a file that stays open."""
    for first in range(start, stop, PIECE):
        piece = file.read(first, min(first + PIECE, stop))
        if piece is None:
            raise EOFError("the file changed while it was sent")
        yield piece


def iter_file(file: BinaryIO, start: int, stop: int) -> Generator[bytes, None, None]:
    """Pieces of an open file, which is closed after them."""
    pieces = _iter_file(file, start, stop)
    next(pieces)  # from here on it closes the file, also when no piece is read
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
