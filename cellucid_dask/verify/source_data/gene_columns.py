"""Genes of a matrix of any layout one by one, in few passes and bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from cellucid_dask.verify.source_data.derive import Float32, to_float32
from cellucid_dask.verify.source_data.sparse_parts import check_indices

_BAND_BYTES: Final = 1 << 28  # of a matrix that are read at a time
_RUN_BYTES: Final = 1 << 30  # of gene columns that are collected in one pass
_ENTRY_BYTES: Final = 8  # row and value


def read_gene_columns(
    matrix: Any, chosen: Sequence[int], dtype: Any = np.float32
) -> Iterator[Float32]:
    """Yield (n_cells,) float32, or `dtype`, for each position in `chosen`, in this order."""
    layout = getattr(matrix, "format", "")
    if layout == "csc":
        yield from _read_csc(matrix, chosen, dtype)
    elif layout == "csr":
        for genes in _group_by_memory(matrix, chosen):
            yield from _collect_csr(matrix, genes, dtype)
    else:
        yield from _read_dense(matrix, chosen, dtype)


def _read_csc(matrix: Any, chosen: Sequence[int], dtype: Any) -> Iterator[Float32]:
    """Yield columns of a CSC matrix; neighboring ones are read together, as they share chunks."""
    width = max(
        1, matrix.shape[1] * (_BAND_BYTES // _ENTRY_BYTES) // max(1, _count_entries(matrix))
    )
    start = 0
    for stop in range(1, len(chosen) + 1):
        ends = stop == len(chosen) or chosen[stop] != chosen[stop - 1] + 1
        if ends or stop - start == width:
            block = check_indices(matrix[:, chosen[start] : chosen[stop - 1] + 1])
            yield from (to_float32(block[:, i : i + 1], dtype)[:, 0] for i in range(stop - start))
            start = stop


def _read_bands(matrix: Any) -> Iterator[tuple[int, Any]]:
    """Yield first row and rows of every band of a CSR matrix, in one pass."""
    n_cells = matrix.shape[0]
    height = max(1, n_cells * (_BAND_BYTES // _ENTRY_BYTES) // max(1, _count_entries(matrix)))
    for top in range(0, n_cells, height):
        yield top, check_indices(matrix[top : top + height])


def _count_entries(matrix: Any) -> int:
    """Count the entries of a sparse matrix, in memory or on disk."""
    return int(matrix.group["indices"].shape[0] if hasattr(matrix, "group") else matrix.nnz)


def _group_by_memory(matrix: Any, chosen: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield genes to collect in one pass: as many as fit; to find that out takes another pass."""
    most, (n_cells, n_genes) = _RUN_BYTES // _ENTRY_BYTES, matrix.shape
    if min(_count_entries(matrix), n_cells * len(chosen)) <= most:
        yield chosen
        return
    counts = np.zeros(n_genes, np.int64)
    for _, band in _read_bands(matrix):
        counts += np.bincount(band.indices, minlength=n_genes)
    start = held = 0
    for i, gene in enumerate(chosen):
        if i > start and held + counts[gene] > most:
            yield chosen[start:i]
            start, held = i, 0
        held += int(counts[gene])
    yield chosen[start:]


def _collect_csr(matrix: Any, genes: Sequence[int], dtype: Any) -> Iterator[Float32]:
    """Yield columns of a CSR matrix: one pass collects their entries, then each is made dense."""
    pieces, takes_all = [], list(genes) == list(range(matrix.shape[1]))
    for top, band in _read_bands(matrix):
        piece = (band if takes_all else band[:, list(genes)]).tocsc()
        piece.sum_duplicates()
        pieces.append((top, piece.indptr, piece.indices, to_float32(piece.data, dtype)))
    for i in range(len(genes)):
        column = np.zeros(matrix.shape[0], dtype)
        for top, indptr, indices, values in pieces:
            entries = slice(indptr[i], indptr[i + 1])
            column[top + indices[entries]] = values[entries]
        yield column


def _read_dense(matrix: Any, chosen: Sequence[int], dtype: Any) -> Iterator[Float32]:
    """Yield columns of a dense matrix; a rectangle of it is read at a time."""
    n_cells = matrix.shape[0]
    width = max(1, _BAND_BYTES // (4 * n_cells))
    for start in range(0, len(chosen), width):
        genes = np.asarray(chosen[start : start + width])
        first, last = int(genes.min()), int(genes.max()) + 1
        height = max(1, _BAND_BYTES // (8 * (last - first)))
        block = np.empty((n_cells, genes.size), dtype, order="F")
        for top in range(0, n_cells, height):
            rows = matrix[top : top + height, first:last]
            block[top : top + height] = to_float32(rows[:, genes - first], dtype)
        yield from block.T
