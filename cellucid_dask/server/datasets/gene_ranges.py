"""Range of every gene of a matrix, for answers that are quantized."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cellucid_dask.encode import Float32, value_range
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks, strip_width
from cellucid_dask.exporter.stages.genes.blocks import GenePiece, csc_columns, dense_columns
from cellucid_dask.server.gene_index.scan import (
    map_in_threads,
    plan_row_chunks,
    read_gene_major,
    select_all_genes,
)
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

Bounds: TypeAlias = tuple[Float32, Float32, NDArray[np.int64]]  # lowest, highest, cells stored
Run: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
ReadColumns: TypeAlias = Callable[[Any, NDArray[np.int64]], Iterator[tuple[int, GenePiece]]]

CSC_BYTES = 24  # memory per stored value of reading columns


def gene_ranges(
    matrix: Matrix, room: int, threads: int, stopped: threading.Event | None = None
) -> list[tuple[float, float]]:
    """Go through a matrix once for the range that each gene is quantized over.

    Parameters
    ----------
    matrix
        (n_cells, n_genes), of any layout.
    room
        Bytes of memory that all threads may use together.
    stopped
        Set to end it.

    Returns
    -------
    (lo, hi) of each gene, as `cellucid_dask.encode.value_range` has it of the whole gene.

    Raises
    ------
    ReadError
        When the data are damaged.
    CancelledError
        When `stopped` was set meanwhile.
    """
    run = partial(map_in_threads, threads=threads, stopped=stopped)
    share = max(1, room * 4 // 5 // threads)
    if isinstance(matrix, SparseMatrix) and matrix.layout == "csc":
        lengths = [np.diff(pointers) for _, pointers in matrix.pointers()]
        cuts = cut_gene_blocks(np.concatenate(lengths) * CSC_BYTES, share)
        return _by_columns(matrix, csc_columns, cuts, run)
    chunks = plan_row_chunks(matrix, share)
    stored_in = None if isinstance(matrix, SparseMatrix) else matrix.chunks
    if stored_in and chunks and stored_in[0] > chunks[0][1]:  # bands would read each many times
        width = strip_width(select_all_genes(matrix), share)
        cuts = list(pairwise([*range(0, matrix.shape[1], width), matrix.shape[1]]))
        return _by_columns(matrix, dense_columns, cuts, run)
    return _by_rows(matrix, chunks, run)


def _by_columns(
    matrix: Matrix, read: ReadColumns, cuts: Sequence[tuple[int, int]], run: Run
) -> list[tuple[float, float]]:
    def spans(columns: tuple[int, int]) -> list[tuple[float, float]]:
        found = []
        for _, (_, _, values) in read(matrix, np.arange(*columns)):
            span = value_range(values, joins_zero=values.size < matrix.shape[0])
            found.append((span.lo, span.hi))
        return found

    return [pair for part in run(spans, cuts) for pair in part]


def _by_rows(
    matrix: Matrix, chunks: Sequence[tuple[int, int]], run: Run
) -> list[tuple[float, float]]:
    n_cells, n_genes = matrix.shape
    lo, hi = np.full(n_genes, np.inf, np.float32), np.full(n_genes, -np.inf, np.float32)
    stored = np.zeros(n_genes, np.int64)
    for part in run(lambda chunk: _bounds(read_gene_major(matrix, *chunk)), chunks):
        np.minimum(lo, part[0], out=lo)
        np.maximum(hi, part[1], out=hi)
        stored += part[2]
    found = []
    for i, joins_zero in enumerate((stored < n_cells).tolist()):
        finite = [lo[i], hi[i]] if lo[i] <= hi[i] else []
        span = value_range(np.asarray(finite, np.float32), joins_zero=joins_zero)
        found.append((span.lo, span.hi))
    return found


def _bounds(part: Any) -> Bounds:
    """Lowest and highest finite value of each gene of some cells, and how many cells have one."""
    n_genes = part.shape[1]
    lo, hi = np.full(n_genes, np.inf, np.float32), np.full(n_genes, -np.inf, np.float32)
    if not sparse.issparse(part):
        finite = np.isfinite(part)
        where: Any = True if finite.all() else finite
        np.min(part, axis=0, out=lo, initial=np.inf, where=where)
        np.max(part, axis=0, out=hi, initial=-np.inf, where=where)
        return lo, hi, np.full(n_genes, part.shape[0], np.int64)
    stored = np.diff(part.indptr).astype(np.int64)
    full = stored > 0
    starts = part.indptr[:-1][full]
    if starts.size:
        finite = np.isfinite(part.data)
        low = high = part.data
        if not finite.all():
            low = np.where(finite, part.data, np.float32(np.inf))
            high = np.where(finite, part.data, np.float32(-np.inf))
        lo[full] = np.minimum.reduceat(low, starts)
        hi[full] = np.maximum.reduceat(high, starts)
    return lo, hi, stored
