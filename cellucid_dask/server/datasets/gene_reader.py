"""Readers of single genes, one for each layout of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Any, Protocol

import numpy as np

from cellucid_dask.compute.machine import cores
from cellucid_dask.encode import Range
from cellucid_dask.exporter.checks.genes import expression_key
from cellucid_dask.exporter.stages.genes.blocks import GenePiece, csc_columns, dense_columns
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.server.cache_folder import index_folder
from cellucid_dask.server.datasets.gene_ranges import ReadColumns, gene_ranges
from cellucid_dask.server.gene_index.background import SpillWatcher
from cellucid_dask.server.gene_index.open_indexes import close_index, open_index
from cellucid_dask.server.gene_index.store import IndexStore
from cellucid_dask.server.http.cache import OncePerKey
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.open_arrays import keep_arrays_open
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source
from cellucid_dask.source.rows.row_selection import RowSelection
from cellucid_dask.source.storage.file_array import FileArray
from cellucid_dask.source.storage.fingerprint import Fingerprint, take_fingerprint


class GeneReader(Protocol):
    """Reads genes of one matrix; shared by threads."""

    def pieces(self, column: int) -> list[GenePiece]:
        """Stored values of a gene, as `cellucid_dask.encode.encode_gene` takes them."""

    def pieces_of(self, columns: Sequence[int]) -> list[list[GenePiece]]:
        """Stored values of several genes, which are read together where that takes less."""

    @property
    def is_building(self) -> bool:
        """Whether an index is being built."""

    def finished_store(self) -> IndexStore | None:
        """The complete index of all cells; None when there is none, or not yet."""

    def watch(self, watcher: SpillWatcher) -> None:
        """Show `watcher` what is spilled when an index is built."""

    def ranges(self) -> list[Range]:
        """Range of every gene, as quantization takes it; reads the whole matrix once."""

    def start(self) -> None:
        """Start to build an index, where there is one to build."""

    def stop(self) -> None:
        """Stop building."""

    def progress(self) -> dict[str, Any]:
        """Progress of the index, as plain data."""


class _RangeFinder:
    """Finds the ranges of all genes, once."""

    def __init__(self, matrix: Matrix, room: int) -> None:
        self._matrix, self._room = matrix, room
        self._once, self._stopped = OncePerKey(), Event()

    def ranges(self) -> list[Range]:
        """Range of every gene."""
        return self._once(("ranges",), self._find_ranges)

    def stop(self) -> None:
        """Stop searching."""
        self._stopped.set()

    def _find_ranges(self) -> list[Range]:
        found = gene_ranges(self._matrix, self._room, cores(), self._stopped)
        return [Range(lo, hi) for lo, hi in found]


class DirectReader(_RangeFinder):
    """Genes of a matrix that stores the values of a gene side by side, or in few chunks.

    Parameters
    ----------
    matrix
        CSC or dense.
    read
        How its columns are read.
    """

    def __init__(self, matrix: Matrix, read: ReadColumns, room: int) -> None:
        super().__init__(matrix, room)
        self._read, self._open = read, ExitStack()
        self._busy = BoundedSemaphore(max(2, cores()))  # each read takes memory

    def pieces(self, column: int) -> list[GenePiece]:
        """Stored values of a gene."""
        matrix = self._once(("open",), lambda: keep_arrays_open(self._matrix, self._open))
        with self._busy:
            return [piece for _, piece in self._read(matrix, np.asarray([column], np.int64))]

    def pieces_of(self, columns: Sequence[int]) -> list[list[GenePiece]]:
        """Stored values of several genes."""
        return [self.pieces(column) for column in columns]

    @property
    def is_building(self) -> bool:
        """No index is needed."""
        return False

    def finished_store(self) -> None:
        """No index is needed."""

    def watch(self, watcher: SpillWatcher) -> None:
        """Nothing is spilled."""

    def start(self) -> None:
        """Nothing to build."""

    def stop(self) -> None:
        """Close the file."""
        self._stopped.set()
        self._open.close()

    def progress(self) -> dict[str, Any]:
        """No index is needed."""
        return {"state": "not needed"}


class IndexedReader(_RangeFinder):
    """Genes of a matrix that is stored by cell: from the index, or from a scan until it is built.

    Parameters
    ----------
    matrix
        CSR, or a dask array of row blocks.
    folder
        Of the index; None scans for every gene and writes nothing.
    room
        Bytes of memory for building and scanning.
    mark
        Fingerprint of the data, where they have a file.
    """

    def __init__(
        self, matrix: Matrix, folder: Path | None, room: int, mark: Fingerprint | None
    ) -> None:
        super().__init__(matrix, room)
        self._index = open_index(
            matrix, folder, memory_bytes=room, threads=cores(), data_fingerprint=mark
        )
        self.pieces, self.progress = self._index.pieces, self._index.progress
        self.pieces_of, self.finished_store = self._index.pieces_of, self._index.finished_store
        self.start, self.watch = self._index.start, self._index.watch
        self._closed = False

    @property
    def is_building(self) -> bool:
        """Whether the index is being built."""
        return self._index.is_building

    def stop(self) -> None:
        """Stop building and searching."""
        self._stopped.set()
        if not self._closed:
            self._closed = True
            close_index(self._index)


class KeptReader:
    """Genes of the cells that are kept, from a reader of all cells.

    Parameters
    ----------
    reader
        Of the matrix of all cells.
    matrix
        Matrix of the kept cells.
    kept
        Those cells.
    room
        Bytes of memory for finding the ranges.
    """

    def __init__(self, reader: GeneReader, matrix: Matrix, kept: RowSelection, room: int) -> None:
        self._reader, self._kept = reader, kept
        self._ranges = _RangeFinder(matrix, room)
        self.start, self.progress = reader.start, reader.progress
        self.finished_store, self.watch = reader.finished_store, reader.watch

    @property
    def is_building(self) -> bool:
        """Whether the index is being built."""
        return self._reader.is_building

    def pieces(self, column: int) -> list[GenePiece]:
        """Stored values of a gene in the kept cells."""
        return self._keep(self._reader.pieces(column))

    def pieces_of(self, columns: Sequence[int]) -> list[list[GenePiece]]:
        """Stored values of several genes in the kept cells."""
        return [self._keep(pieces) for pieces in self._reader.pieces_of(columns)]

    def _keep(self, pieces: list[GenePiece]) -> list[GenePiece]:
        found = []
        for first, cells, values in pieces:
            places = np.arange(cells.start or 0, len(values)) if isinstance(cells, slice) else cells
            there, numbers = self._kept.renumber(places.astype(np.int64) + first)
            found.append((0, numbers, values[there]))
        return found

    def ranges(self) -> list[Range]:
        """Range of every gene in the kept cells."""
        return self._ranges.ranges()

    def stop(self) -> None:
        """Stop building and searching."""
        self._ranges.stop()
        self._reader.stop()


def open_gene_reader(
    source: Source,
    matrix: Matrix,
    options: ExportOptions,
    room: int,
    *,
    index: bool,
    cache_dir: Path,
    work_folder: Path,
) -> GeneReader:
    """Open the reader of the genes of a source.

    Parameters
    ----------
    matrix
        Matrix of the kept cells.
    room
        Bytes of memory for building the index, scanning, and finding the ranges.
    index
        Whether to keep a gene index.
    cache_dir, work_folder
        Where an index is kept of data that have a file, and of data that have none.
    """
    stored = _stored_matrix(source, matrix, options)
    mark = matrix_fingerprint(stored)
    folder = gene_folder(source, matrix, options, cache_dir, work_folder)
    reader = make_reader(stored, folder if index else None, room, mark)
    return (
        reader if source.selection is None else KeptReader(reader, matrix, source.selection, room)
    )


def gene_folder(
    source: Source, matrix: Matrix, options: ExportOptions, cache_dir: Path, work_folder: Path
) -> Path:
    """Folder of the index of the genes, and of what else is kept of the matrix."""
    mark = matrix_fingerprint(_stored_matrix(source, matrix, options))
    return index_folder(cache_dir, mark) if mark else work_folder / "index"


def _stored_matrix(source: Source, matrix: Matrix, options: ExportOptions) -> Matrix:
    """The matrix of all cells, of which an index is."""
    if source.all_cells is None:
        return matrix
    return source.all_cells.matrices[expression_key(options)]  # type: ignore[return-value]


def matrix_fingerprint(matrix: Matrix) -> Fingerprint | None:
    """Fingerprint of the element of a file that a sparse matrix is; None in memory."""
    data = getattr(matrix, "data", None)
    if not isinstance(data, FileArray):
        return None
    return take_fingerprint(data.store.path, data.key.rpartition("/")[0])


def make_reader(
    matrix: Matrix, folder: Path | None, room: int, mark: Fingerprint | None = None
) -> GeneReader:
    """Make the reader for the layout of `matrix`."""
    if matrix.layout in ("csr", "rows"):
        return IndexedReader(matrix, folder, room, mark)
    read: Any = csc_columns if isinstance(matrix, SparseMatrix) else dense_columns
    return DirectReader(matrix, read, room)
