"""Puts the chunks of ready files together: metadata of a store, shards, a zip, an h5ad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork, StoredChunks
from cellucid_dask.exporter.stages.ready.chunk_writer import Target
from cellucid_dask.exporter.stages.ready.driver import open_stores
from cellucid_dask.exporter.stages.ready.matrix.driver import WrittenMatrix
from cellucid_dask.exporter.stages.ready.small_arrays import write_small_arrays
from cellucid_dask.files import file_crc32
from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.facts import ZarrFormat
from cellucid_dask.ready.h5ad_file import write_h5ad
from cellucid_dask.ready.nodes import ArrayNode, Node
from cellucid_dask.ready.shards import chunks_of_shard, is_sharded, shard_node, write_shard
from cellucid_dask.ready.zarr_documents import write_zarr_documents
from cellucid_dask.ready.zarr_keys import chunk_key
from cellucid_dask.ready.zip_file import write_zip

Written = dict[str, tuple[int, int]]  # (bytes, crc32) of files, by path


def assemble(
    job: Job, works: Sequence[ReadyWork], matrix: WrittenMatrix | None
) -> dict[str, Written]:
    """Complete the ready files of a run; the files of each by its format.

    Parameters
    ----------
    works
        All work but that on the matrix.

    Raises
    ------
    LookupError
        When a chunk is missing: readers would take it for fill values.
    """
    assert job.ready is not None
    stores = open_stores(job)
    graph = next((int(w.facts["nnz"]) for w in works if w.key == "obsp/connectivities"), None)
    layout = job.ready.layout(None if matrix is None else matrix.layout, graph)
    pointers = None if matrix is None else matrix.pointers
    every = [*works, write_small_arrays(layout, pointers, stores)]
    every += [] if matrix is None else matrix.works
    nodes, written = layout.nodes(), dict[str, Written]()
    for target in stores.targets:
        _refuse_missing(nodes, every, target)
        with _make_table(every, target) as table:
            if target.folder:
                found = _complete_store(job, target, nodes, every, table)
            else:
                found = _write_file(job, target, nodes, table)
        written[target.format] = found
    return written


def _refuse_missing(nodes: Sequence[Node], works: Sequence[ReadyWork], target: Target) -> None:
    """Raise LookupError unless every chunk of every array was stored exactly once."""
    found: dict[str, list[NDArray[np.int64]]] = {}
    for stored in _stored(works, target):
        found.setdefault(stored.array, []).append(stored.chunks["chunk"])
    for node in nodes:
        if isinstance(node, ArrayNode):
            numbers = np.sort(np.concatenate([np.zeros(0, np.int64), *found.get(node.path, [])]))
            if not np.array_equal(numbers, np.arange(node.n_chunks)):
                raise LookupError(f"chunks of {node.path} are missing or there twice")


def _stored(works: Sequence[ReadyWork], target: Target) -> Iterator[StoredChunks]:
    return (stored for work in works for stored in work.chunks if stored.target == target.format)


def _make_table(works: Sequence[ReadyWork], target: Target) -> ChunkTable:
    """The chunks of a target that are in packs."""
    table = ChunkTable()
    for stored in _stored(works, target):
        if stored.pack:
            columns = (stored.chunks[name] for name in ("chunk", "offset", "size", "crc32"))
            table.add(stored.array, stored.pack, *columns)
    return table


def _complete_store(
    job: Job, target: Target, nodes: Sequence[Node], works: Sequence[ReadyWork], table: ChunkTable
) -> Written:
    """Write shards and metadata of a store; all its files."""
    zarr_format = _zarr_format(target)
    arrays = {node.path: node for node in nodes if isinstance(node, ArrayNode)}
    written: Written = {}
    for stored in _stored(works, target):
        if not stored.pack:
            node = arrays[stored.array]
            numbers, sizes, sums = (
                stored.chunks[name].tolist() for name in ("chunk", "size", "crc32")
            )
            for chunk, size, crc32 in zip(numbers, sizes, sums, strict=True):
                written[chunk_key(node, chunk, zarr_format)] = (size, crc32)
    parts = str(job.folders.parts)
    if target.sharded:
        tasks = [
            (target.folder, parts, node, shard, table.part(node.path, chunks_of_shard(node, shard)))
            for node in arrays.values()
            if is_sharded(node)
            for shard in range(shard_node(node).n_chunks)
        ]
        receipts = job.engine.run("shards", write_shard, tasks, unit="shards")
        written |= {r.path: (r.size, r.crc32) for r in receipts}
    documents = write_zarr_documents(
        target.folder, parts, nodes, zarr_format, sharded=target.sharded
    )
    return written | {r.path: (r.size, r.crc32) for r in documents}


def _write_file(job: Job, target: Target, nodes: Sequence[Node], table: ChunkTable) -> Written:
    """Write a ready file of one piece."""
    path = job.folders.ready[target.format]
    with job.engine.reporter.stage(target.format, 1, "files") as advance:
        if target.format == "h5ad":
            write_h5ad(path, nodes, table)
        else:
            write_zip(path, nodes, table, _zarr_format(target), sharded=target.sharded)
        advance()
    return {path.name: file_crc32(path)}


def _zarr_format(target: Target) -> ZarrFormat:
    return 3 if target.coding == "zarr3" else 2
