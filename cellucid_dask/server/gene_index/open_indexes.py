"""The gene indexes that are open in this process: who opens one twice shares it.

A server answers two protocols from the same matrix. Two indexes of it would be built one after the
other, and the second would not know what the first has read so far.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

from cellucid_dask.server.gene_index.lookup import GeneIndex
from cellucid_dask.source.arrays.matrix import Matrix

_Key: TypeAlias = tuple[int, Path]  # a process that was forked has no threads of its parent

_lock = Lock()
_open: WeakValueDictionary[_Key, GeneIndex] = WeakValueDictionary()
_users: WeakKeyDictionary[GeneIndex, int] = WeakKeyDictionary()


def open_index(matrix: Matrix, folder: Path | None, **how: Any) -> GeneIndex:
    """Open the index in `folder`, or share the one that is open; see `GeneIndex`.

    It is closed with `close_index`, once for each time that it was opened.
    """
    if folder is None:
        return GeneIndex(matrix, folder, **how)
    key = os.getpid(), folder
    with _lock:
        index = _open.get(key)
        if index is None or index.error is not None:
            index = _open[key] = GeneIndex(matrix, folder, **how)
        _users[index] = _users.get(index, 0) + 1
        return index


def close_index(index: GeneIndex) -> None:
    """Stop an index, unless another one still uses it."""
    with _lock:
        _users[index] = users = _users.get(index, 1) - 1
        for key in [key for key, value in _open.items() if value is index and users <= 0]:
            del _open[key]
    if users <= 0:
        index.stop()
