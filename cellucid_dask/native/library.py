"""Load the C library of the native gene path, if this installation has one that fits."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cellucid_dask.native.build import LIBRARY, is_current

SWITCH = "CELLUCID_DASK_NATIVE"
COMPILE = "python -m cellucid_dask.native.build"
_NO_MEMORY = ("allocate memory", "map segment")  # as the dynamic linker words it
PATH = Path(__file__).with_name(LIBRARY)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The library, or why it is not in use.

    Parameters
    ----------
    library
        None where there is none; its functions are called without the GIL.
    reason
        Why there is none, as part of a sentence.
    fix
        What to do about it; empty where nothing can be done, or the user has chosen so.
    """

    library: ctypes.CDLL | None = None
    reason: str = ""
    fix: str = ""

    @property
    def gene_path(self) -> str:
        """The way of genes in this process: ``native`` or ``numpy``."""
        return "numpy" if self.library is None else "native"

    @property
    def explanation(self) -> str:
        """Why it is not in use, and what to do about it; empty when it is."""
        return "; ".join(text for text in (self.reason, self.fix) if text)


def load() -> ctypes.CDLL | None:
    """Return the library, which is loaded once in each process; None where there is none."""
    return find_library().library


def find_library() -> Loaded:
    """Return the library, or why there is none; the environment variable is read each time."""
    if os.environ.get(SWITCH) == "0":
        return Loaded(reason=f"{SWITCH}=0 is set")
    return _open_library(PATH)


def describe() -> str:
    """Say in one line which gene path is in use, and why."""
    found = find_library()
    if found.library is None:
        return f"numpy ({found.explanation})"
    found.library.native_compiler.restype = ctypes.c_char_p
    compiler: bytes = found.library.native_compiler()
    return f"native (compiled by {compiler.decode(errors='replace')})"


@cache
def _open_library(path: Path) -> Loaded:
    if sys.byteorder != "little":
        return Loaded(reason="this machine is big-endian")
    if sys.maxsize < 2**32:  # whose arithmetic may round otherwise
        return Loaded(reason="this Python is a 32-bit program")
    if not path.exists():
        fix = f"install a C compiler or ziglang, then run: {COMPILE}"
        return Loaded(reason="the native library was not compiled", fix=fix)
    try:
        if not is_current(path):
            return Loaded(
                reason="the native library was compiled from other sources", fix=f"run: {COMPILE}"
            )
        return Loaded(ctypes.CDLL(str(path)))
    except OSError as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError("the native library cannot be loaded") from error
        return Loaded(reason=f"the native library cannot be loaded: {error}", fix=f"run: {COMPILE}")
