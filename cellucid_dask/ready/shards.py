"""Shards of version 3: files that hold many chunks of an array, with an index at their end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import google_crc32c
import numpy as np

from cellucid_dask.files import Receipt, write_atomically
from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.facts import SHARD_CHUNKS
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.zarr_keys import chunk_key

SHARDED: Final = frozenset({"X", "X/data", "X/indices"})  # arrays whose chunks grow with the matrix
INDEX_CODECS: Final[list[dict[str, Any]]] = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]


def is_sharded(node: ArrayNode) -> bool:
    """Whether shards hold the chunks of an array; a single chunk needs none."""
    return node.path in SHARDED and node.n_chunks > 1


def shard_node(node: ArrayNode) -> ArrayNode:
    """The array with shards in place of its chunks, of up to `SHARD_CHUNKS` along the last axis.

    Its grid, its number of chunks and its keys are those of the shards.
    """
    inner = min(SHARD_CHUNKS, node.grid[-1])
    return replace(node, chunks=(*node.chunks[:-1], node.chunks[-1] * inner))


def chunks_of_shard(node: ArrayNode, shard: int) -> range:
    """Numbers of the chunks that a shard holds: fewer at the edge of the array."""
    along = node.grid[-1]
    inner = min(SHARD_CHUNKS, along)
    rows, column = divmod(shard, -(-along // inner))
    start = rows * along + column * inner
    return range(start, min(start + inner, (rows + 1) * along))


def shard_bytes(node: ArrayNode, shard: int, table: ChunkTable) -> Iterator[bytes]:
    """Yield the parts of a shard: its encoded chunks in their order, then the index."""
    absent = (1 << 64) - 1
    index = np.full((min(SHARD_CHUNKS, node.grid[-1]), 2), absent, "<u8")
    offset = 0
    for i, chunk in enumerate(chunks_of_shard(node, shard)):
        payload = table.read(node.path, chunk)
        index[i] = offset, len(payload)
        offset += len(payload)
        yield payload
    content = index.tobytes()
    yield content + google_crc32c.value(content).to_bytes(4, "little")


def shard_size(node: ArrayNode, shard: int, table: ChunkTable) -> int:
    """Bytes of a shard, the index and its checksum included."""
    sizes = table.sizes(node.path, chunks_of_shard(node, shard))
    return int(sizes.sum()) + 16 * min(SHARD_CHUNKS, node.grid[-1]) + 4


def write_shard(folder: str, parts: str, node: ArrayNode, shard: int, table: ChunkTable) -> Receipt:
    """Write one shard to its key in the store `folder`; holds one chunk at a time.

    Parameters
    ----------
    parts
        Folder on the same disk for the file while it is written.
    """
    key = chunk_key(shard_node(node), shard, 3)
    path = f"{folder}/{key}"
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    return Receipt(key, *write_atomically(path, shard_bytes(node, shard, table), parts))
