"""Entries of genes as a ready file has them, from whatever can read genes of the matrix.

An entry is a value that is not 0 as float32, with its cell; those of a gene rise by their cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Event
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.machine import cores
from cellucid_dask.compute.shared import share
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.exact_values import drop_zeros, survey_values
from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk
from cellucid_dask.exporter.stages.ready.matrix.columns import read_columns
from cellucid_dask.server.datasets.gene_reader import GeneReader
from cellucid_dask.server.datasets.temporary_folder import make_folder, naming_the_disk
from cellucid_dask.server.gene_index.scan import map_in_threads, plan_row_chunks
from cellucid_dask.server.http.cache import OncePerKey
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

# First cell, cells counted from it (or a slice of them), values.
Piece: TypeAlias = tuple[int, Any, NDArray[Any]]
Entries: TypeAlias = tuple[NDArray[Any], NDArray[Any]]  # values, cells


class PieceReader(Protocol):
    """Reads pieces of genes, which are counted in the order of the ready file."""

    def pieces(self, first: int, last: int) -> list[list[Piece]]:
        """Pieces of each of the genes `first` up to `last`, in the order of the cells."""


class ReaderPieces:
    """Pieces from the reader of genes: float32, from the index or from a scan."""

    def __init__(self, reader: GeneReader, columns: NDArray[np.int64]) -> None:
        self._reader, self._columns = reader, columns

    def pieces(self, first: int, last: int) -> list[list[Piece]]:
        """Pieces of genes."""
        return self._reader.pieces_of(self._columns[first:last].tolist())


class ExactPieces:
    """Pieces of a matrix that holds whole numbers which float32 skips, and so the index as well.

    The matrix is transposed by the export when the first gene is asked for, into a temporary
    folder. Such data are rare, and small for the most part.

    Parameters
    ----------
    room
        Bytes of memory that all threads may use together.
    stopped
        Set it to end the transposition.
    """

    def __init__(self, genes: Genes, room: int, stopped: Event) -> None:
        self._genes, self._room, self._stopped = genes, room, stopped
        self._once, self._open = OncePerKey(), ExitStack()

    def pieces(self, first: int, last: int) -> list[list[Piece]]:
        """Pieces of genes."""
        found: list[list[Piece]] = [[] for _ in range(last - first)]
        for spill in self._once(("spills",), self._transpose):
            block = spill.read(first, last)
            for i in range(last - first):
                low, high = int(block.pointers[i]), int(block.pointers[i + 1])
                cells = slice(0, high - low) if block.rows is None else block.rows[low:high]
                found[i].append((block.first, cells, block.values[low:high]))
        return found

    def close(self) -> None:
        """Remove the folder."""
        self._open.close()

    def _transpose(self) -> Sequence[Spill]:
        matrix = self._genes.matrix
        folder = self._open.enter_context(make_folder())
        with naming_the_disk(folder):
            columns = None if self._genes.whole else share(folder, "columns", self._genes.columns)
            chunks = plan_row_chunks(matrix, max(1, self._room * 4 // 5 // cores()))
            spilled = map_in_threads(
                lambda rows: transpose_chunk(matrix, *rows, columns, folder, ready=True),
                chunks,
                cores(),
                self._stopped,
            )
            return list(spilled)


def join_entries(pieces: list[list[Piece]]) -> Entries:
    """Put the pieces of genes one after the other, without values of 0."""
    values, cells = [np.zeros(0, np.float32)], [np.zeros(0, np.int32)]
    for first, places, part in (piece for gene in pieces for piece in gene):
        if isinstance(places, slice):
            places = np.arange(places.start or 0, len(part))
        values.append(part)
        cells.append(places if first == 0 else places.astype(np.int64) + first)
    joined, joined_cells = np.concatenate(values), np.concatenate(cells)
    there = joined != 0
    return (joined, joined_cells) if there.all() else (joined[there], joined_cells[there])


def fill_strip(pieces: list[list[Piece]], n_cells: int, dtype: str) -> NDArray[Any]:
    """(n_cells, n) values of genes, where cells without a value have 0."""
    strip = np.zeros((n_cells, len(pieces)), dtype, order="F")
    for i, gene in enumerate(pieces):
        for first, places, part in gene:
            cells = slice(0, len(part)) if isinstance(places, slice) else places
            strip[first:, i][cells] = part
    return strip


def read_column_entries(matrix: SparseMatrix, columns: NDArray[np.int64]) -> Entries:
    """Entries of columns of a CSC matrix, one after the other."""
    parts = [drop_zeros(part) for _, part in read_columns(matrix, columns)]
    return (
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.indices for part in parts]),
    )


def check_strip(values: NDArray[Any], label: str, columns: NDArray[np.int64]) -> NDArray[Any]:
    """Return the values of columns, which a ready file may hold.

    Raises
    ------
    InputError
        When one is NaN, infinite, or beyond float32.
    """
    place = f"columns {columns.min()} to {columns.max()}"
    survey_values(values, label, place, lambda at: columns[at % columns.size])
    return values
