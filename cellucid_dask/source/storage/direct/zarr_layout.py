"""Where a zarr store, a folder or a zip, has the chunks of an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cellucid_dask.source.storage.direct.codecs import Coding
from cellucid_dask.source.storage.direct.layout import CHUNKS, Layout, holds_numbers
from cellucid_dask.source.storage.direct.stored import ChunkTable, Stamp
from cellucid_dask.source.storage.direct.zarr_tables import (
    FolderTable,
    ShardTable,
    members_of_zip,
)
from cellucid_dask.source.storage.store import Store
from cellucid_dask.source.zarr_chunks.keys import ChunkKeys
from cellucid_dask.source.zarr_chunks.shard_index import ShardIndex

_COMPRESSORS_2: Final = ("zlib", "gzip", "zstd", "blosc", "lz4")
_COMPRESSORS_3: Final = ("gzip", "zstd", "blosc")


def layout_of_zarr(array: Any, store: Store, stamp: Stamp | None) -> Layout | None:
    """Describe an open zarr.Array; None where it has to be read by zarr.

    Parameters
    ----------
    store, stamp
        Where it is; the version of its file, of a zip.
    """
    if array.ndim != 1 or not array.size or not holds_numbers(array.dtype):
        return None
    metadata = array.metadata.to_dict()
    chunk = _file_chunk(metadata)
    index = ShardIndex.of(metadata, (chunk,)) if metadata["zarr_format"] == 3 else None
    codecs = metadata["codecs"][0]["configuration"]["codecs"] if index else metadata.get("codecs")
    width = array.dtype.itemsize
    coding = _coding_2(metadata, width) if metadata["zarr_format"] == 2 else _coding_3(codecs)
    n_files = -(-array.shape[0] // chunk) if chunk else 0
    if coding is None or not 0 < n_files <= CHUNKS:
        return None
    keys = ChunkKeys.of(metadata, (n_files,))
    table: ChunkTable = FolderTable(f"{store.path}/{array.path}", keys)
    if store.kind == "zip":
        table = members_of_zip(store.path, array.path, keys, stamp)
    if index is not None:
        chunk, table = index.chunk[0], ShardTable(table, index)
    return Layout(array.shape[0], array.dtype, chunk, coding, table)


def _file_chunk(metadata: Mapping[str, Any]) -> int:
    """Values of a chunk or of a shard, which is one file; 0 where they differ."""
    if metadata["zarr_format"] == 2:
        return int(metadata["chunks"][0])
    if metadata["chunk_grid"]["name"] != "regular":
        return 0
    return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])


def _coding_2(metadata: Mapping[str, Any], width: int) -> Coding | None:
    """Take at most one compressor, and before it a shuffle of values of `width` bytes."""
    compressor, filters = metadata["compressor"], metadata.get("filters") or ()
    name = "" if compressor is None else compressor["id"]
    shuffles = [found.get("elementsize") for found in filters if found.get("id") == "shuffle"]
    if name not in ("", *_COMPRESSORS_2) or len(shuffles) < len(filters):
        return None
    if shuffles not in ([], [width]):
        return None
    return Coding(name, shuffle=width if shuffles else 0)


def _coding_3(codecs: Sequence[Mapping[str, Any]]) -> Coding | None:
    """Take values in the byte order of the machine, at most one compressor, and a checksum."""
    names = [codec["name"] for codec in codecs]
    if not names or names.pop(0) != "bytes":
        return None
    if codecs[0].get("configuration", {}).get("endian", "little") != "little":
        return None
    checksum = bool(names) and names[-1] == "crc32c"
    compressors = names[: len(names) - checksum]
    if any(name not in _COMPRESSORS_3 for name in compressors) or len(compressors) > 1:
        return None
    return Coding("".join(compressors), checksum=checksum)
