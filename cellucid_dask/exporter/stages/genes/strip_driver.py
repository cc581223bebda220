"""Both passes of CSR in C: cut row chunks at gene strips, then write the genes strip by strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import share
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.strips import place_bounds
from cellucid_dask.exporter.receipts import GeneReceipts, StripSpill
from cellucid_dask.exporter.recovery.resume import missing_rows
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.genes.cut_rows import cut_chunk
from cellucid_dask.exporter.stages.genes.spill_file import forget_spill_files
from cellucid_dask.exporter.stages.genes.strip_genes import write_strip_genes


def write_by_strips(job: Job, genes: Genes, missing: NDArray[np.int64]) -> list[GeneReceipts]:
    """Write genes of a CSR matrix by way of strips; receipts of each strip.

    Parameters
    ----------
    missing
        Numbers of the genes that are not written yet, rising.
    """
    order = np.argsort(genes.columns)  # strips count the chosen columns in their own order
    bounds = _bounds(job, genes, genes.columns[order])
    try:
        spills = _cut(job, genes, genes.columns[order], bounds)
    finally:
        forget_spill_files(job.scratch)
    every = share(job.scratch, "spills", spills)
    settings, is_missing = DatasetFiles.of(job).gene_settings, np.zeros(order.size, bool)
    is_missing[missing] = True
    tasks = []
    for strip, (first, last) in enumerate(
        zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ):
        wanted = np.flatnonzero(is_missing[order[first:last]])
        numbers = order[first:last][wanted]
        if wanted.size:
            ids = [genes.ids[i] for i in numbers.tolist()]
            facts = (strip, last - first, wanted, numbers, ids, job.plan.worker_bytes)
            tasks.append((settings, every, *facts))
    receipts: list[GeneReceipts] = job.engine.run(
        "genes",
        write_strip_genes,
        tasks,
        unit="genes",
        weigh=len,
        total=missing.size,
        on_result=lambda _, receipts: job.journal.genes(receipts),
    )
    return receipts


def _bounds(job: Job, genes: Genes, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bounds of the strips: those of the spill that is kept, else new ones."""
    if job.finished.spills and job.finished.strips is not None:
        return np.array(job.finished.strips, np.int64)
    bounds = place_bounds(genes, columns, job.plan.n_strips)
    job.journal.strips(bounds.tolist())
    return bounds


def _cut(
    job: Job, genes: Genes, columns: NDArray[np.int64], bounds: NDArray[np.int64]
) -> Sequence[StripSpill]:
    """Cut the cells that are not spilled yet; all chunks in the order of the cells."""
    chosen = (
        None if columns.size == genes.matrix.shape[1] else share(job.scratch, "columns", columns)
    )
    strips = share(job.scratch, "strips", bounds)
    tasks = [
        (genes.matrix, *rows, chosen, strips, job.scratch)
        for rows in missing_rows(job.plan.row_chunks, job.finished.spills)
    ]
    made: list[StripSpill] = job.engine.run(
        "transpose",
        cut_chunk,
        tasks,
        in_process=job.source.local,
        unit="chunks",
        on_result=lambda _, spill: job.journal.chunk(spill),
    )
    return sorted([*job.finished.spills, *made], key=lambda spill: spill.first)
