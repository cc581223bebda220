"""Load the C library of the native gene path, if this installation has one."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

NAME = "libcellucid_native" + (".dylib" if sys.platform == "darwin" else ".so")


@cache
def load() -> ctypes.CDLL | None:
    """Load the library once in each process; None where there is none.

    Functions of it are called without the GIL.
    """
    path = Path(__file__).with_name(NAME)
    if sys.byteorder != "little" or not path.exists():
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None
