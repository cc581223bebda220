"""Spill files that a process appends to: as many as it has tasks at a time.

The second pass opens every spill file for every strip. A file for each chunk would be a million
openings for a large atlas; the tasks of one process share files instead, one task at a time.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable

from zlib_ng import zlib_ng

from cellucid_dask.files import write_all

_idle: dict[str, list[str]] = {}  # files of a folder that no task writes
_lock = threading.Lock()


def append_to_spill(folder: str, parts: Iterable[memoryview]) -> tuple[str, int, int, int]:
    """Append to a spill file of this process.

    A failed task may leave bytes behind that no receipt names; its file is not used again.

    Returns
    -------
    Path of the file, where the bytes begin, how many there are, and their crc32.
    """
    with _lock:
        idle = _idle.get(folder)
        path = idle.pop() if idle else os.path.join(folder, f"rows-{secrets.token_hex(8)}.spill")  # noqa: PTH118
    size = crc = 0
    try:
        with open(path, "ab", buffering=0) as file:  # noqa: PTH123
            start = file.seek(0, os.SEEK_END)
            for part in parts:
                size += len(part)
                crc = zlib_ng.crc32(part, crc)
                write_all(file, part)
    except OSError as error:
        error.filename = error.filename or path
        raise
    with _lock:
        _idle.setdefault(folder, []).append(path)
    return path, start, size, crc


def forget_spill_files(folder: str) -> None:
    """Append to no file of `folder` any more."""
    with _lock:
        _idle.pop(folder, None)
