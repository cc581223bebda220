"""Writes an h5ad whose chunks lie encoded in packs.

Everything is declared before any value is written, so that HDF5 keeps what describes the file
together at its start; the values that the viewer reads when it opens the file come right after.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5g, h5p

from cellucid_dask.errors import InputError
from cellucid_dask.ready.chunk_table import ChunkTable
from cellucid_dask.ready.facts import LEVEL, META_BLOCK
from cellucid_dask.ready.nodes import ArrayNode, Node


def write_h5ad(path: str | Path, nodes: Sequence[Node], table: ChunkTable) -> None:
    """Write a file of `nodes` whose chunks are in `table`; holds one chunk at a time.

    Raises
    ------
    InputError
        When a text has a NUL character, which ends a text of HDF5.
    """
    with _create(path) as file:
        for node in nodes:
            _declare(file, node)
        arrays = [node for node in nodes if isinstance(node, ArrayNode) and node.n_chunks]
        for node in sorted(arrays, key=lambda node: not node.opening):
            _write_values(file, node, table)


def _create(path: str | Path) -> h5py.File:
    """Create a file; by property lists, as `h5py.File` before 3.15 notes the time of groups."""
    access = h5p.create(h5p.FILE_ACCESS)
    # Such files find a chunk without an index of its own, or by one of a fixed size.
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    access.set_meta_block_size(META_BLOCK)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5py.File(h5f.create(os.fsencode(path), h5f.ACC_TRUNC, creation, access))


def _declare(file: h5py.File, node: Node) -> None:
    if isinstance(node, ArrayNode):
        made = file.create_dataset(node.path, node.shape, _dtype(node), **_filters(node))
    elif node.path:
        creation = h5p.create(h5p.GROUP_CREATE)
        creation.set_obj_track_times(False)
        made = h5py.Group(h5g.create(file.id, node.path.encode(), gcpl=creation))
    else:
        made = file
    made.attrs.update(node.attributes)


def _dtype(node: ArrayNode) -> np.dtype[Any]:
    return h5py.string_dtype() if node.is_text else np.dtype(node.dtype)


def _filters(node: ArrayNode) -> dict[str, Any]:
    if not node.shape or not node.n_chunks:  # HDF5 has no chunks of a scalar or of nothing
        return {}
    return {
        "chunks": node.chunks,
        "compression": "gzip",
        "compression_opts": LEVEL,
        "shuffle": node.is_shuffled,
    }


def _write_values(file: h5py.File, node: ArrayNode, table: ChunkTable) -> None:
    """Write all chunks of an array; closed after it, none of them stays in the cache of HDF5."""
    dataset = file[node.path]
    for chunk in range(node.n_chunks):
        payload = table.read(node.path, chunk)
        if node.is_text:
            _write_text(dataset, node, chunk, payload)
        elif node.shape:
            starts = tuple(part.start for part in node.region(chunk))
            dataset.id.write_direct_chunk(starts, payload)
        else:
            dataset[()] = np.frombuffer(zlib.decompress(payload), node.dtype)[0]
    dataset.flush()


def _write_text(dataset: h5py.Dataset, node: ArrayNode, chunk: int, payload: bytes) -> None:
    from numcodecs import VLenBytes

    # The bytes of vlen-utf8; HDF5 takes them without that they become Python strings.
    texts = VLenBytes().decode(payload)
    region = node.region(chunk)
    if not region:
        dataset[()] = texts[0]
        return
    try:
        dataset[region] = texts[: region[0].stop - region[0].start]
    except ValueError as error:
        raise InputError(
            "a text has a NUL character, which HDF5 cannot store",
            where=node.path,
            fix="remove the character, or write zarr",
        ) from error
