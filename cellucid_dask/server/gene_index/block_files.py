"""The files of one block of the gene index: three zarr arrays, written and read without zarr.

zarr itself takes longer to open three arrays than it takes to read and encode a gene. All of its
arrays are alike but for length and type, so their metadata need not be interpreted. zarr reads
them as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from cellucid_dask.source.storage.direct.codecs import Coding
from cellucid_dask.source.storage.direct.layout import Layout
from cellucid_dask.source.storage.direct.read import read_layout
from cellucid_dask.source.storage.direct.zarr_tables import FolderTable, ShardTable
from cellucid_dask.source.zarr_chunks.keys import ChunkKeys
from cellucid_dask.source.zarr_chunks.shard_index import ShardIndex

ARRAYS: Final = ("indptr", "indices", "data")
METADATA: Final = "zarr.json"
CHUNK: Final = 1 << 15  # items that are compressed together
CODEC: Final = "lz4"
LEVEL: Final = 5

_KEYS: Final = ChunkKeys((1,), "c", "/")
_CHECKED: Final = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_GROUP: Final = {"attributes": {}, "zarr_format": 3, "node_type": "group"}


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is open for reading.

    Parameters
    ----------
    pointers
        (n_genes + 1,) where the values of each gene begin.
    indices, data
        How the cells and the values are stored.
    """

    pointers: NDArray[np.uint64]
    indices: Layout
    data: Layout

    @classmethod
    def open(cls, folder: Path, n_genes: int, cells: np.dtype[Any]) -> Block:
        """Open the block in `folder`.

        Parameters
        ----------
        n_genes, cells
            How many genes it has, and the type of its cells.

        Raises
        ------
        Exception
            One of `cellucid_dask.source.storage.damage.DAMAGE`.
        """
        pointers = np.empty(n_genes + 1, np.uint64)
        read_layout(_layout(folder / "indptr", pointers.size, pointers.dtype), 0, pointers)
        size = int(pointers[-1])
        facts = json.loads((folder / "data" / METADATA).read_bytes())
        if facts["shape"] != [size]:
            raise ValueError("the arrays of a block have different lengths")
        values = np.dtype(facts["data_type"])
        data = _layout(folder / "data", size, values)
        return cls(pointers, _layout(folder / "indices", size, cells), data)

    def cells(self, first: int, last: int) -> NDArray[Any]:
        """Read the cells of the genes `first` up to `last`, counted from that of the block.

        Raises
        ------
        Exception
            One of `cellucid_dask.source.storage.damage.DAMAGE`.
        """
        return self._read(self.indices, first, last)

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Read the values of genes, as `cells` reads their cells."""
        return self._read(self.data, first, last)

    def _read(self, array: Layout, first: int, last: int) -> NDArray[Any]:
        start, stop = int(self.pointers[first]), int(self.pointers[last])
        found = np.empty(stop - start, array.dtype)
        if found.size:
            read_layout(array, start, found)
        return found


def _layout(folder: Path, size: int, dtype: np.dtype[Any]) -> Layout:
    """Describe an array of a block."""
    length, n_chunks = _chunks(size)
    index = ShardIndex((length,), (n_chunks,), at_start=False, dtype="<u8", checked=True)
    table = ShardTable(FolderTable(str(folder), _KEYS), index)
    return Layout(size, dtype, length, Coding("blosc", checksum=True), table)


def _chunks(size: int) -> tuple[int, int]:
    """Length and number of the chunks of an array."""
    length = max(1, min(CHUNK, size))
    return length, max(1, -(-size // length))


def block_files(
    pointers: NDArray[np.int64], indices: NDArray[Any], values: NDArray[Any]
) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the files of a block: paths within its folder, and their contents in pieces."""
    yield METADATA, [json.dumps(_GROUP).encode()]
    for name, array in zip(ARRAYS, (pointers.astype(np.uint64), indices, values), strict=True):
        yield f"{name}/{METADATA}", [json.dumps(_metadata(array)).encode()]
        if array.size:
            yield f"{name}/{_KEYS.name(0)}", _shard(array)


def _metadata(array: NDArray[Any]) -> dict[str, Any]:
    length, n_chunks = _chunks(array.size)
    plain = _CHECKED[0] if array.itemsize > 1 else {"name": "bytes"}
    blosc = {"cname": CODEC, "clevel": LEVEL, "shuffle": "bitshuffle", "blocksize": 0}
    blosc["typesize"] = array.itemsize
    sharding = {
        "chunk_shape": [length],
        "codecs": [plain, {"name": "blosc", "configuration": blosc}, _CHECKED[1]],
        "index_codecs": _CHECKED,
        "index_location": "end",
    }
    return {
        "shape": [array.size],
        "data_type": array.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [length * n_chunks]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _shard(array: NDArray[Any]) -> list[bytes]:
    """Compressed chunks, each with its checksum, and behind them where they are."""
    from numcodecs import blosc

    length, n_chunks = _chunks(array.size)
    pieces, index, end = [], np.empty((n_chunks, 2), "<u8"), 0
    for i in range(n_chunks):
        chunk = array[i * length : (i + 1) * length]
        if chunk.size < length:  # zarr stores the last chunk whole
            chunk = np.concatenate([chunk, np.zeros(length - chunk.size, array.dtype)])
        packed = blosc.compress(chunk, CODEC.encode(), LEVEL, blosc.BITSHUFFLE)
        pieces += [packed, _checksum(packed)]
        index[i] = end, len(packed) + 4
        end += len(packed) + 4
    table = index.tobytes()
    return [*pieces, table, _checksum(table)]


def _checksum(content: bytes) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(4, "little")
