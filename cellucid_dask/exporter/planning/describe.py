"""The facts of a plan, as the user reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.filesize import decimal

from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.planning.memory import gene_bytes, selection_bytes
from cellucid_dask.exporter.planning.plan import Plan
from cellucid_dask.exporter.planning.ready_files import MANY_FILES
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

GENE_STAGES = ("transpose", "spill sizes", "genes", "edges", "matrix")
_GENE_ACCESS = {
    "none": "no genes",
    "cut": "row chunks are cut at strips of genes and spilled, then each strip is sorted by gene",
    "transpose": "row chunks are spilled gene by gene, then read back in gene blocks",
    "columns": "columns are read as they are stored",
    "strips": "strips of columns are read as they are stored",
}


def describe_plan(
    plan: Plan, catalog: Catalog, engine: str, tasks: Mapping[str, int]
) -> dict[str, Any]:
    """Facts of the plan for the user: text by name, in the order to show them.

    Parameters
    ----------
    tasks
        Number of the tasks of each stage.
    """
    facts: dict[str, Any] = {"cells": f"{catalog.n_cells:,}"}
    genes = catalog.genes
    if genes is None:
        facts["genes"] = "none"
    else:
        matrix = genes.matrix
        facts["genes"] = f"{len(genes.ids):,} of {matrix.shape[1]:,}"
        facts["non-zeros"] = "not stored apart (dense)"
        if isinstance(matrix, SparseMatrix):
            facts["non-zeros"] = f"{matrix.nnz:,} stored"
        facts["layout on disk"] = _layout(matrix)
        facts["way"] = _GENE_ACCESS[plan.gene_access]
        if plan.row_chunks:
            facts["row chunks"] = f"{len(plan.row_chunks):,}"
        n_blocks = tasks.get("genes", tasks.get("matrix", 0))
        each = gene_bytes(genes) // max(n_blocks, 1)
        facts["gene blocks"] = f"{n_blocks:,} of about {decimal(each)}"
    facts["tasks"] = _tasks(plan, tasks)
    facts["runs on"] = engine
    projected, allowed = (
        n + selection_bytes(catalog) for n in (plan.peak_bytes, plan.worker_bytes)
    )
    facts["memory of a task"] = f"{decimal(projected)} projected of {decimal(allowed)} allowed"
    facts["scratch"] = decimal(plan.scratch_bytes)
    files = "1 file" if plan.n_files == 1 else f"{plan.n_files:,} files"
    facts["output"] = f"{files}, about {decimal(plan.output_bytes)}"
    if plan.n_store_files:
        facts["zarr folder"] = f"about {plan.n_store_files:,} files"
    return facts


def many_files_warning(plan: Plan) -> str:
    """Warn of a zarr folder with very many files; empty without one."""
    if plan.n_store_files <= MANY_FILES:
        return ""
    return (
        f"the zarr folder will have about {plan.n_store_files:,} files, which many disks and hosts "
        f"handle badly; with --zarr-format 3 --shards it has {plan.n_sharded_files:,}, and with "
        "--format h5ad or zarr.zip one"
    )


def _tasks(plan: Plan, tasks: Mapping[str, int]) -> str:
    """Number of tasks, one number for all obs stages; "about" where it depends on the spill."""
    spilled = plan.gene_access in ("cut", "transpose")
    about = dict.fromkeys(("genes", "matrix"), "about ") if spilled else {}
    by_gene = [stage for stage in GENE_STAGES if stage in tasks]
    n_obs = sum(tasks.values()) - sum(tasks[stage] for stage in by_gene)
    by_stage = [f"{stage} {about.get(stage, '')}{tasks[stage]:,}" for stage in by_gene]
    return ", ".join([f"obs {n_obs:,}", *by_stage])


def _layout(matrix: SparseMatrix | DenseMatrix) -> str:
    array = matrix.data if isinstance(matrix, SparseMatrix) else matrix.array
    if matrix.layout == "rows":
        return f"dask array of {matrix.dtype}, {array.npartitions} blocks"
    text = f"{'dense' if matrix.layout == 'dense' else matrix.layout.upper()} {matrix.dtype}"
    if isinstance(array, np.ndarray):
        return f"{text}, in memory"
    return f"{text}, " + (f"chunks of {array.chunks}" if array.chunks else "contiguous")
