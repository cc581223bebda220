"""Where an HDF5 file has the chunks of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.native.library import load
from cellucid_dask.source.storage.direct.codecs import Coding
from cellucid_dask.source.storage.direct.layout import CHUNKS, Layout, holds_numbers
from cellucid_dask.source.storage.direct.stored import (
    OpenFile,
    Stamp,
    StoredChunk,
    UnexpectedBytesError,
)

_COMPRESSORS: Final = {  # by their numbers in HDF5's registry
    h5py.h5z.FILTER_DEFLATE: "zlib",
    32015: "zstd",
    32001: "blosc",
    h5py.h5z.FILTER_LZF: "lzf",
}


@dataclass(frozen=True, slots=True)
class FileTable:
    """The chunks of an array, all in one file.

    Parameters
    ----------
    path, stamp
        The file, and the version of it that was looked at.
    offsets, sizes
        (n,) int64 and uint32 or int64, of each chunk; offset -1 for one that is not stored.
    compressed
        (n,) bool, whether the compressor was not left out.
    """

    path: str
    stamp: Stamp | None
    offsets: NDArray[np.int64]
    sizes: NDArray[Any]
    compressed: NDArray[np.bool_]

    @property
    def checked(self) -> bool:
        """As in `ChunkTable`."""
        return False

    @property
    def n_bytes(self) -> int:
        """As in `ChunkTable`."""
        return self.offsets.nbytes + self.sizes.nbytes + self.compressed.nbytes

    def stored(self, files: OpenFile, first: int, last: int) -> Iterator[StoredChunk]:  # noqa: ARG002
        """As in `ChunkTable`."""
        columns = (
            part[first:last].tolist() for part in (self.offsets, self.sizes, self.compressed)
        )
        for number, (offset, size, compressed) in enumerate(zip(*columns, strict=True), first):
            if offset < 0:
                raise UnexpectedBytesError  # a chunk was never written
            yield StoredChunk(number, self.path, offset, size, compressed=compressed)


def layout_of_dataset(dataset: h5py.Dataset, path: str, stamp: Stamp | None) -> Layout | None:
    """Describe an open dataset; None where it has to be read by HDF5.

    Parameters
    ----------
    path, stamp
        Its file.
    """
    if not _is_of_file(dataset, path) or dataset.ndim != 1 or not holds_numbers(dataset.dtype):
        return None
    if dataset.id.get_type() != h5py.h5t.py_create(dataset.dtype, logical=True):
        return None  # HDF5 converts values of other widths and enumerations
    made = dataset.id.get_create_plist()
    size, itemsize = dataset.shape[0], dataset.dtype.itemsize
    if made.get_layout() == h5py.h5d.CONTIGUOUS:
        if (
            made.get_external_count()
            or dataset.id.get_storage_size() != size * itemsize
            or not size
        ):
            return None  # elsewhere, or never written
        offsets, sizes = np.array([dataset.id.get_offset()]), np.array([size * itemsize])
        table = FileTable(path, stamp, offsets, sizes, np.ones(1, bool))
        return Layout(size, dataset.dtype, size, Coding(), table)
    coding = _coding(made, itemsize) if made.get_layout() == h5py.h5d.CHUNKED else None
    if coding is None:
        return None
    compressor = 1 << made.get_nfilters() - 1 if coding.compressor else 0
    found = _chunk_table(dataset, path, stamp, compressor)
    if found is None:
        return None
    return Layout(size, dataset.dtype, dataset.chunks[0], coding, found)


def _is_of_file(dataset: h5py.Dataset, path: str) -> bool:
    """Whether it lies in that file, not behind a link to another, and no one is writing to it."""
    return dataset.file.filename == path and dataset.file.mode == "r"


def _coding(made: Any, itemsize: int) -> Coding | None:
    filters = [made.get_filter(i) for i in range(made.get_nfilters())]
    shuffle = 0
    if filters and filters[0][0] == h5py.h5z.FILTER_SHUFFLE:
        shuffle = itemsize
        if tuple(filters.pop(0)[2][:1]) != (itemsize,):
            return None
    if not filters:
        return Coding("", shuffle)
    compressor = _COMPRESSORS.get(filters[0][0])
    if compressor is None or len(filters) > 1 or (compressor == "lzf" and load() is None):
        return None
    return Coding(compressor, shuffle)


def _chunk_table(
    dataset: h5py.Dataset, path: str, stamp: Stamp | None, compressor: int
) -> FileTable | None:
    """List the chunks; `compressor` is the bit that is set in the mask of one without it."""
    n_chunks = -(-dataset.shape[0] // dataset.chunks[0])
    if n_chunks > CHUNKS:
        return None
    table = FileTable(
        path, stamp, np.full(n_chunks, -1), np.zeros(n_chunks, np.uint32), np.ones(n_chunks, bool)
    )
    length = dataset.chunks[0]

    def add(chunk: Any) -> None:
        number = chunk.chunk_offset[0] // length
        if 0 <= number < n_chunks and chunk.filter_mask in (0, compressor):
            table.offsets[number], table.sizes[number] = chunk.byte_offset, chunk.size
            table.compressed[number] = not chunk.filter_mask

    dataset.id.chunk_iter(add)
    if dataset.file.userblock_size and not _is_found(dataset, table):
        return None
    return table


def _is_found(dataset: h5py.Dataset, table: FileTable) -> bool:
    """Whether offsets count from the start of the file, before a user block; as HDF5 2.0 does."""
    stored = np.flatnonzero(table.offsets >= 0)
    if not stored.size:
        return False
    number = int(stored[np.argmin(table.sizes[stored])])
    _, raw = dataset.id.read_direct_chunk((number * dataset.chunks[0],))
    found = np.empty(int(table.sizes[number]), np.uint8)
    with OpenFile(table.stamp) as file:
        file.read(table.path, int(table.offsets[number]), found)
    return bool(found.tobytes() == raw)
