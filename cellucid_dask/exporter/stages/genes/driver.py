"""The gene stages: transpose where the layout needs it, then write the blocks of genes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import Shared
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.cuts import cut_gene_blocks, strip_width
from cellucid_dask.exporter.planning.memory import MiB, strip_bytes
from cellucid_dask.exporter.receipts import GeneReceipts, Spill, latest, no_genes
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.genes.blocks import write_columns, write_spilled, write_strip
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.genes.strip_driver import write_by_strips
from cellucid_dask.files import bytes_of, read_array, write_atomically
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.matrix import consecutive_runs
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

Cut = tuple[int, int]
GROUP = 64  # spill files whose sizes are one task
SPARSE_BYTES = 6  # of a value in a sparse spill, as blocks of genes are weighed
PIECE = 128 << 10  # bytes of a block in a spill file, below which reading them is slow


def start_genes(job: Job, *, ready: bool = False) -> Cutting | None:
    """Open the first pass; None where the matrix needs none, or nothing is left to be made of it.

    Where the obs stages and the first pass may run at a time it is started, before those.

    Parameters
    ----------
    ready
        Whether X of ready files is left to be written, alone or beside the folder.
    """
    genes = job.catalog.genes
    if genes is None or job.plan.gene_access not in ("cut", "transpose"):
        return None
    if not genes.ids or not (ready or (job.makes_folder and _missing(job, genes).size)):
        return None
    cutting = Cutting(job, genes, ready=ready)
    if job.obs_beside_genes:
        cutting.start()
    return cutting


def write_genes(job: Job, cutting: Cutting | None) -> GeneReceipts:
    """Write all genes by the way the plan chose; receipts in the order of the genes.

    Genes that a previous run has finished are left as they are.

    Parameters
    ----------
    cutting
        Of `start_genes`.
    """
    genes = job.catalog.genes
    if genes is None or not genes.ids:
        return no_genes()
    written, missing = job.finished.genes, _missing(job, genes)
    if missing.size and job.plan.gene_access == "cut":
        assert cutting is not None, "start_genes opens it where genes are missing"
        written = latest([written, *write_by_strips(job, genes, missing, cutting)])
    elif missing.size:
        written = latest([written, *_write(job, genes, list(consecutive_runs(missing)), cutting)])
    return written


def _missing(job: Job, genes: Genes) -> NDArray[np.int64]:
    """Numbers of the genes that are not written yet, rising."""
    return np.setdiff1d(np.arange(len(genes.ids)), job.finished.genes["gene"])


def _write(
    job: Job, genes: Genes, todo: Sequence[Cut], cutting: Cutting | None
) -> list[GeneReceipts]:
    """Write the genes of the runs `todo`; receipts of each block."""
    settings = DatasetFiles.of(job).gene_settings
    work: Any
    here = job.source.local
    tasks: list[tuple[Any, ...]]
    if cutting is not None:
        spills, every = cutting.spills(), cutting.shared_spills()
        work, here = write_spilled, False
        weights = sum_spilled(job, spills, every, len(genes.ids))
        cuts = gene_blocks(job, weights, todo, len(spills))
        tasks = [(settings, every, a, genes.ids[a:b]) for a, b in cuts]
    else:
        if isinstance(genes.matrix, SparseMatrix):
            work = write_columns
            cuts = gene_blocks(job, column_bytes(genes.matrix, genes.columns), todo)
        else:
            work, cuts = write_strip, gene_strips(job, genes, todo)
        tasks = [(settings, genes.matrix, genes.columns[a:b], a, genes.ids[a:b]) for a, b in cuts]
    receipts: list[GeneReceipts] = job.engine.run(
        "genes",
        work,
        tasks,
        in_process=here,
        unit="genes",
        weigh=len,
        total=sum(b - a for a, b in todo),
        on_result=lambda _, receipts: job.journal.genes(receipts),
    )
    return receipts


def gene_blocks(
    job: Job, weights: NDArray[np.int64], todo: Sequence[Cut], n_files: int = 1
) -> list[Cut]:
    """Blocks of genes of about equal weight, each read from `n_files`."""
    left = sum(int(weights[a:b].sum()) for a, b in todo)
    limit = balanced(left, job.plan.block_bytes, job.engine.slots, n_files)
    return [
        (a + low, a + high) for a, b in todo for low, high in cut_gene_blocks(weights[a:b], limit)
    ]


def gene_strips(job: Job, genes: Genes, todo: Sequence[Cut]) -> list[Cut]:
    """Blocks of genes that are strips of columns of a dense matrix."""
    assert isinstance(genes.matrix, DenseMatrix)
    left = sum(b - a for a, b in todo) * strip_bytes(genes.matrix)
    step = strip_width(genes, balanced(left, job.plan.block_bytes, job.engine.slots))
    return [(low, min(low + step, b)) for a, b in todo for low in range(a, b, step)]


def sum_spilled(
    job: Job, spills: Sequence[Spill], every: Shared[list[Spill]], n_genes: int
) -> NDArray[np.int64]:
    """(n_genes,) bytes of each gene in the spill; by the workers when it has many files."""
    if len(spills) <= GROUP:
        return spilled_bytes(spills, n_genes)
    tasks = [
        (every, start, start + GROUP, n_genes, job.scratch)
        for start in range(0, len(spills), GROUP)
    ]
    paths = job.engine.run("spill sizes", sum_sizes, tasks, unit="groups")
    total = np.zeros(n_genes, np.int64)
    for path in paths:
        total += read_array(path, "<i8")
    return total


def sum_sizes(every: Shared[list[Spill]], start: int, stop: int, n_genes: int, folder: str) -> str:
    """Write the bytes of each gene in some of the spill files; returns the path."""
    path = Path(folder, f"sizes-{start}.i8")
    write_atomically(path, [bytes_of(spilled_bytes(every.load()[start:stop], n_genes))])
    return str(path)


def spilled_bytes(spills: Sequence[Spill], n_genes: int) -> NDArray[np.int64]:
    """(n_genes,) bytes of each gene in the spill; read file by file."""
    total = np.zeros(n_genes, np.int64)
    for spill in spills:
        total += spill.counts() * (4 if spill.nnz < 0 else SPARSE_BYTES)
    return total


def column_bytes(matrix: Any, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(columns),) bytes that reading each column of a CSC matrix takes."""
    lengths = np.concatenate([np.diff(pointers) for _, pointers in matrix.pointers()])
    width = 2 * (matrix.dtype.itemsize + np.dtype(matrix.indices.dtype).itemsize)
    width += matrix.selecting_bytes
    weights: NDArray[np.int64] = lengths[columns] * width
    return weights


def balanced(total: int, block_bytes: int, slots: int, n_files: int = 1) -> int:
    """Block size with which every slot gets several blocks, within what memory allows.

    Six blocks a slot even out how long they take; two where the pieces that a block reads from
    each of `n_files` would otherwise be small.
    """
    wanted = max(total // (6 * slots), min(total // (2 * slots), n_files * PIECE), MiB)
    return min(block_bytes, wanted)
