"""Files that a user names for output: whether they can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cellucid_dask.errors import Problem


def is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`: make one without a name.

    The permissions do not suffice: root has all of them, but cannot write to /proc.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_output_file(path: Path, option: str) -> Iterator[Problem]:
    """Find the reasons why `path`, the value of `option`, cannot be written."""
    folder = path.absolute().parent
    if not folder.is_dir():
        yield Problem(f"the folder {str(folder)!r} does not exist", option, "make it first")
    elif path.is_dir():
        yield Problem(f"{str(path)!r} is a folder", option, "name a file")
    elif path.exists() and not path.is_file():
        yield Problem(f"{str(path)!r} is not a regular file", option, "name another file")
    elif not is_writable(folder):
        yield Problem(f"the folder {str(folder)!r} cannot be written", option, "name another file")
