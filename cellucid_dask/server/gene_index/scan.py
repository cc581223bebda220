"""Genes of a matrix that lies cell by cell, found by going through all cells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import as_exported
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.planning.cuts import cut_row_chunks
from cellucid_dask.exporter.planning.memory import MiB
from cellucid_dask.exporter.stages.genes.blocks import GenePiece
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

T = TypeVar("T")
R = TypeVar("R")

TASK_BYTES = 96 * MiB  # about 4M stored values: a task of a few tenths of a second
MAX_CHUNKS = 512  # beyond which the tasks of a large matrix are larger


def chunks_of(matrix: Matrix, share: int) -> tuple[tuple[int, int], ...]:
    """Cut the cells for tasks of at most `share` bytes that are short enough to be stopped.

    Raises
    ------
    ReadError
        When the row pointers of the matrix are damaged.
    """
    if isinstance(matrix, SparseMatrix):
        whole = matrix.nnz * (8 + 2 * matrix.dtype.itemsize + 6)
        share = min(share, max(TASK_BYTES, whole // MAX_CHUNKS))
    return cut_row_chunks(genes_of(matrix), share)


def genes_of(matrix: Matrix) -> Genes:
    """Stand-in with which the plan of the exporter can be asked about a matrix."""
    columns = np.arange(matrix.shape[1], dtype=np.int64)
    return Genes([""] * columns.size, columns, matrix)


def gene_major(
    matrix: Matrix, start: int, stop: int, columns: NDArray[np.int64] | None = None
) -> Any:
    """Read cells `start` to `stop` by gene, with the values that the export has.

    Returns
    -------
    (n_rows, n_genes) float32 csc_array without duplicates, or where the data are dense a numpy
    array of the same shape.
    """
    if isinstance(matrix, SparseMatrix):
        band = matrix.major(start, stop)
    else:
        band = matrix.read(slice(start, stop), slice(None))
    if not sparse.issparse(band):
        chosen = np.asarray(band if columns is None else band[:, columns])
        with np.errstate(over="ignore"):
            return chosen.astype(np.float32, order="F")
    band = sparse.csr_array(band)
    turned = (band if columns is None else band[:, columns]).tocsc()
    del band
    # In the type on disk and in the order of the file, as the reference sums them.
    turned.sum_duplicates()
    turned.data = as_exported(turned.data)
    return turned


def in_threads(
    work: Callable[[T], R], tasks: Iterable[T], threads: int, stopped: threading.Event | None
) -> Iterator[R]:
    """Run tasks by several threads; results in the order of the tasks.

    Raises
    ------
    CancelledError
        When `stopped` was set meanwhile: the interpreter waits for these threads when it ends.
    """

    def run(task: T) -> R:
        if stopped is not None and stopped.is_set():
            raise CancelledError
        return work(task)

    with ThreadPoolExecutor(threads, "scan") as pool:
        yield from pool.map(run, tasks)


def scan(
    matrix: Matrix,
    columns: Sequence[int],
    chunks: Sequence[tuple[int, int]],
    threads: int,
    stopped: threading.Event,
) -> list[list[GenePiece]]:
    """Go through row chunks once for several genes; the pieces of each.

    Raises
    ------
    CancelledError
        When `stopped` was set meanwhile.
    ReadError
        When the data are damaged.
    """
    wanted = np.asarray(columns, np.int64)

    def search(chunk: tuple[int, int]) -> list[GenePiece]:
        return _pieces(gene_major(matrix, *chunk, wanted), chunk[0])

    found = list(in_threads(search, chunks, threads, stopped))
    return [[pieces[i] for pieces in found] for i in range(len(columns))]


def _pieces(turned: Any, start: int) -> list[GenePiece]:
    if not sparse.issparse(turned):
        return [(start, slice(0, len(turned)), column) for column in turned.T]
    bounds = zip(turned.indptr[:-1], turned.indptr[1:], strict=True)
    return [(start, turned.indices[a:b], turned.data[a:b]) for a, b in bounds]


class SharedScans:
    """Lets requests that come during a scan share the next one, or the same for the same gene.

    Parameters
    ----------
    find
        Pieces of each of several genes.
    most
        Number of genes whose pieces fit into memory together.
    """

    def __init__(self, find: Callable[[list[int]], list[list[GenePiece]]], most: int) -> None:
        self._find, self._most = find, max(1, most)
        self._guard, self._turn = threading.Lock(), threading.Lock()
        self._asked: dict[int, Future[list[GenePiece]]] = {}
        self._waiting: list[int] = []

    def get(self, column: int) -> list[GenePiece]:
        """Pieces of a gene, by one's own scan or by that of another thread."""
        with self._guard:
            if column not in self._asked:
                self._asked[column] = Future()
                self._waiting.append(column)
            future = self._asked[column]
        while not future.done():
            with self._turn:
                if not future.done():
                    self._scan()
        return future.result()

    def _scan(self) -> None:
        with self._guard:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        found, error = [], None
        try:
            found = self._find(batch)
        except BaseException as caught:  # noqa: BLE001  each of those who wait raises it
            error = caught
        with self._guard:
            futures = [self._asked.pop(column) for column in batch]
        for i, future in enumerate(futures):
            if error is None:
                future.set_result(found[i])
            else:
                future.set_exception(error)
