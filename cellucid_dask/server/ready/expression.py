"""X of a virtual store: what an export to zarr writes, chunk by chunk when it is asked for.

Where the entries of a gene are follows from the counts of all genes before it, so everything waits
for these. They come from the gene index where there is one, else from a pass over the matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import BoundedSemaphore, Condition, Event
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from cellucid_dask.compute.machine import cores
from cellucid_dask.errors import ReadError
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.stages.ready.matrix.dense import read_strip
from cellucid_dask.ready.encode import encode_chunk
from cellucid_dask.ready.layout import MatrixLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.server.datasets.gene_reader import GeneReader
from cellucid_dask.server.http.cache import OncePerKey
from cellucid_dask.server.ready.entries import (
    Entries,
    ExactPieces,
    PieceReader,
    ReaderPieces,
    check_strip,
    fill_strip,
    join_entries,
    read_column_entries,
)
from cellucid_dask.server.ready.found_counts import FoundCounts
from cellucid_dask.server.ready.virtual_store import VirtualExpression
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source
from cellucid_dask.source.rows.row_selection import RowSelection

ENTRY_BYTES: Final = 16  # of a value and its cell, at most
CACHE_PART: Final = 4  # of the memory, for entries that the next chunks need too


class _Expression:
    """What X of each kind has in common.

    Parameters
    ----------
    genes
        In the order of the file, with the matrix of the kept cells.
    selection
        These cells; None keeps all.
    reader
        Of single genes; None where the matrix is read without it.
    room
        Bytes of memory for a pass over the matrix, and for entries that are held.
    folder
        Where the counts are kept; None keeps them in memory alone.
    """

    def __init__(
        self,
        genes: Genes,
        selection: RowSelection | None,
        reader: GeneReader | None,
        room: int,
        folder: Path | None,
    ) -> None:
        self._genes, self._reader = genes, reader
        self._once, self._stopped = OncePerKey(), Event()
        self._counts = FoundCounts(genes, selection, reader, room, folder, self._stopped)
        self._busy = BoundedSemaphore(max(2, cores()))  # chunks in preparation take memory
        self._exact = ExactPieces(genes, room, self._stopped)
        # Each gene fits: it has many chunks, and is read once for all of them.
        n_bytes = max(room // CACHE_PART, genes.matrix.shape[0] * ENTRY_BYTES)
        held: LRUCache[Any, Any] = LRUCache(n_bytes, getsizeof=_memory)
        self._hold = cached(held, key=lambda key, _: key, condition=Condition())(
            lambda _, make: make()
        )

    def start(self) -> None:
        """Start to build the index, and to count the values."""
        if self._reader is not None:
            self._reader.start()
        self._counts.start()

    def stop(self) -> None:
        """End what runs, and the reader with it."""
        self._stopped.set()
        if self._reader is not None:
            self._reader.stop()
        self._exact.close()

    def progress(self) -> dict[str, Any]:
        """What the reader of the genes says, and the progress of the counts under ``counts``."""
        found = {"state": "not needed"} if self._reader is None else self._reader.progress()
        return {**found, "counts": self._counts.progress()}

    def _piece_reader(self, dtype: str) -> PieceReader:
        if dtype == "<f8":
            return self._exact
        assert self._reader is not None, "a matrix that is stored by cell has a reader"
        return ReaderPieces(self._reader, self._genes.columns)


class _SparseExpression(_Expression):
    """X that is stored as CSC."""

    def matrix_layout(self) -> MatrixLayout:
        """Layout of X."""
        shape = (self._genes.matrix.shape[0], len(self._genes.ids))
        values = self._counts.get()
        return MatrixLayout(shape, values.dtype, int(values.counts.sum()), fast=True)

    def pointers(self) -> NDArray[np.int64]:
        """Where the entries of each gene begin."""
        found: NDArray[np.int64] = self._once(("pointers",), self._find_pointers)
        return found

    def _find_pointers(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self._counts.get().counts, dtype=np.int64)])

    def chunk(self, node: ArrayNode, number: int) -> bytes:
        """Make a chunk of ``X/data`` or ``X/indices``."""
        length = node.chunks[0]
        with self._busy:
            values, cells = self._hold(
                ("chunk", number, length), lambda: self._read_chunk(number, length)
            )
        return encode_chunk(node, values if node.path.endswith("/data") else cells, "zarr2")

    def _read_chunk(self, number: int, length: int) -> Entries:
        """Entries of a chunk: of the genes in it, and of parts of those at its ends."""
        pointers = self.pointers()
        low, high = number * length, min((number + 1) * length, int(pointers[-1]))
        first = int(np.searchsorted(pointers, low, side="right")) - 1
        last = int(np.searchsorted(pointers, high, side="left"))
        begin, end = first, last
        parts = []
        if pointers[first] < low or pointers[first + 1] > high:
            parts.append(self._read_gene(first))
            begin += 1
        tail = begin < last and pointers[last] > high
        end -= tail
        if begin < end:
            parts.append(self._read_genes(begin, end))
        if tail:
            parts.append(self._read_gene(last - 1))
        part = slice(low - int(pointers[first]), high - int(pointers[first]))
        values, cells = (np.concatenate(arrays)[part] for arrays in zip(*parts, strict=True))
        return values.copy(), cells.copy()

    def _read_gene(self, gene: int) -> Entries:
        """Entries of a gene that is in more than one chunk."""
        entries: Entries = self._hold(("gene", gene), lambda: self._read_genes(gene, gene + 1))
        return entries

    def _read_genes(self, first: int, last: int) -> Entries:
        matrix = self._genes.matrix
        if isinstance(matrix, SparseMatrix) and matrix.layout == "csc":
            found = read_column_entries(matrix, self._genes.columns[first:last])
        else:
            reader = self._piece_reader(self._counts.get().dtype)
            found = join_entries(reader.pieces(first, last))
        pointers = self.pointers()
        if found[0].size != pointers[last] - pointers[first]:
            self._counts.forget()
            what = "has other values than when they were counted"
            raise ReadError(what, where=matrix.label, fix="start the server again")
        return found


class _DenseExpression(_Expression):
    """X that is stored dense."""

    def matrix_layout(self) -> MatrixLayout:
        """Layout of X."""
        shape = (self._genes.matrix.shape[0], len(self._genes.ids))
        return MatrixLayout(shape, self._counts.get().dtype, None, fast=True)

    def pointers(self) -> None:
        """A dense X has none."""

    def chunk(self, node: ArrayNode, number: int) -> bytes:
        """Make a chunk of ``X``."""
        rows, columns = node.region(number)
        first, last = columns.start, columns.stop
        with self._busy:
            strip = self._hold(
                ("strip", first, last), lambda: self._read_strip(first, last, node.dtype)
            )
        return encode_chunk(node, strip[rows], "zarr2")

    def _read_strip(self, first: int, last: int, dtype: str) -> NDArray[Any]:
        matrix, columns = self._genes.matrix, self._genes.columns[first:last]
        assert isinstance(matrix, DenseMatrix)
        if matrix.layout == "dense":
            return check_strip(read_strip(matrix, columns), matrix.label, columns)
        pieces = self._piece_reader(dtype).pieces(first, last)
        return check_strip(fill_strip(pieces, matrix.shape[0], dtype), matrix.label, columns)


def _memory(held: Any) -> int:
    parts = held if isinstance(held, tuple) else (held,)
    return sum(int(part.nbytes) for part in parts) + 1


def open_expression(
    source: Source,
    genes: Genes,
    *,
    reader: GeneReader | None,
    room: int,
    folder: Path | None,
) -> VirtualExpression:
    """Open X of a virtual store.

    Parameters
    ----------
    source
        The data, without the cells that are left out.
    genes
        In the order of the file.
    reader
        Of single genes, from `cellucid_dask.server.datasets.gene_reader.open_gene_reader`; may be
        None without genes, and of a matrix that is stored by gene. It starts and stops with X.
    room
        Bytes of memory for a pass over the matrix, and for entries that are held.
    folder
        Where the counts are kept, from `cellucid_dask.server.datasets.gene_reader.gene_folder`;
        None keeps them in memory alone.
    """
    kind: Callable[..., VirtualExpression] = (
        _SparseExpression if genes.matrix.is_sparse else _DenseExpression
    )
    return kind(genes, source.selection, reader, room, folder)
