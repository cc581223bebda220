"""Where the work is cut: row chunks, blocks of genes, and spans of cells; integers alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.planning.memory import (
    bytes_per_nnz,
    cut_bytes_per_row,
    cut_bytes_per_value,
    decoding_bytes,
    strip_bytes,
)
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

SPAN = 1 << 18  # cells of one partial sum at least; its bounds never depend on memory
MAX_SPANS = 16  # partial sums at most; each holds every category
CHUNK_ROWS = 1 << 16  # a spilled row number has 16 bits
CHUNK_NNZ = 24_000_000  # stored values of a row chunk
LEAST_NNZ = 4_000_000  # of a chunk that is smaller only so that all workers get as many
CUT_NNZ = 8_000_000  # of a row chunk that is cut in C: enough for segments that are read at once
CUT_LEAST_NNZ = 500_000  # of such a chunk that is smaller only so that all workers get as many
MANY_CHUNKS = 1000  # with more chunks than this, each is made larger


def cut_spans(n_cells: int) -> tuple[tuple[int, int], ...]:
    """Cells of each partial sum; depends only on the number of cells, so the bytes do too."""
    size = max(SPAN, -(-n_cells // (MAX_SPANS * SPAN)) * SPAN)
    return tuple((start, min(start + size, n_cells)) for start in range(0, n_cells, size))


def cut_gene_blocks(weights: NDArray[np.int64], n_bytes: int) -> list[tuple[int, int]]:
    """Cut genes into runs of about equal weight, each at most `n_bytes` or one gene.

    Parameters
    ----------
    weights
        (n_genes,) bytes of each gene.
    """
    ends = np.cumsum(weights)
    cuts, base = [0], 0
    while cuts[-1] < weights.size:
        stop = int(np.searchsorted(ends, base + n_bytes, side="right"))
        cuts.append(max(stop, cuts[-1] + 1))
        base = int(ends[cuts[-1] - 1])
    return list(pairwise(cuts))


def strip_width(genes: Genes, block_bytes: int) -> int:
    """Columns of a dense strip: complete chunks, so that each is read once."""
    matrix = genes.matrix
    assert isinstance(matrix, DenseMatrix)
    fits = max(1, block_bytes // strip_bytes(matrix))
    if not matrix.chunks:
        return fits
    return max(matrix.chunks[1], fits - fits % matrix.chunks[1])


def cut_row_chunks(
    genes: Genes, worker_bytes: int, slots: int = 1, n_strips: int = 0, *, ready: bool = False
) -> tuple[tuple[int, int], ...]:
    """Cells of each transpose task: as many as fit, at most what 16 bits can number.

    Every block of genes reads from every chunk. Chunks are therefore larger where there would be
    very many of them, as long as each of the `slots` gets several.

    Parameters
    ----------
    n_strips
        Strips at which rows are cut in C; 0 for the transposition with numpy.
    ready
        Whether ready files are written.
    """
    matrix = genes.matrix
    n_cells, n_genes = matrix.shape
    if isinstance(matrix, SparseMatrix) and n_strips:
        rows = max(1, min(CHUNK_ROWS, worker_bytes // 4 // cut_bytes_per_row(n_strips)))
        left = worker_bytes - rows * cut_bytes_per_row(n_strips) - decoding_bytes(matrix)
        fits = left // cut_bytes_per_value(matrix, whole=genes.whole, ready=ready)
        most = _balanced_nnz(matrix, usual_cut_nnz(matrix, slots), fits, slots, CUT_LEAST_NNZ)
        return _cut_sparse_rows(matrix, most, rows)
    if isinstance(matrix, SparseMatrix):
        usual = usual_chunk_nnz(matrix, slots)
        fits = (worker_bytes - decoding_bytes(matrix)) // bytes_per_nnz(matrix)
        most = _balanced_nnz(matrix, usual, fits, slots, LEAST_NNZ)
        return _cut_sparse_rows(matrix, most, CHUNK_ROWS)
    per_row = n_genes * (matrix.dtype.itemsize + 14)
    rows = max(
        1, min(CHUNK_ROWS, CHUNK_NNZ * 16 // max(per_row, 1), worker_bytes // max(per_row, 1))
    )
    if matrix.layout == "rows":  # dask computes complete blocks, so take complete ones
        return _merge_dask_blocks(np.cumsum(matrix.array.chunks[0]), rows)
    if matrix.chunks and matrix.chunks[0] < rows:
        rows -= rows % matrix.chunks[0]
    return tuple((start, min(start + rows, n_cells)) for start in range(0, n_cells, rows))


def usual_chunk_nnz(matrix: SparseMatrix, slots: int = 1) -> int:
    """Stored values of a row chunk where memory does not limit it."""
    return max(CHUNK_NNZ, matrix.nnz // max(MANY_CHUNKS, 4 * slots))


def usual_cut_nnz(matrix: SparseMatrix, slots: int = 1) -> int:
    """Stored values of a row chunk that is cut in C, where memory does not limit it."""
    return max(CUT_NNZ, matrix.nnz // max(MANY_CHUNKS, 4 * slots))


def _balanced_nnz(matrix: SparseMatrix, usual: int, fits: int, slots: int, least: int) -> int:
    """Stored values of a chunk, at most `fits`, such that all `slots` get equally many chunks.

    Two workers need as long for thirteen chunks as for fourteen.
    """
    most = max(1, min(usual, fits))
    if slots == 1:
        return most
    n_least = -(-matrix.nnz // most)
    n_chunks = -(-n_least // slots) * slots
    n_chunks = max(1, min(n_chunks, max(n_least, matrix.nnz // least)))
    return max(1, min(fits, -(-matrix.nnz // n_chunks) + matrix.n_minor))  # complete rows


def _merge_dask_blocks(ends: NDArray[np.int64], rows: int) -> tuple[tuple[int, int], ...]:
    """Merge dask blocks to at most `rows`; only a block that 16 bits cannot number is cut."""
    cuts = [0]
    while cuts[-1] < ends[-1]:
        within = ends[(ends > cuts[-1]) & (ends <= cuts[-1] + rows)]
        following = int(ends[ends > cuts[-1]][0])
        cuts.append(int(within[-1]) if within.size else min(following, cuts[-1] + CHUNK_ROWS))
    return tuple(pairwise(cuts))


def _cut_sparse_rows(matrix: SparseMatrix, limit: int, rows: int) -> tuple[tuple[int, int], ...]:
    """Row chunks of at most `limit` stored values and `rows`, read from indptr in pieces."""
    cuts, base = [0], 0
    for start, pointers in matrix.pointers():
        last = start + pointers.size - 1
        while True:
            stop = start + int(np.searchsorted(pointers, base + limit, side="right")) - 1
            stop = min(stop, cuts[-1] + rows)
            if stop >= last and last < matrix.n_major and last - cuts[-1] < rows:
                break  # the chunk may continue in the next piece
            stop = min(max(stop, cuts[-1] + 1), last)
            if stop <= cuts[-1]:
                break
            cuts.append(stop)
            base = int(pointers[stop - start])
    return tuple(pairwise(cuts))
