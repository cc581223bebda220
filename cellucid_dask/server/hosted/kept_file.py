"""One kept file: a line that describes it, then its bytes.

It gets its name when its bytes are on the disk, so one that was cut off by a kill has none. The
line has the length and the sum of the bytes, for what a disk or another program did later.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

UNFINISHED: Final = ".unfinished-"
LONGEST_HEAD: Final = 16_384  # bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What the first line of a file says.

    Parameters
    ----------
    build, path
        Which file of which build it is.
    size, sum
        Of the bytes that follow.
    site
        URL of the site; empty in files of earlier versions of this program.
    """

    build: str
    path: str
    size: int
    sum: str
    site: str = ""

    @classmethod
    def of(cls, site: str, build: str, path: str, body: bytes) -> Head:
        """Describe the bytes of a file."""
        return cls(build, path, len(body), blake2b(body).hexdigest(), site)

    @classmethod
    def read(cls, file: BinaryIO) -> Head | None:
        """Read the line from the start of a file; None if it is no such line."""
        try:
            raw = json.loads(file.readline(LONGEST_HEAD))
            head = cls(raw["build"], raw["path"], raw["size"], raw["sum"], raw.get("site", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        texts = (head.build, head.path, head.sum, head.site)
        valid = type(head.size) is int and all(isinstance(text, str) for text in texts)
        return head if valid else None

    def line(self) -> bytes:
        """Return the line."""
        facts = {"build": self.build, "path": self.path, "size": self.size, "sum": self.sum}
        return json.dumps(facts | {"site": self.site}).encode() + b"\n"


def read_head(file: Path) -> Head | None:
    """Read what a stored file says of itself; None for anything else."""
    with suppress(OSError):
        if file.is_file():  # opening a pipe would block
            with file.open("rb") as stream:
                return Head.read(stream)
    return None


def kept_size(file: Path) -> int | None:
    """Size of the content of a stored file; None if the file is not there, or cut."""
    with suppress(OSError):
        if file.is_file():
            with file.open("rb") as stream:
                head, status = Head.read(stream), os.fstat(stream.fileno())
                if head is not None and stream.tell() + head.size == status.st_size:
                    return head.size
    return None


def read_kept(file: Path, build: str, path: str) -> bytes | None:
    """Bytes of a stored file; None when it is not intact."""
    try:
        if not file.is_file():  # reading a pipe would block
            return None
        with file.open("rb") as stream:
            head, body = Head.read(stream), stream.read()
    except OSError:
        return None
    whole = head is not None and head == Head.of(head.site, build, path, body)
    return body if whole else None


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Store bytes under a name that is there only when all of them are on the disk."""
    handle, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(folder / name)
    except BaseException:
        with suppress(OSError):
            Path(unfinished).unlink()
        raise
