"""How many tasks each stage submits, counted by the code that cuts the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.engine import Engine
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.memory import gene_bytes
from cellucid_dask.exporter.planning.plan import Plan
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.cell_ids import cell_id_tasks
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.genes.driver import GROUP, column_bytes, gene_blocks, gene_strips
from cellucid_dask.exporter.stages.obs.driver import write_obs
from cellucid_dask.exporter.stages.obs.reduction import reduce_columns
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.driver import cell_units
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import FOLDER
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.model import Source


@dataclass(slots=True)
class _Counting:
    """Takes the place of the engine, and counts the tasks instead of running them."""

    slots: int
    uses_dask: bool = True
    counts: dict[str, int] = field(default_factory=dict)

    def run(
        self, stage: str, _work: Callable[..., Any], tasks: Iterable[Any], **_: Any
    ) -> list[int]:
        """Count tasks; every one answers 0."""
        n = sum(1 for _ in tasks)
        self.counts[stage] = self.counts.get(stage, 0) + n
        return [0] * n


def count_tasks(
    source: Source, catalog: Catalog, options: ExportOptions, plan: Plan, slots: int
) -> dict[str, int]:
    """Tasks of each stage of a run that finds nothing done, in the order of the stages.

    Those of ``genes`` are what they will be where the bytes of each gene are known: of CSC and
    dense matrices. For a spill that is not written yet all genes count as equal.
    """
    engine, nowhere = _Counting(slots), StagingFolders(Path(), Path(), Path())
    job = Job(source, catalog, options, cast(Engine, engine), plan, nowhere, native=False)
    write_obs(job)
    reduce_columns(DatasetFiles.of(job), job.engine, here=job.obs_here)
    counts = dict(engine.counts)
    if tasks := cell_id_tasks(job):
        counts = {"cell ids": len(tasks), **counts}
    if catalog.genes is not None and catalog.genes.ids:
        if plan.row_chunks:
            counts["transpose"] = len(plan.row_chunks)
            if plan.gene_access == "transpose" and len(plan.row_chunks) > GROUP:
                counts["spill sizes"] = -(-len(plan.row_chunks) // GROUP)
        counts["genes"] = plan.n_strips or len(_cuts(job, catalog.genes))
    if catalog.graph is not None:
        counts["edges"] = 1
    if catalog.ready is not None:
        units = cell_units(catalog.ready, ChunkStores((), "", ""), plan.worker_bytes)
        counts |= {stage: len(found) for stage, found in units.items()}
        if "genes" in counts:
            counts["matrix"] = counts["genes"] if FOLDER in options.formats else counts.pop("genes")
    return counts


def _cuts(job: Job, genes: Genes) -> list[tuple[int, int]]:
    every = [(0, len(genes.ids))]
    if job.plan.gene_access == "strips":
        return gene_strips(job, genes, every)
    return gene_blocks(job, _weights(job, genes), every, max(len(job.plan.row_chunks), 1))


def _weights(job: Job, genes: Genes) -> NDArray[np.int64]:
    """(n_genes,) bytes of each gene as far as they are known."""
    if job.plan.gene_access == "columns":
        assert isinstance(genes.matrix, SparseMatrix)
        return column_bytes(genes.matrix, genes.columns)
    return np.full(len(genes.ids), gene_bytes(genes) // len(genes.ids), np.int64)
