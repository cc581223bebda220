"""How many values X stores of each gene, and of which type: one pass over the matrix, or its index.

Values are checked by the functions of the export, so that both refuse the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Event, Lock
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.compute.machine import cores
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks, strip_width
from cellucid_dask.exporter.stages.genes.cut_rows import read_sorted
from cellucid_dask.exporter.stages.genes.driver import column_bytes
from cellucid_dask.exporter.stages.genes.exact_values import Exactness, survey_values
from cellucid_dask.exporter.stages.ready.matrix.columns import survey_columns
from cellucid_dask.native.arena import open_arena
from cellucid_dask.native.library import load
from cellucid_dask.ready.facts import may_need_float64
from cellucid_dask.server.gene_index.scan import map_in_threads, plan_row_chunks, select_all_genes
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

T = TypeVar("T")
Cut: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ValueCounts:
    """What decides where the entries of each gene are.

    Parameters
    ----------
    dtype
        Of the values.
    counts
        (n_genes,) values of each gene that are not 0 as float32; empty of a dense matrix.
    """

    dtype: str
    counts: NDArray[np.int64]


@dataclass(slots=True)
class MatrixPass:
    """One pass over a matrix in threads.

    Parameters
    ----------
    room
        Bytes of memory that all threads may use together.
    stopped
        Set it to end the pass.

    Attributes
    ----------
    done, total
        Cells, or genes, that are read, and all of them.
    """

    room: int
    stopped: Event
    done: int = 0
    total: int = 0
    _lock: Lock = field(default_factory=Lock)

    @property
    def share(self) -> int:
        """Bytes of memory of one thread."""
        return max(1, self.room * 4 // 5 // cores())

    def run(self, work: Callable[[Cut], T], cuts: Sequence[Cut], add: Callable[[T], None]) -> None:
        """Do the work of all cuts, each with its first and last number.

        Raises
        ------
        CancelledError
            When the pass is stopped.
        """

        def do(cut: Cut) -> None:
            found = work(cut)
            with self._lock:
                add(found)
                self.done += cut[1] - cut[0]

        self.done, self.total = 0, sum(stop - start for start, stop in cuts)
        for _ in map_in_threads(do, cuts, cores(), self.stopped):
            pass


def count_values(genes: Genes, matrix_pass: MatrixPass) -> ValueCounts:
    """Go through a matrix once.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    ReadError
        When the data are damaged.
    CancelledError
        When the pass is stopped.
    """
    matrix = genes.matrix
    if not matrix.is_sparse:
        return ValueCounts(_find_dense_type(genes, matrix_pass), np.zeros(0, np.int64))
    if isinstance(matrix, SparseMatrix) and matrix.layout == "csc":
        return _count_by_columns(genes, matrix, matrix_pass)
    return _count_by_rows(genes, matrix_pass)


def _count_by_rows(genes: Genes, matrix_pass: MatrixPass) -> ValueCounts:
    matrix, n_columns = genes.matrix, genes.matrix.shape[1]
    wanted = np.zeros(n_columns, np.bool_)
    wanted[genes.columns] = True
    counts, parts = np.zeros(n_columns, np.int64), [Exactness()]

    def count(rows: Cut) -> tuple[NDArray[np.int64], Exactness]:
        with open_arena() as arena:
            values, columns = _read_rows(matrix, *rows, arena)
            if not genes.whole:
                kept = wanted[columns]
                values, columns = values[kept], columns[kept]
            place = f"rows {rows[0]} to {rows[1] - 1}"
            found = survey_values(values, matrix.label, place, lambda at: columns[at])
            there = values.astype(np.float32, copy=False) != 0
            if not there.all():
                columns = columns[there]
            return np.bincount(columns, minlength=n_columns), found

    def add(found: tuple[NDArray[np.int64], Exactness]) -> None:
        np.add(counts, found[0], out=counts)
        parts[0] = Exactness.of([parts[0], found[1]])

    matrix_pass.run(count, plan_row_chunks(matrix, matrix_pass.share), add)
    return ValueCounts(parts[0].dtype, counts[genes.columns])


def _read_rows(matrix: Matrix, start: int, stop: int, arena: Any) -> tuple[Any, Any]:
    """Values of rows, without duplicates, and the column of each."""
    if isinstance(matrix, SparseMatrix) and load() is not None:
        rows = read_sorted(matrix, start, stop, arena, 0)
        return rows.data, rows.indices
    if isinstance(matrix, SparseMatrix):
        band: Any = matrix.major(start, stop)
    else:
        band = matrix.read(slice(start, stop), slice(None))
    by_gene = sparse.csr_array(band).tocsc()  # which keeps the order of duplicates, as the export
    by_gene.sum_duplicates()
    return by_gene.data, np.repeat(np.arange(matrix.shape[1]), np.diff(by_gene.indptr))


def _count_by_columns(genes: Genes, matrix: SparseMatrix, matrix_pass: MatrixPass) -> ValueCounts:
    counts, parts = np.zeros(len(genes.ids), np.int64), [Exactness()]

    def count(cut: Cut) -> tuple[Cut, dict[str, Any]]:
        return cut, dict(survey_columns("", matrix, genes.columns[slice(*cut)]).facts)

    def add(found: tuple[Cut, dict[str, Any]]) -> None:
        cut, facts = found
        counts[slice(*cut)] = facts["counts"]
        parts[0] = Exactness.of([parts[0], Exactness(facts["whole"], facts["large"])])

    cuts = cut_gene_blocks(column_bytes(matrix, genes.columns), matrix_pass.share)
    matrix_pass.run(count, cuts, add)
    return ValueCounts(parts[0].dtype, counts)


def _find_dense_type(genes: Genes, matrix_pass: MatrixPass) -> str:
    """Type of the values of a dense matrix: most are float32 without a look at any value."""
    matrix, found = genes.matrix, [Exactness()]
    assert isinstance(matrix, DenseMatrix)
    if not may_need_float64(matrix.dtype) or not genes.ids:
        return "<f4"
    wanted = np.isin(np.arange(matrix.shape[1]), genes.columns)
    cuts = plan_row_chunks(matrix, matrix_pass.share)
    # Bands of rows would read each chunk on the disk many times where chunks are high.
    by_rows = not matrix.chunks or not cuts or matrix.chunks[0] <= cuts[0][1]
    if not by_rows:
        width = strip_width(select_all_genes(matrix), matrix_pass.share)
        cuts = tuple(pairwise([*range(0, wanted.size, width), wanted.size]))

    def survey(cut: Cut) -> Exactness:
        part = slice(*cut)
        columns = np.flatnonzero(wanted) if by_rows else np.flatnonzero(wanted[part])
        if not found[0].whole or not columns.size:
            return found[0]  # one value that is not whole decides
        values = matrix.read(part, slice(None)) if by_rows else matrix.read(slice(None), part)
        values = values.toarray() if sparse.issparse(values) else np.asarray(values)
        if columns.size < values.shape[1]:
            values = values[:, columns]
        columns = columns if by_rows else columns + cut[0]
        place = f"{'rows' if by_rows else 'columns'} {cut[0]} to {cut[1] - 1}"
        return survey_values(values, matrix.label, place, lambda at: columns[at % columns.size])

    def add(part: Exactness) -> None:
        found[0] = Exactness.of([found[0], part])

    matrix_pass.run(survey, cuts, add)
    return found[0].dtype
