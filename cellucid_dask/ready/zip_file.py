"""Writes a zarr store as one zip file, whose bytes depend on its content alone."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode, Node
from cellucid_dask.ready.shards import (
    is_sharded,
    shard_bytes,
    shard_node,
    shard_size,
)
from cellucid_dask.ready.zarr_documents import zarr_documents
from cellucid_dask.ready.zarr_keys import chunk_key

Entry: TypeAlias = tuple[str, int, Iterable[bytes]]  # name, bytes, parts

_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can say
_UNIX: Final = 3
_MODE: Final = stat.S_IFREG | 0o644


def write_zip(
    path: str | Path,
    nodes: Sequence[Node],
    table: ChunkTable,
    zarr_format: ZarrFormat,
    *,
    sharded: bool = False,
) -> None:
    """Write a store whose chunks are in `table`; holds one chunk at a time.

    Chunks come first, by array and place in its grid, then the documents, those of the root last:
    who reads the end of the file for the list of its entries has read them too.
    """
    with ZipFile(path, "w", ZIP_STORED) as file:
        for name, size, parts in _entries(nodes, table, zarr_format, sharded=sharded):
            info = ZipInfo(name, _TIME)
            info.create_system, info.external_attr = _UNIX, _MODE << 16
            info.file_size = size  # decides whether the entry needs zip64
            with file.open(info, "w") as entry:
                for part in parts:
                    entry.write(part)


def _entries(
    nodes: Sequence[Node], table: ChunkTable, zarr_format: ZarrFormat, *, sharded: bool
) -> Iterator[Entry]:
    arrays = [node for node in nodes if isinstance(node, ArrayNode)]
    for node in sorted(arrays, key=lambda node: node.path.split("/")):
        if sharded and is_sharded(node):
            yield from _shards(node, table)
        else:
            for chunk in range(node.n_chunks):
                payload = table.read(node.path, chunk)
                yield chunk_key(node, chunk, zarr_format), len(payload), [payload]
    for key, document in zarr_documents(nodes, zarr_format, sharded=sharded).items():
        yield key, len(document), [document]


def _shards(node: ArrayNode, table: ChunkTable) -> Iterator[Entry]:
    shards = shard_node(node)
    for shard in range(shards.n_chunks):
        key, size = chunk_key(shards, shard, 3), shard_size(node, shard, table)
        yield key, size, shard_bytes(node, shard, table)
