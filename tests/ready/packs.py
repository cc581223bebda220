"""Values of ready files, encoded into packs and put together as an export does."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import Coding, Format
from cellucid_dask.ready.h5ad_file import write_h5ad
from cellucid_dask.ready.nodes import ArrayNode, Node
from cellucid_dask.ready.shards import is_sharded, shard_node, write_shard
from cellucid_dask.ready.zarr_documents import write_zarr_documents
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.ready.zip_file import write_zip

Values = Mapping[str, Any]  # of each array, by its path
CONTAINERS: dict[str, tuple[Format, Coding, bool]] = {  # whether it has shards
    "v2.zarr": ("zarr", "zarr2", False),
    "v3.zarr": ("zarr", "zarr3", False),
    "shards.zarr": ("zarr", "zarr3", True),
    "v2.zarr.zip": ("zarr.zip", "zarr2", False),
    "v3.zarr.zip": ("zarr.zip", "zarr3", False),
    "shards.zarr.zip": ("zarr.zip", "zarr3", True),
    "h5ad": ("h5ad", "hdf5", False),
}


def write_container(container: str, nodes: Sequence[Node], values: Values, folder: Path) -> Path:
    """Write a ready file of these values into `folder`."""
    kind, coding, sharded = CONTAINERS[container]
    path = folder / f"a.{container}"
    with pack(nodes, values, coding, folder / "packs") as table:
        if kind == "h5ad":
            write_h5ad(path, nodes, table)
        elif kind == "zarr.zip":
            write_zip(path, nodes, table, 2 if coding == "zarr2" else 3, sharded=sharded)
        else:
            write_folder(path, nodes, table, 2 if coding == "zarr2" else 3, sharded=sharded)
    return path


def pack(nodes: Sequence[Node], values: Values, coding: Coding, folder: Path) -> ChunkTable:
    """Encode all chunks into two packs, turn about, and from the last to the first."""
    folder.mkdir(exist_ok=True)
    table = ChunkTable()
    paths = [folder / f"{coding}-{i}" for i in range(2)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for node in arrays_of(nodes):
            for chunk in reversed(range(node.n_chunks)):
                payload = encode_chunk(node, values_of_chunk(node, chunk, values), coding)
                offset = files[chunk % 2].tell()
                files[chunk % 2].write(payload)
                where = [[chunk], [offset], [len(payload)], [zlib.crc32(payload)]]
                table.add(node.path, str(paths[chunk % 2]), *where)
    return table


def write_folder(
    folder: Path, nodes: Sequence[Node], table: ChunkTable, zarr_format: Any, *, sharded: bool
) -> None:
    parts = folder.with_suffix(".parts")
    parts.mkdir()
    for node in arrays_of(nodes):
        if sharded and is_sharded(node):
            for shard in range(shard_node(node).n_chunks):
                write_shard(str(folder), str(parts), node, shard, table)
            continue
        for chunk in range(node.n_chunks):
            key = folder / chunk_key(node, chunk, zarr_format)
            key.parent.mkdir(parents=True, exist_ok=True)
            key.write_bytes(table.read(node.path, chunk))
    write_zarr_documents(str(folder), str(parts), nodes, zarr_format, sharded=sharded)
    assert list(parts.iterdir()) == []


def arrays_of(nodes: Sequence[Node]) -> Iterator[ArrayNode]:
    return (node for node in nodes if isinstance(node, ArrayNode))


def values_of_chunk(node: ArrayNode, chunk: int, values: Values) -> Any:
    region = node.region(chunk)
    return values[node.path][region] if region else values[node.path]


def cut(nodes: Sequence[Node], length: int) -> list[Node]:
    """The same with chunks of at most `length` along each axis, so that small arrays have many."""
    return [
        replace(node, chunks=tuple(min(n, length) for n in node.chunks))
        if isinstance(node, ArrayNode)
        else node
        for node in nodes
    ]
