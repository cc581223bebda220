"""Values of a ready file, encoded into packs as the tasks of an export do."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import Coding
from cellucid_dask.ready.layout import ReadyLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.shards import is_sharded, shard_node, write_shard
from cellucid_dask.ready.zarr_documents import write_zarr_documents
from cellucid_dask.ready.zarr_keys import chunk_key

Values = Mapping[str, Any]  # of each array, by its path


def values_of_chunk(node: ArrayNode, values: Any, chunk: int) -> Any:
    region = node.region(chunk)
    return values[region[0] if node.is_text else region] if region else values


def pack(layout: ReadyLayout, values: Values, coding: Coding, folder: Path) -> ChunkTable:
    """Encode all chunks into two packs, turn about, and from the last to the first."""
    folder.mkdir(exist_ok=True)
    table = ChunkTable()
    paths = [folder / f"{coding}-{i}" for i in range(2)]
    files = [path.open("wb") for path in paths]
    for path, node in layout.arrays().items():
        for chunk in reversed(range(node.n_chunks)):
            payload = encode_chunk(node, values_of_chunk(node, values[path], chunk), coding)
            offset = files[chunk % 2].tell()
            files[chunk % 2].write(payload)
            where = [[chunk], [offset], [len(payload)], [zlib.crc32(payload)]]
            table.add(path, str(paths[chunk % 2]), *where)
    for file in files:
        file.close()
    return table


def write_folder(
    layout: ReadyLayout, table: ChunkTable, folder: Path, zarr_format: Any, *, sharded: bool = False
) -> Path:
    """A store as a folder, from a table of its chunks."""
    parts = folder.with_suffix(".parts")
    parts.mkdir()
    for path, node in layout.arrays().items():
        if sharded and is_sharded(node):
            for shard in range(shard_node(node).n_chunks):
                write_shard(str(folder), str(parts), node, shard, table)
            continue
        for chunk in range(node.n_chunks):
            key = folder / chunk_key(node, chunk, zarr_format)
            key.parent.mkdir(parents=True, exist_ok=True)
            key.write_bytes(table.read(path, chunk))
    write_zarr_documents(str(folder), str(parts), layout.nodes(), zarr_format, sharded=sharded)
    assert list(parts.iterdir()) == []
    return folder


def sparse_values(path: str, matrix: Any) -> dict[str, np.ndarray]:
    return {f"{path}/{name}": getattr(matrix, name) for name in ("indptr", "data", "indices")}
