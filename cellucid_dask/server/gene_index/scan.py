"""Genes of a matrix that is stored by cell, read by a scan of all cells."""

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

TASK_BYTES = 256 * MiB  # about 12M stored values: a task of a few tenths of a second
MAX_CHUNKS = 512  # a matrix that needs more gets larger tasks


def plan_row_chunks(matrix: Matrix, task_bytes: int) -> tuple[tuple[int, int], ...]:
    """Cut the cells into row chunks, one for each short task of at most `task_bytes` bytes.

    Raises
    ------
    ReadError
        When the row pointers of the matrix are damaged.
    """
    if isinstance(matrix, SparseMatrix):
        matrix_bytes = matrix.nnz * (8 + 2 * matrix.dtype.itemsize + 6)
        task_bytes = min(task_bytes, max(TASK_BYTES, matrix_bytes // MAX_CHUNKS))
    return cut_row_chunks(select_all_genes(matrix), task_bytes)


def select_all_genes(matrix: Matrix) -> Genes:
    """All genes of a matrix, without names: what the planning functions of the exporter take."""
    columns = np.arange(matrix.shape[1], dtype=np.int64)
    return Genes([""] * columns.size, columns, matrix)


def read_gene_major(
    matrix: Matrix, start: int, stop: int, columns: NDArray[np.int64] | None = None
) -> Any:
    """Read cells `start` to `stop` by gene, with the values that an export has.

    Returns
    -------
    (n_rows, n_genes) float32 csc_array without duplicates, or a numpy array of the same shape
    when the data are dense.
    """
    if isinstance(matrix, SparseMatrix):
        rows = matrix.major(start, stop)
    else:
        rows = matrix.read(slice(start, stop), slice(None))
    if not sparse.issparse(rows):
        chosen = np.asarray(rows if columns is None else rows[:, columns])
        with np.errstate(over="ignore"):
            return chosen.astype(np.float32, order="F")
    rows = sparse.csr_array(rows)
    by_gene = (rows if columns is None else rows[:, columns]).tocsc()
    del rows
    # Duplicates are summed in the type on disk and in the order of the file, as the reference does.
    by_gene.sum_duplicates()
    by_gene.data = as_exported(by_gene.data)
    return by_gene


def map_in_threads(
    work: Callable[[T], R], tasks: Iterable[T], threads: int, stopped: threading.Event | None
) -> Iterator[R]:
    """Run tasks in several threads; yield results in the order of the tasks.

    Raises
    ------
    CancelledError
        When `stopped` is set during the run: the interpreter waits for these threads when it ends.
    """

    def run(task: T) -> R:
        if stopped is not None and stopped.is_set():
            raise CancelledError
        return work(task)

    with ThreadPoolExecutor(threads, "scan") as pool:
        yield from pool.map(run, tasks)


def scan_chunks(
    matrix: Matrix,
    columns: Sequence[int],
    chunks: Sequence[tuple[int, int]],
    threads: int,
    stopped: threading.Event,
) -> list[list[GenePiece]]:
    """Read row chunks once for several genes; return the pieces of each gene.

    Raises
    ------
    CancelledError
        When `stopped` is set during the scan.
    ReadError
        When the data are damaged.
    """
    wanted = np.asarray(columns, np.int64)

    def search(chunk: tuple[int, int]) -> list[GenePiece]:
        return _pieces(read_gene_major(matrix, *chunk, wanted), chunk[0])

    found = list(map_in_threads(search, chunks, threads, stopped))
    return [[pieces[i] for pieces in found] for i in range(len(columns))]


def _pieces(by_gene: Any, start: int) -> list[GenePiece]:
    if not sparse.issparse(by_gene):
        return [(start, slice(0, len(by_gene)), column) for column in by_gene.T]
    bounds = zip(by_gene.indptr[:-1], by_gene.indptr[1:], strict=True)
    return [(start, by_gene.indices[a:b], by_gene.data[a:b]) for a, b in bounds]


class SharedScans:
    """Requests that arrive during a scan wait for it, or share the next one.

    Parameters
    ----------
    find_genes
        Returns the pieces of each of several genes.
    max_genes
        Number of genes whose pieces fit into memory at the same time.
    """

    def __init__(
        self, find_genes: Callable[[list[int]], list[list[GenePiece]]], max_genes: int
    ) -> None:
        self._find_genes, self._max_genes = find_genes, max(1, max_genes)
        self._lock, self._scan_lock = threading.Lock(), threading.Lock()
        self._futures: dict[int, Future[list[GenePiece]]] = {}
        self._waiting: list[int] = []

    def get(self, columns: Sequence[int]) -> list[list[GenePiece]]:
        """Return the pieces of each gene, from scans by this thread or by another."""
        with self._lock:
            for column in columns:
                if column not in self._futures:
                    self._futures[column] = Future()
                    self._waiting.append(column)
            futures = [self._futures[column] for column in columns]
        for future in futures:
            while not future.done():
                with self._scan_lock:
                    if not future.done():
                        self._scan_waiting()
        return [future.result() for future in futures]

    def _scan_waiting(self) -> None:
        with self._lock:
            batch = self._waiting[: self._max_genes]
            del self._waiting[: self._max_genes]
        found, error = [], None
        try:
            found = self._find_genes(batch)
        except BaseException as caught:  # noqa: BLE001  each waiting thread raises it
            error = caught
        with self._lock:
            futures = [self._futures.pop(column) for column in batch]
        for i, future in enumerate(futures):
            if error is None:
                future.set_result(found[i])
            else:
                future.set_exception(error)
