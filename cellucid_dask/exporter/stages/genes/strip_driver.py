"""Both passes of CSR in C: cut row chunks at gene strips, then write the genes strip by strip."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Cutting:
    """The first pass, which has been started.

    Parameters
    ----------
    order
        Numbers of the genes in the order of their columns, in which strips count them.
    bounds
        (n_strips + 1,) first gene of each strip, then the number of genes.
    futures
        A spilled chunk each.
    began
        When, by `time.perf_counter`.
    errors
        Why the journal could not record a chunk.
    """

    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    futures: Sequence[Future[StripSpill]]
    began: float
    errors: list[OSError]


def start_cutting(job: Job, genes: Genes) -> Cutting:
    """Start the tasks of the first pass for the cells that are not spilled yet."""
    began, order = time.perf_counter(), np.argsort(genes.columns)
    columns = genes.columns[order]
    bounds = _bounds(job, genes, columns)
    whole = columns.size == genes.matrix.shape[1]
    chosen = None if whole else share(job.scratch, "columns", columns)
    strips = share(job.scratch, "strips", bounds)
    tasks = [
        (genes.matrix, *rows, chosen, strips, job.scratch)
        for rows in missing_rows(job.plan.row_chunks, job.finished.spills)
    ]
    futures = job.engine.begin(cut_chunk, tasks, in_process=job.source.local)

    errors: list[OSError] = []

    def record(future: Future[StripSpill]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # `finish` raises it
        try:
            job.journal.chunk(future.result())
        except OSError as error:
            errors.append(error)

    for future in futures:
        future.add_done_callback(record)
    return Cutting(order, bounds, futures, began, errors)


def write_by_strips(
    job: Job, genes: Genes, missing: NDArray[np.int64], cutting: Cutting
) -> list[GeneReceipts]:
    """Write genes of a CSR matrix by way of strips; receipts of each strip.

    Parameters
    ----------
    missing
        Numbers of the genes that are not written yet, rising.
    """
    try:
        made = job.engine.finish("transpose", cutting.futures, unit="chunks", began=cutting.began)
    finally:
        forget_spill_files(job.scratch)
    if cutting.errors:
        raise cutting.errors[0]
    spills = sorted([*job.finished.spills, *made], key=lambda spill: spill.first)
    every = share(job.scratch, "spills", spills)
    settings = DatasetFiles.of(job).gene_settings
    is_missing = np.zeros(cutting.order.size, bool)
    is_missing[missing] = True
    tasks = []
    for strip, (first, last) in enumerate(pairwise(cutting.bounds.tolist())):
        wanted = np.flatnonzero(is_missing[cutting.order[first:last]])
        numbers = cutting.order[first:last][wanted]
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
    # What is still in memory of them need not go to the disk when the export is made durable.
    with ThreadPoolExecutor() as threads:
        list(threads.map(remove_file, {spill.path for spill in spills}))
    return receipts


def remove_file(path: str) -> None:
    """Remove a file, if it is still there."""
    Path(path).unlink(missing_ok=True)


def _bounds(job: Job, genes: Genes, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bounds of the strips: those of the spill that is kept, else new ones."""
    if job.finished.spills and job.finished.strips is not None:
        return np.array(job.finished.strips, np.int64)
    bounds = place_bounds(genes, columns, job.plan.n_strips)
    job.journal.strips(bounds.tolist())
    return bounds
