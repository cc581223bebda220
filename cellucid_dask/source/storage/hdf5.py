"""Reading HDF5: open without locks, and inflate gzip chunks outside HDF5's one global lock."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


def open_file(path: str) -> AbstractContextManager[Any]:
    """Open a file for reading; without a lock, as many NFS and Lustre mounts refuse them.

    HDF5 wants one way of locking per file and process: one that is open already, as behind a
    backed AnnData, decides.
    """
    import hdf5plugin  # noqa: F401  registers its filters (blosc, zstd, lz4); zarr needs none

    try:
        file: AbstractContextManager[Any] = h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        file = h5py.File(path, "r")
    return file


def read(dataset: Any, index: Any) -> NDArray[Any]:
    """Read ``dataset[index]``; a range of a 1-D gzip dataset takes the fast way."""
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    if isinstance(index, slice) and dataset.ndim == 1 and index.step in (None, 1):
        filters = _filters(dataset)
        if filters:
            start, stop, _ = index.indices(dataset.shape[0])
            return _read_chunks(dataset, start, max(start, stop), filters)
    return np.asarray(dataset[index])


def _filters(dataset: Any) -> tuple[int, ...]:
    """Filters of `dataset` when all of them are ones that `_read_chunks` can undo."""
    if dataset.chunks is None or dataset.dtype.kind not in "biuf":
        return ()
    created = dataset.id.get_create_plist()
    found = tuple(created.get_filter(i)[0] for i in range(created.get_nfilters()))
    return found if found in ((_DEFLATE,), (_SHUFFLE, _DEFLATE)) else ()


def _read_chunks(dataset: Any, start: int, stop: int, filters: tuple[int, ...]) -> NDArray[Any]:
    import numcodecs  # 50 ms, which other files need not spend

    out = np.empty(stop - start, dataset.dtype)
    size, itemsize = dataset.chunks[0], dataset.dtype.itemsize
    unshuffle = numcodecs.Shuffle(itemsize) if _SHUFFLE in filters and itemsize > 1 else None
    for first in range(start - start % size, stop, size):
        low, high = max(first, start), min(first + size, stop)
        try:
            mask, raw = dataset.id.read_direct_chunk((first,))
        except (OSError, RuntimeError, KeyError):
            mask, raw = 1, b""  # never written, or damaged: HDF5 itself knows which
        if mask:
            out[low - start : high - start] = dataset[low:high]
            continue
        plain = zlib_ng.decompress(raw, bufsize=size * itemsize)
        values = np.frombuffer(unshuffle.decode(plain) if unshuffle else plain, dataset.dtype)
        out[low - start : high - start] = values[low - first : high - first]
    return out
