"""Damage of zstd chunks in HDF5, which HDF5 itself does not notice.

Its filter for zstd takes the code of an error for a length: HDF5 then goes on with memory that
nothing was written to, and reads beyond it when the header of a chunk states too little.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, Final

import h5py
import numpy as np

ZSTD: Final = 32015  # number of the filter in HDF5's registry


def refuse_damaged_chunks(dataset: h5py.Dataset, index: Any) -> None:
    """Decode the chunks that `index` reads, if zstd was the last of their filters.

    Parameters
    ----------
    index
        A slice of rows, or a tuple of slices; what is no slice stands for its whole axis.

    Raises
    ------
    RuntimeError, ValueError
        When one of the chunks is damaged.
    """
    made = dataset.id.get_create_plist()
    last = made.get_nfilters() - 1
    if last < 0 or made.get_filter(last)[0] != ZSTD:
        return
    from numcodecs import zstd

    places = index if isinstance(index, tuple) else (index,)
    for offset in product(*_chunks_along(dataset, places)):
        found = dataset.id.get_chunk_info_by_coord(offset)
        if found.byte_offset is None or found.filter_mask >> last & 1:
            continue  # never written, or not compressed
        _, raw = dataset.id.read_direct_chunk(offset)
        n_bytes = len(zstd.decompress(np.frombuffer(raw, np.uint8)))
        if n_bytes != prod(dataset.chunks) * dataset.id.get_type().get_size():
            raise ValueError("a chunk has another length")


def _chunks_along(dataset: h5py.Dataset, places: tuple[Any, ...]) -> list[range]:
    """Where the chunks begin that are read, along each axis."""
    found = []
    for axis, (size, chunk) in enumerate(zip(dataset.shape, dataset.chunks, strict=True)):
        place = places[axis] if axis < len(places) else None
        start, stop = 0, size
        if isinstance(place, slice) and place.step in (None, 1):
            start, stop, _ = place.indices(size)
        found.append(range(start - start % chunk, stop, chunk))
    return found
