"""The gene stages in their order: transpose where the layout asks for it, then the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.check_genes import Genes
from cellucid_dask.exporter.files import Receipt
from cellucid_dask.exporter.genes import GeneSettings, write_columns, write_spilled, write_strip
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.plan import MiB, blocks, strip_bytes, strip_width
from cellucid_dask.exporter.transpose import Spill, transpose_chunk
from cellucid_dask.source.matrix import DenseMatrix, SparseMatrix


def write_genes(job: Job) -> list[Receipt]:
    """Write all genes by the way the plan chose; receipts in the order of the genes."""
    genes = job.catalog.genes
    if genes is None or not genes.ids:
        return []
    settings = GeneSettings(
        job.export,
        str(job.folders.parts),
        job.catalog.n_cells,
        job.options.var_quantization,
        job.level,
    )
    here = job.source.local
    work: Any
    if job.plan.way == "transpose":
        work, tasks, here = write_spilled, _spill(job, genes, settings), False
    elif isinstance(genes.matrix, SparseMatrix):
        work, tasks = write_columns, _columns(job, genes, settings)
    else:
        work, tasks = write_strip, _strips(job, genes, settings)
    written: list[list[Receipt]] = job.engine.run(
        "genes", work, tasks, here=here, unit="genes", weigh=len, total=len(genes.ids)
    )
    return [receipt for block in written for receipt in block]


def _spill(job: Job, genes: Genes, settings: GeneSettings) -> list[tuple[Any, ...]]:
    """Run the first pass; tasks of the second."""
    columns = None if genes.whole else genes.columns
    chunks = [(genes.matrix, *rows, columns, job.scratch) for rows in job.plan.row_chunks]
    here = job.source.local
    spills = job.engine.run("transpose", transpose_chunk, chunks, here=here, unit="chunks")
    weights = spilled_bytes(spills, len(genes.ids))
    limit = balanced(weights, job.plan.block_bytes, job.engine.slots)
    return [(settings, spills, a, genes.ids[a:b]) for a, b in blocks(weights, limit)]


def _columns(job: Job, genes: Genes, settings: GeneSettings) -> list[tuple[Any, ...]]:
    """Tasks that read a CSC matrix as it lies."""
    weights = column_bytes(genes.matrix, genes.columns)
    limit = balanced(weights, job.plan.block_bytes, job.engine.slots)
    return _cut(genes, settings, blocks(weights, limit))


def _strips(job: Job, genes: Genes, settings: GeneSettings) -> list[tuple[Any, ...]]:
    """Tasks that read strips of columns of a dense matrix."""
    assert isinstance(genes.matrix, DenseMatrix)
    weights = np.full(len(genes.ids), strip_bytes(genes.matrix), np.int64)
    step = strip_width(genes, balanced(weights, job.plan.block_bytes, job.engine.slots))
    starts = range(0, len(genes.ids), step)
    return _cut(genes, settings, [(a, min(a + step, len(genes.ids))) for a in starts])


def _cut(
    genes: Genes, settings: GeneSettings, cuts: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    return [(settings, genes.matrix, genes.columns[a:b], genes.ids[a:b]) for a, b in cuts]


def spilled_bytes(spills: Sequence[Spill], n_genes: int) -> NDArray[np.int64]:
    """(n_genes,) bytes of each gene in the spill; read file by file."""
    total = np.zeros(n_genes, np.int64)
    for spill in spills:
        total += spill.counts() * (4 if spill.nnz < 0 else 6)
    return total


def column_bytes(matrix: Any, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(columns),) bytes that reading each column of a CSC matrix takes."""
    lengths = np.concatenate([np.diff(pointers) for _, pointers in matrix.pointers()])
    width = 2 * (matrix.dtype.itemsize + np.dtype(matrix.indices.dtype).itemsize)
    weights: NDArray[np.int64] = lengths[columns] * width
    return weights


def balanced(weights: NDArray[np.int64], block_bytes: int, slots: int) -> int:
    """Block size with which every slot gets several blocks, within what memory allows."""
    return int(min(block_bytes, max(int(weights.sum()) // (6 * slots), MiB)))
