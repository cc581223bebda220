"""Settings of the allocator of glibc, for a process that a command of this package owns."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
ARENAS: Final = 2
# Of a process that exports: arrays of 16 MiB and more are mapped separately and returned at once.
# Smaller ones are kept for the next task: to return each of them and fault it in again takes as
# long as a third of pass 2.
EXPORT_MMAP_BYTES: Final = 16 << 20
EXPORT_TRIM_BYTES: Final = 64 << 20


def return_freed_memory() -> None:
    """Return freed memory to the system at once; for a process that only serves.

    By default each thread has a heap of its own, and glibc raises the size from which it maps
    arrays to 32 MB: a server of a million cells then held 140 MB more than it used.
    """
    _set_thresholds(1_000_000, 8_000_000)


def reuse_freed_memory() -> None:
    """Keep freed arrays for the next task; for a process that only exports, in threads."""
    _set_thresholds(EXPORT_MMAP_BYTES, EXPORT_TRIM_BYTES)


def _set_thresholds(mmap_bytes: int, trim_bytes: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return
    mallopt(M_ARENA_MAX, ARENAS)
    mallopt(M_MMAP_THRESHOLD, mmap_bytes)
    mallopt(M_TRIM_THRESHOLD, trim_bytes)
