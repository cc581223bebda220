"""Spill files that a process appends to: as many of a kind as it has tasks at a time.

The second pass opens every spill file for every strip. A file for each chunk would be a million
openings for a large atlas; the tasks of one process share files instead, one task at a time.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from typing import Self

from zlib_ng import zlib_ng

from cellucid_dask.files import write_all

_idle: dict[tuple[str, str], list[str]] = {}  # files of a folder and a kind that no task writes
_lock = threading.Lock()


class SpillFile:
    """A spill file that one task appends to; a context manager.

    A failed task may leave bytes behind that no receipt names; its file is not used again.

    Parameters
    ----------
    folder
        Where it is.
    kind
        What it holds: ``rows`` or ``chunks``; files of one kind are removed together.

    Attributes
    ----------
    path
        Of the file.
    """

    def __init__(self, folder: str, kind: str) -> None:
        self._place = folder, kind
        with _lock:
            idle = _idle.get(self._place)
            name = f"{kind}-{secrets.token_hex(8)}.spill"
            self.path = idle.pop() if idle else os.path.join(folder, name)  # noqa: PTH118

    def __enter__(self) -> Self:
        self._file = open(self.path, "ab", buffering=0)  # noqa: PTH123
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            with _lock:
                _idle.setdefault(self._place, []).append(self.path)

    def append(self, parts: Iterable[memoryview]) -> tuple[int, int, int]:
        """Append bytes.

        Returns
        -------
        Where they begin in the file, how many there are, and their crc32.
        """
        size = crc = 0
        try:
            start = self._file.seek(0, os.SEEK_END)
            for part in parts:
                size += len(part)
                crc = zlib_ng.crc32(part, crc)
                write_all(self._file, part)
        except OSError as error:
            error.filename = error.filename or self.path
            raise
        return start, size, crc


def append_to_spill(folder: str, parts: Iterable[memoryview]) -> tuple[str, int, int, int]:
    """Append to a spill file of rows of this process.

    Returns
    -------
    Path of the file, where the bytes begin, how many there are, and their crc32.
    """
    with SpillFile(folder, "rows") as file:
        return file.path, *file.append(parts)


def forget_spill_files(folder: str, kind: str = "rows") -> None:
    """Append to no file of `folder` and `kind` any more."""
    with _lock:
        _idle.pop((folder, kind), None)
