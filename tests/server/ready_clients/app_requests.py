"""Requests as the public app's page sends them: its origin, blocks of a file, keys of a store."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Self

from serving import Client, Reply

ORIGIN = "https://www.cellucid.com"
FIRST, BLOCK = 512 << 10, 256 << 10  # bytes of the first request of a file, and of later ones
EXPOSED = {"accept-ranges", "content-encoding", "content-length", "content-range", "etag"}


class Page:
    """A page of the public app, which keeps its connection."""

    def __init__(self, server: Any) -> None:
        self._client = Client(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.connection.close()

    def __call__(self, path: str, **headers: str) -> Reply:
        """Get a path; an underscore in the name of a header is a hyphen."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self._client(path, {"Origin": ORIGIN, "Accept": "*/*", **given})
        check_sharing(reply)
        return reply

    def preflight(self, path: str, origin: str = ORIGIN) -> Reply:
        """Ask whether a request for a range may be sent, as a browser does before it."""
        asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
        return self._client(path, {"Origin": origin, **asked}, method="OPTIONS")


def check_sharing(reply: Reply) -> None:
    """Check that a script of the page may read a response."""
    assert reply.get("Access-Control-Allow-Origin") == ORIGIN
    assert words(reply, "Access-Control-Expose-Headers") >= EXPOSED
    assert "origin" in words(reply, "Vary")


def words(reply: Reply, name: str) -> set[str]:
    """The words of a header that lists some, in lower case."""
    return {word.strip().lower() for word in (reply.get(name) or "").split(",")}


@dataclass
class BlockFile(io.RawIOBase):
    """A file of a server, read as the app reads HDF5: the first block is larger than the others.

    Parameters
    ----------
    ranges
        Those that were asked for, in order.
    """

    page: Page
    path: str
    size: int
    ranges: list[tuple[int, int]] = field(default_factory=list)
    etag: str | None = None

    def __post_init__(self) -> None:
        self._at, self._blocks = 0, dict[int, bytes]()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self.size - self._at))
        done = 0
        while done < wanted:
            start = self._start_of(self._at)
            block = self._block(start)
            part = block[self._at - start : self._at - start + wanted - done]
            buffer[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    @staticmethod
    def _start_of(place: int) -> int:
        return 0 if place < FIRST else place - (place - FIRST) % BLOCK

    def _block(self, start: int) -> bytes:
        if start not in self._blocks:
            last = start + (BLOCK if start else FIRST) - 1
            reply = self.page(self.path, Range=f"bytes={start}-{last}")
            last = min(last, self.size - 1)
            assert reply.status == 206
            assert reply.get("Content-Range") == f"bytes {start}-{last}/{self.size}"
            assert reply.get("Content-Type") == "application/octet-stream"
            assert reply.get("Content-Encoding") is None
            assert len(reply.body) == last - start + 1
            assert self.etag in (None, reply.get("ETag")), "the file did not change"
            self.etag = reply.get("ETag")
            self.ranges.append((start, last))
            self._blocks[start] = reply.body
        return self._blocks[start]
