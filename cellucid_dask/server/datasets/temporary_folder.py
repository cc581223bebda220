"""The temporary folder of a server of live data, and what it says when its disk is full."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cellucid_dask.errors import FULL, OutputError

OTHER_DISK = "make room there, or set the environment variable TMPDIR to a folder on another disk"


@contextmanager
def naming_the_disk(folder: str) -> Iterator[None]:
    """Tell of a full disk by the name of the folder that is written to.

    Raises
    ------
    OutputError
        When there is no room for what is written within the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        what = f"the disk of the temporary folder {FULL[error.errno]} ({error.strerror})"
        raise OutputError(what, where=folder, fix=OTHER_DISK) from error


def make_folder() -> tempfile.TemporaryDirectory[str]:
    """Make the folder in which answers are made; it is removed with the server.

    Raises
    ------
    OutputError
        When it cannot be made.
    """
    try:
        return tempfile.TemporaryDirectory(
            prefix="cellucid-dask-serve-", ignore_cleanup_errors=True
        )
    except OSError as error:  # no folder at all can be written, or this one is full
        what = f"no temporary folder can be made ({error.strerror})"
        raise OutputError(what, where=str(error.filename or "TMPDIR"), fix=OTHER_DISK) from error
