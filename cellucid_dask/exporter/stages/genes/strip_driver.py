"""The second pass of CSR in C: write the genes strip by strip."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import GeneReceipts
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.genes.strip_genes import write_strip_genes


def write_by_strips(
    job: Job, genes: Genes, missing: NDArray[np.int64], cutting: Cutting
) -> list[GeneReceipts]:
    """Write genes of a CSR matrix by way of strips; receipts of each strip.

    Parameters
    ----------
    missing
        Numbers of the genes that are not written yet, rising.
    """
    every = cutting.shared_spills()
    settings = DatasetFiles.of(job).gene_settings
    is_missing = np.zeros(len(genes.ids), bool)
    is_missing[missing] = True
    tasks = []
    for strip, (first, last) in enumerate(pairwise(cutting.bounds.tolist())):
        wanted = np.flatnonzero(is_missing[first:last])
        if wanted.size:
            numbers = first + wanted
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
