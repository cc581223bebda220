"""Writes entries of a CSC matrix, data and indices, in the order of the genes.

A task writes the chunks that lie within its entries. The part of a chunk before them, or after
them, is kept as a piece, which is joined with the pieces of its neighbors when all are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, ChunkWriter
from cellucid_dask.files import read_array
from cellucid_dask.ready.layout import MatrixLayout, entry_nodes
from cellucid_dask.ready.nodes import ArrayNode

X = "X"


def array_nodes(layout: MatrixLayout) -> tuple[ArrayNode, ArrayNode]:
    """Data and indices of a sparse X."""
    data, indices = entry_nodes(X, layout, layout.shape[0])
    assert isinstance(data, ArrayNode)
    assert isinstance(indices, ArrayNode)
    return data, indices


@dataclass(slots=True)
class _Entries:
    """Entries from number `first` on: values and cells."""

    first: int
    values: NDArray[Any]
    cells: NDArray[Any]

    def cut(self, start: int, stop: int) -> _Entries:
        """Those from number `start` up to `stop`; views."""
        part = slice(start - self.first, stop - self.first)
        return _Entries(start, self.values[part], self.cells[part])


class EntryWriter:
    """Writes entries that follow one another.

    Parameters
    ----------
    first
        Number of the first of them in the matrix.
    """

    def __init__(self, writer: ChunkWriter, layout: MatrixLayout, first: int) -> None:
        self._writer, self._nodes = writer, array_nodes(layout)
        self._length = self._nodes[0].chunks[0]
        self._total = layout.nnz or 0
        self._next = first
        self._open: list[_Entries] = []  # copies, of a chunk that is not complete

    @property
    def dtypes(self) -> tuple[str, str]:
        """Types of values and cells."""
        return self._nodes[0].dtype, self._nodes[1].dtype

    def write(self, values: NDArray[Any], cells: NDArray[Any]) -> None:
        """Write what follows; the arrays may be used again afterwards."""
        given = _Entries(self._next, values, cells)
        end = self._next + values.size
        while self._next < end:
            chunk = self._next // self._length
            stop = min(end, (chunk + 1) * self._length)
            part = given.cut(self._next, stop)
            self._next = stop
            if stop == min((chunk + 1) * self._length, self._total):
                self._write_chunk(chunk, [*self._open, part])
                self._open = []
            else:
                self._open.append(_Entries(part.first, part.values.copy(), part.cells.copy()))

    def close(self) -> None:
        """Keep what is of a chunk that is not complete."""
        self._keep(self._open)
        self._open = []

    def _write_chunk(self, chunk: int, parts: list[_Entries]) -> None:
        """Write parts that reach to the end of a chunk, if they are all of it."""
        if parts[0].first > chunk * self._length:
            self._keep(parts)
            return
        data, indices = self._nodes
        self._writer.write(data, chunk, _join([part.values for part in parts]))
        self._writer.write(indices, chunk, _join([part.cells for part in parts]))

    def _keep(self, parts: list[_Entries]) -> None:
        if parts:
            data, indices = self._nodes
            first = parts[0].first
            values, cells = [part.values for part in parts], [part.cells for part in parts]
            self._writer.write_piece(data.path, first, _join(values).astype(data.dtype))
            self._writer.write_piece(indices.path, first, _join(cells).astype(indices.dtype))


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Piece:
    """Entries of a chunk that a task has kept.

    Parameters
    ----------
    first, stop
        Numbers of the first entry and of the one after the last.
    data, indices
        Where they are: path of the pack, and where they begin in it.
    """

    first: int
    stop: int
    data: tuple[str, int]
    indices: tuple[str, int]

    def chunk(self, layout: MatrixLayout) -> int:
        """Number of the chunk."""
        return self.first // array_nodes(layout)[0].chunks[0]


def find_pieces(layout: MatrixLayout, works: Sequence[ReadyWork]) -> list[list[Piece]]:
    """Pieces of each chunk that no task has written, in order.

    They follow one another: together they are all of the chunk.
    """
    data, indices = array_nodes(layout)
    length = data.chunks[0]
    places: dict[str, dict[int, tuple[str, int, int]]] = {data.path: {}, indices.path: {}}
    for stored in (stored for work in works for stored in work.pieces):
        for first, offset, size, _ in stored.chunks.tolist():
            places[stored.array][first] = stored.pack, offset, size
    chunks: dict[int, list[Piece]] = {}
    for first, (pack, offset, size) in sorted(places[data.path].items()):
        stop = first + size // data.itemsize
        cells = places[indices.path][first]
        piece = Piece(first, stop, (pack, offset), cells[:2])
        chunks.setdefault(first // length, []).append(piece)
    return list(chunks.values())


def join_pieces(
    stores: ChunkStores, key: str, layout: MatrixLayout, chunks: list[list[Piece]]
) -> ReadyWork:
    """Write chunks from their pieces."""
    nodes = array_nodes(layout)
    with ChunkWriter(stores) as writer:
        for pieces in chunks:
            chunk = pieces[0].chunk(layout)
            for node in nodes:
                parts = [_read(piece, node) for piece in pieces]
                writer.write(node, chunk, np.concatenate(parts))
        return writer.work(key)


def _read(piece: Piece, node: ArrayNode) -> NDArray[Any]:
    pack, offset = piece.data if node.path.endswith("/data") else piece.indices
    return read_array(pack, node.dtype, 0, piece.stop - piece.first, skip=offset)
