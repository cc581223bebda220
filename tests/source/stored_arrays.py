"""Arrays of one axis, stored in every way that is read directly, and in some that are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numcodecs
import zarr
from chunked import zipped
from numpy.typing import NDArray

from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.store import locate_store

Write = Callable[[Path, NDArray[Any], int], Path]


def hdf5(user_block: int = 0, **layout: Any) -> Write:
    """Write X/data of an HDF5 file; in chunks unless `layout` says otherwise."""

    def write(folder: Path, values: NDArray[Any], chunk: int) -> Path:
        path = folder / "a.h5ad"
        with h5py.File(path, "w", userblock_size=user_block) as file:
            file.create_dataset("X/data", data=values, **{"chunks": (chunk,), **layout})
        return path

    return write


def zarr_folder(zarr_format: int, shard: int = 0, **layout: Any) -> Write:
    """Write X/data of a zarr folder, with `shard` chunks in a shard."""

    def write(folder: Path, values: NDArray[Any], chunk: int) -> Path:
        path = folder / "a.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        shards = {"shards": (chunk * shard,)} if shard else {}
        kept = {"config": {"write_empty_chunks": True}}  # also those that hold the fill value only
        options = {"dtype": values.dtype, "chunks": (chunk,), **shards, **kept, **layout}
        made = group.create_group("X").create_array("data", shape=values.shape, **options)
        made[...] = values
        return path

    return write


def shuffled(**layout: Any) -> Write:
    """Write X/data of a zarr folder with the shuffle of ready files."""

    def write(folder: Path, values: NDArray[Any], chunk: int) -> Path:
        shuffle = numcodecs.Shuffle(values.dtype.itemsize)
        return zarr_folder(2, filters=[shuffle], **layout)(folder, values, chunk)

    return write


def in_zip(write: Write) -> Write:
    """Pack a zarr folder into a zip."""
    return lambda folder, values, chunk: zipped(write(folder, values, chunk))


def first_index(**codecs: Any) -> Write:
    """Write shards whose index stands first and has no checksum."""

    def write(folder: Path, values: NDArray[Any], chunk: int) -> Path:
        codec = zarr.codecs.ShardingCodec(
            chunk_shape=(chunk,),
            index_location="start",
            index_codecs=[zarr.codecs.BytesCodec()],
            codecs=[zarr.codecs.BytesCodec(), zarr.codecs.GzipCodec()],
        )
        layout = {"serializer": codec, "compressors": None, "filters": None}
        return zarr_folder(3, chunks=(2 * chunk,), **layout)(folder, values, chunk)

    return write


ZSTD_2 = numcodecs.Zstd(1)
CRC = zarr.codecs.Crc32cCodec()
DIRECT: dict[str, Write] = {
    "hdf5 contiguous": hdf5(chunks=None),
    "hdf5 contiguous, user block": hdf5(1024, chunks=None),
    "hdf5 chunks": hdf5(),
    "hdf5 chunks, user block": hdf5(512),
    "hdf5 shuffle": hdf5(shuffle=True),
    "hdf5 gzip": hdf5(compression="gzip"),
    "hdf5 gzip, shuffle, user block": hdf5(2048, compression="gzip", shuffle=True),
    "hdf5 lzf": hdf5(compression="lzf"),
    "hdf5 lzf, shuffle": hdf5(compression="lzf", shuffle=True),
    "hdf5 zstd": hdf5(**hdf5plugin.Zstd()),
    "hdf5 zstd, shuffle": hdf5(shuffle=True, **hdf5plugin.Zstd()),
    "hdf5 blosc": hdf5(**hdf5plugin.Blosc()),
    "hdf5 blosc, bits": hdf5(**hdf5plugin.Blosc("zstd", 3, hdf5plugin.Blosc.BITSHUFFLE)),
    "v2 plain": zarr_folder(2, compressors=None),
    "v2 /": zarr_folder(2, chunk_key_encoding={"name": "v2", "separator": "/"}),
    "v2 blosc": zarr_folder(2, compressors=numcodecs.Blosc()),
    "v2 zstd": zarr_folder(2, compressors=ZSTD_2),
    "v2 gzip": zarr_folder(2, compressors=numcodecs.GZip()),
    "v2 zlib": zarr_folder(2, compressors=numcodecs.Zlib()),
    "v2 zlib, shuffle": shuffled(compressors=numcodecs.Zlib()),
    "v2 shuffle": shuffled(compressors=None),
    "v2 lz4": zarr_folder(2, compressors=numcodecs.LZ4()),
    "v3 plain": zarr_folder(3, compressors=None),
    "v3 .": zarr_folder(3, chunk_key_encoding={"name": "default", "separator": "."}),
    "v3 zstd": zarr_folder(3, compressors=zarr.codecs.ZstdCodec()),
    "v3 zstd, crc": zarr_folder(3, compressors=[zarr.codecs.ZstdCodec(checksum=True), CRC]),
    "v3 gzip": zarr_folder(3, compressors=zarr.codecs.GzipCodec()),
    "v3 blosc": zarr_folder(3, compressors=zarr.codecs.BloscCodec()),
    "v3 crc": zarr_folder(3, compressors=CRC),
    "shards zstd": zarr_folder(3, 3, compressors=zarr.codecs.ZstdCodec()),
    "shards plain": zarr_folder(3, 2, compressors=None),
    "shards crc": zarr_folder(3, 2, compressors=CRC),
    "shards, index first": first_index(),
    "zip v2 blosc": in_zip(zarr_folder(2, compressors=numcodecs.Blosc())),
    "zip v2 zlib, shuffle": in_zip(shuffled(compressors=numcodecs.Zlib())),
    "zip v3 plain": in_zip(zarr_folder(3, compressors=None)),
    "zip v3 zstd": in_zip(zarr_folder(3, compressors=zarr.codecs.ZstdCodec())),
    "zip shards": in_zip(zarr_folder(3, 2, compressors=zarr.codecs.ZstdCodec())),
}
ORDINARY: dict[str, Write] = {
    "hdf5 checksum": hdf5(fletcher32=True),
    "hdf5 lz4": hdf5(**hdf5plugin.LZ4()),
    "v2 bz2": zarr_folder(2, compressors=numcodecs.BZ2()),
    "v2 delta": zarr_folder(2, filters=[numcodecs.Delta("<i4")], compressors=None),
    "v2 shuffle of other values": zarr_folder(2, filters=[numcodecs.Shuffle(2)]),
    "v2 two shuffles": zarr_folder(2, filters=[numcodecs.Shuffle(4)] * 2),
    "v3 big endian": zarr_folder(3, serializer=zarr.codecs.BytesCodec(endian="big")),
}


def array_of(path: Path, key: str = "X/data") -> FileArray:
    """Describe the array at `key` of a store."""
    store = locate_store(path)
    with store.open_element(key) as element:
        return FileArray.of(store, key, element)
