"""Memory of tasks, and bytes of genes, estimated without reading a value."""

from __future__ import annotations

from typing import Final

import numpy as np

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.planning.obs_memory import ObsMemory
from cellucid_dask.exporter.planning.ready_memory import cells_bytes
from cellucid_dask.format import value_dtype
from cellucid_dask.native.encoder import record_dtype
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.ready.facts import may_need_float64
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

MiB: Final = 1 << 20
CHUNK_MEMORY: Final = 4 * MiB  # of encoding a chunk of a ready file
FLOOR: Final = 48 * MiB  # least memory that a task is planned with


def vector_bytes(catalog: Catalog, options: ExportOptions) -> int:
    """Memory of encoding one gene: its values, its codes, the whole vector and its gzip.

    Ready files are encoded in chunks: small ones, or a complete column of a dense matrix.
    """
    if catalog.genes is None:
        return 0
    if FOLDER not in options.formats:
        matrix = catalog.genes.matrix
        column = 0 if matrix.is_sparse else catalog.n_cells * value_bytes(matrix)
        return CHUNK_MEMORY + column
    itemsize = np.dtype(value_dtype(options.var_quantization)).itemsize
    return catalog.n_cells * (12 + 2 * itemsize)


def least_bytes(catalog: Catalog, options: ExportOptions) -> int:
    """Least memory of a worker with which every task can run."""
    genes, largest = catalog.genes, FLOOR
    if genes is not None and genes.ids:
        matrix, n_cells = genes.matrix, catalog.n_cells
        vector = vector_bytes(catalog, options)
        itemsize = np.dtype(value_dtype(options.var_quantization)).itemsize
        if isinstance(matrix, SparseMatrix):
            row = n_cells if matrix.layout == "csc" else matrix.shape[1]
            # A gene with a value in every cell: as spilled; or as records, and encoded.
            sorted_bytes = record_bytes(n_cells, options.var_quantization) + 2 * itemsize
            if options.ready_formats:
                sorted_bytes = max(sorted_bytes, entry_bytes(matrix, n_cells))
            densest = max(16 * MiB, max(6, sorted_bytes) * n_cells)
            longest = row * bytes_per_nnz(matrix) + decoding_bytes(matrix)
            largest = max(largest, vector + densest, longest)
        else:
            row = matrix.shape[1] * (matrix.dtype.itemsize + 14)
            row *= matrix.chunks[0] if matrix.chunks else 1
            column = n_cells * value_bytes(matrix) if options.ready_formats else 0
            largest = max(largest, vector + column + 16 * MiB, min(row, 256 * MiB))
    if catalog.ready is not None:
        largest = max(largest, cells_bytes(catalog.ready))
    return max(largest, ObsMemory.of(catalog).least) + selection_bytes(catalog)


def selection_bytes(catalog: Catalog) -> int:
    """Memory that the selection of cells always takes in a process; 0 if all are kept."""
    kept = catalog.source.selection
    return 0 if kept is None else kept.n_bytes


def gene_bytes(genes: Genes) -> int:
    """Bytes of the values of the chosen genes, as a block task reads them."""
    matrix = genes.matrix
    share = len(genes.ids) / max(1, matrix.shape[1])
    if isinstance(matrix, SparseMatrix):
        width = 6
        if matrix.layout == "csc":
            width = matrix.dtype.itemsize + np.dtype(matrix.indices.dtype).itemsize
        return int(matrix.nnz * share) * width
    return 4 * matrix.shape[0] * len(genes.ids)


def spill_bytes(genes: Genes) -> int:
    """Disk space the spill may take: 6 bytes per stored value, 4 per dense value."""
    return gene_bytes(genes) + 8 * (genes.matrix.shape[1] + 1)


def strip_bytes(matrix: DenseMatrix) -> int:
    """Memory of one column of a dense matrix while it is read."""
    return max(1, matrix.shape[0] * max(4, matrix.dtype.itemsize))


def bytes_per_nnz(matrix: SparseMatrix) -> int:
    """Peak of reading and transposing a chunk: two copies of the values and of the indices."""
    value, index = matrix.dtype.itemsize, np.dtype(matrix.indices.dtype).itemsize
    return 2 * max(value, 4) + index + 4 + (4 if index > 4 else 0) + 6 + matrix.selecting_bytes


def cut_bytes_per_value(matrix: SparseMatrix, *, whole: bool = True, ready: bool = False) -> int:
    """Memory of a stored value in pass 1: as read, as float32 where it is none, and cut.

    Parameters
    ----------
    whole
        Whether all genes are kept. If not, the genes of all values are numbered anew, it is counted
        how many stay, and those are copied.
    ready
        Whether ready files are written. Stored zeros are then left out, and large whole numbers are
        kept as float64.
    """
    value, index = matrix.dtype.itemsize, np.dtype(matrix.indices.dtype).itemsize
    converted = 0 if matrix.dtype == np.float32 else 4
    selecting = 0 if whole and not ready else 4 + 1 + 4 + 4 + value
    if ready and may_need_float64(matrix.dtype):
        selecting += 4 + 4
    return value + index + converted + (0 if index in (4, 8) else 8) + selecting + 6


def cut_bytes_per_row(n_strips: int) -> int:
    """Memory of a row in pass 1: where it crosses the bounds, and its length in each strip."""
    return 8 + 4 * (n_strips + 1) + 2 * n_strips


def decoding_bytes(matrix: SparseMatrix) -> int:
    """Memory of reading a part of a matrix from chunks: one as stored, inflated, and put in order.

    They may be of any size, and are read whole.
    """
    parts = (matrix.data, matrix.indices)
    chunks = (getattr(part, "chunks", None) for part in parts)
    return 3 * max(
        (
            chunk[0] * part.dtype.itemsize
            for part, chunk in zip(parts, chunks, strict=True)
            if chunk and isinstance(chunk[0], int)  # of dask, they are tuples
        ),
        default=0,
    )


def record_bytes(n_cells: int, bits: int | None) -> int:
    """Bytes of a record in pass 2."""
    return record_dtype(n_cells, 4 if bits is None else bits // 8).itemsize


def sort_bytes_per_value(n_cells: int, bits: int | None) -> int:
    """Memory of a value in pass 2: as spilled, as a record, and encoded in the worst case."""
    itemsize = 4 if bits is None else bits // 8
    return 6 + record_bytes(n_cells, bits) + -(-(36 + 15 * itemsize) // 8)


def value_bytes(matrix: Matrix) -> int:
    """Bytes that a value of X of ready files may take."""
    return 8 if may_need_float64(matrix.dtype) else 4


def entry_bytes(matrix: SparseMatrix, n_cells: int) -> int:
    """Bytes of a value of X of ready files, with its cell."""
    return value_bytes(matrix) + (4 if n_cells < 1 << 31 else 8)


def second_pass_bytes(matrix: SparseMatrix, n_cells: int, options: ExportOptions) -> int:
    """Memory of a value in pass 2, whichever of the formats takes most."""
    spilled = 2 + value_bytes(matrix)
    needs = [spilled + entry_bytes(matrix, n_cells)] if options.ready_formats else []
    if FOLDER in options.formats:
        needs.append(sort_bytes_per_value(n_cells, options.var_quantization))
    return max(needs)
