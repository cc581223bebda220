"""Writes the many small files of one task, each under its final name only when it is complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Self

from zlib_ng import zlib_ng

UNFINISHED = "unfinished"  # name of the file that a task is writing
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class BlockWriter:
    """Writes files of an export one by one; a context manager.

    A file is written in a folder of this task alone and renamed from there: a worker that is
    taken for lost and still writes never changes a file that its retry has finished. What a
    killed task leaves is in that folder, and not in the export.

    Nothing is flushed to the disk here. An export is made durable as a whole before it is
    published, and a run that resumes reads every file that a previous run recorded.

    Parameters
    ----------
    folder
        The export.
    parts
        Folder on the same disk for files that are not finished.
    """

    def __init__(self, folder: str, parts: str) -> None:
        self._folder = folder
        self._parts = parts

    def __enter__(self) -> Self:
        # Tasks that make files in one folder wait for one another at each, and ext4 looks for an
        # inode among those that were freed there a moment ago: up to ten times as long per file.
        self._own = tempfile.mkdtemp(prefix="block-", dir=self._parts)
        self._handle = os.open(self._own, os.O_RDONLY | os.O_DIRECTORY)
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._handle)
        shutil.rmtree(self._own, ignore_errors=True)

    def write(self, path: str, payload: bytes | memoryview) -> tuple[int, int]:
        """Write one file.

        Parameters
        ----------
        path
            Relative to the export.

        Returns
        -------
        Bytes that were written, and their crc32.
        """
        # Four system calls and little else: an export has a file per gene, most of them small.
        final = f"{self._folder}/{path}"
        rest = memoryview(payload)
        written = len(rest), zlib_ng.crc32(rest)
        try:
            file = os.open(UNFINISHED, _FLAGS, 0o666, dir_fd=self._handle)
            try:
                while rest:  # a write may take only some of it
                    rest = rest[os.write(file, rest) :]
            finally:
                os.close(file)  # a network file system may tell only here that its disk is full
            # By its whole path: once the export is published, this fails.
            os.rename(UNFINISHED, final, src_dir_fd=self._handle)
        except OSError as error:
            error.filename, error.filename2 = final, None
            raise
        return written
