"""Files that are read without the file objects of Python: each call lets go of the interpreter.

When many threads respond at once, a thread that let go of the interpreter waits until another does.
`open`, `read` and `close` of a file object make eight system calls; these functions make four.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final
from weakref import finalize

# Opening a pipe does not block, and is refused afterwards.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK
NO_LINK: Final = os.O_NOFOLLOW  # as `flags`: a link raises OSError


def read_small_file(
    path: str | os.PathLike[str], most: int, flags: int = 0
) -> tuple[bytes | None, os.stat_result]:
    """Read a regular file that has at most `most` bytes; None in place of those of a larger one.

    Raises
    ------
    OSError
        When it is not a regular file, or cannot be read.
    """
    descriptor = os.open(path, _FLAGS | flags)
    try:
        status = _regular_status(descriptor)
        is_small = status.st_size <= most
        return os.read(descriptor, status.st_size) if is_small else None, status
    finally:
        os.close(descriptor)


def _regular_status(descriptor: int) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status


def file_etag(status: os.stat_result) -> str:
    """Entity tag of a file; any replacement of the file changes it."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


class OpenFile:
    """A regular file that stays open as long as something refers to it.

    Its bytes are those of one state, even when another file has its path by now.

    Raises
    ------
    OSError
        When it is not a regular file, or cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = os.open(path, _FLAGS)
        finalize(self, os.close, self._descriptor)
        self.status = _regular_status(self._descriptor)
        self._state = self.status.st_mtime_ns, self.status.st_size
        self.is_changed = False

    def read(self, start: int, stop: int) -> bytes | None:
        """Bytes from `start` to `stop`; None when the file was written to since it was opened."""
        try:
            body = os.pread(self._descriptor, stop - start, start)
            status = os.fstat(self._descriptor)
        except OSError as error:
            if error.errno != errno.ESTALE:  # NFS: another machine replaced the file
                raise
            self.is_changed = True
            return None
        if (status.st_mtime_ns, status.st_size) != self._state or len(body) != stop - start:
            self.is_changed = True
            return None
        return body
