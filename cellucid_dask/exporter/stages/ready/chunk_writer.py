"""Stores the chunks that one task makes, for every ready file of the run."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.block_writer import BlockWriter
from cellucid_dask.exporter.ready_receipts import CHUNK_RECEIPT, ReadyWork, StoredChunks
from cellucid_dask.exporter.stages.genes.spill_file import SpillFile
from cellucid_dask.files import bytes_of
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.facts import Coding, Format, ZarrFormat
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.shards import is_sharded
from cellucid_dask.ready.zarr_keys import chunk_key


@dataclass(frozen=True, slots=True)
class Target:
    """A ready file that is being made.

    Parameters
    ----------
    format, coding
        Its container, and how its chunks become bytes.
    folder
        Folder of a store whose chunks are files of their own; empty where chunks go to packs.
    sharded
        Whether chunks of X are put together in shards, so they go to packs as well.
    """

    format: Format
    coding: Coding
    folder: str = ""
    sharded: bool = False


@dataclass(frozen=True, slots=True)
class ChunkStores:
    """Where the chunks of a run go; what every task of a ready file is given first.

    Parameters
    ----------
    targets
        The ready files of the run.
    parts
        Folder on the disk of the stores for files that are not finished.
    scratch
        Folder for packs.
    """

    targets: tuple[Target, ...]
    parts: str
    scratch: str


# Target, array, pack, grid and version of the store, as `StoredChunks` has them.
_Where: TypeAlias = tuple[str, str, str, tuple[int, ...], int]


@dataclass(slots=True)
class ChunkWriter:
    """Encodes chunks and stores them in files or packs; a context manager of one task.

    Each chunk is encoded once for all targets of one coding.

    Parameters
    ----------
    stores
        Where they go.
    """

    stores: ChunkStores
    _stack: ExitStack = field(default_factory=ExitStack)
    _files: dict[str, BlockWriter] = field(default_factory=dict)
    _pack: SpillFile | None = None
    _folders: set[str] = field(default_factory=set)
    _chunks: dict[_Where, list[tuple[int, ...]]] = field(default_factory=dict)
    _pieces: dict[_Where, list[tuple[int, ...]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, node: ArrayNode, chunk: int, values: Any) -> None:
        """Encode and store a chunk, as `cellucid_dask.ready.encode.encode_chunk` takes it."""
        encoded: dict[Coding, bytes] = {}
        packed: dict[Coding, tuple[int, int, int]] = {}
        for target in self.stores.targets:
            coding = target.coding
            if coding == "hdf5" and not node.is_text:
                coding = "zarr2"  # of numbers it has the same bytes
            if coding not in encoded:
                encoded[coding] = encode_chunk(node, values, coding)
            if target.folder and not (target.sharded and is_sharded(node)):
                self._store(target, node, chunk, encoded[coding])
                continue
            if coding not in packed:  # once, also where an h5ad and a zip are made of them
                packed[coding] = self._spill().append([memoryview(encoded[coding])])
            where: _Where = (target.format, node.path, self._spill().path, (), 0)
            self._chunks.setdefault(where, []).append((chunk, *packed[coding]))

    def write_piece(self, array: str, start: int, values: NDArray[Any]) -> None:
        """Keep elements of an array from `start` on, which are less than a chunk."""
        offset, size, crc = self._spill().append([bytes_of(values)])
        self._pieces.setdefault(("", array, self._spill().path, (), 0), []).append(
            (start, offset, size, crc)
        )

    def work(self, key: str, **facts: Any) -> ReadyWork:
        """What was stored so far, as the work `key`."""
        return ReadyWork(key, _stored(self._chunks), _stored(self._pieces), facts)

    def _store(self, target: Target, node: ArrayNode, chunk: int, payload: bytes) -> None:
        """Store a chunk as a file of its own."""
        zarr_format: ZarrFormat = 3 if target.coding == "zarr3" else 2
        path = chunk_key(node, chunk, zarr_format)
        self._make_folder(f"{target.folder}/{os.path.dirname(path)}")  # noqa: PTH120
        size, crc = self._writer(target.folder).write(path, payload)
        where: _Where = (target.format, node.path, "", node.grid, zarr_format)
        self._chunks.setdefault(where, []).append((chunk, 0, size, crc))

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            self._folders.add(folder)

    def _writer(self, folder: str) -> BlockWriter:
        if folder not in self._files:
            self._files[folder] = self._stack.enter_context(BlockWriter(folder, self.stores.parts))
        return self._files[folder]

    def _spill(self) -> SpillFile:
        if self._pack is None:
            self._pack = self._stack.enter_context(SpillFile(self.stores.scratch, "chunks"))
        return self._pack


def _stored(found: dict[_Where, list[tuple[int, ...]]]) -> tuple[StoredChunks, ...]:
    return tuple(
        StoredChunks(target, array, pack, np.array(receipts, CHUNK_RECEIPT), grid, zarr_format)
        for (target, array, pack, grid, zarr_format), receipts in found.items()
    )
