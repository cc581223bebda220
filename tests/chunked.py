"""Stores with many small chunks, in every way that zarr names and packs them."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import zarr
from atlas import save


@dataclass(frozen=True)
class Kind:
    """How a store names and packs its chunks."""

    zarr_format: int = 3
    encoding: str = "default"
    separator: str = "/"
    shard: int = 0  # chunks along each axis of a shard; 0 for no shards
    location: str = "end"
    checksum: bool = True


KINDS = {
    "v2 .": Kind(2, "v2", "."),
    "v2 /": Kind(2, "v2", "/"),
    "v3": Kind(),
    "v3 .": Kind(separator="."),
    "v3 as v2": Kind(encoding="v2", separator="."),
    "v3 as v2 /": Kind(encoding="v2", separator="/"),
    "shards": Kind(shard=3),
    "shards, index first": Kind(shard=2, location="start", checksum=False),
}


def write_chunked(
    adata: anndata.AnnData, path: Path, kind: Kind = KINDS["v3"], chunk: int = 10
) -> Path:
    """Write `adata` as a zarr folder with chunks of at most `chunk` items along each axis."""
    whole = path.with_name("whole.zarr")
    save(adata, whole)
    made = zarr.open_group(path, mode="w", zarr_format=kind.zarr_format)
    _copy(zarr.open_group(whole, mode="r"), made, kind, chunk)
    shutil.rmtree(whole)
    return path


def _copy(old: Any, new: Any, kind: Kind, chunk: int) -> None:
    new.attrs.update(dict(old.attrs))
    for name, element in old.members():
        if isinstance(element, zarr.Group):
            _copy(element, new.create_group(name), kind, chunk)
            continue
        made = new.create_array(name, **_layout(element, kind, chunk))
        made.attrs.update(dict(element.attrs))
        made[...] = element[...]


def _layout(element: Any, kind: Kind, chunk: int) -> dict[str, Any]:
    text = element.dtype.kind in "OT"
    chunks = tuple(max(1, min(n, chunk)) for n in element.shape)
    encoding = {"name": kind.encoding, "separator": kind.separator}
    found = {
        "shape": element.shape,
        "dtype": str if text else element.dtype,
        "chunks": chunks,
        "chunk_key_encoding": encoding,
    }
    if kind.shard and element.ndim:
        codec = zarr.codecs.ShardingCodec(
            chunk_shape=chunks,
            index_location=kind.location,
            index_codecs=[zarr.codecs.BytesCodec(), zarr.codecs.Crc32cCodec()][: 1 + kind.checksum],
            codecs=[zarr.codecs.VLenUTF8Codec() if text else zarr.codecs.BytesCodec()],
        )
        found["chunks"] = tuple(c * kind.shard for c in chunks)
        found |= {"serializer": codec, "compressors": None, "filters": None}
    return found


def chunk_name(path: Path, key: str, *index: int) -> str:
    """Path, within the store, of a chunk (or shard) of the array at `key`."""
    array = zarr.open_group(path, mode="r")[key]
    return f"{key}/{array.metadata.encode_chunk_key(index)}"


def remove_chunk(path: Path, key: str, *index: int) -> None:
    """Remove a chunk of a folder, as a copy that ended early has none."""
    (path / chunk_name(path, key, *index)).unlink()


def zipped(path: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Pack a folder into a zip file beside it."""
    target = path.with_suffix(".zarr.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file() and name not in without:
                archive.write(file, name)
    return target
