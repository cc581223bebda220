"""The stages of ready files: tables, arrays of cells, graph, outlier quantiles, and X."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from cellucid_dask.exporter.checks.ready.catalog import ReadyCatalog
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.ready.cell_arrays import obsm_units
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores, Target
from cellucid_dask.exporter.stages.ready.graph import graph_units
from cellucid_dask.exporter.stages.ready.matrix.driver import (
    WrittenMatrix,
    is_matrix_open,
    write_matrix,
)
from cellucid_dask.exporter.stages.ready.outliers import outlier_units
from cellucid_dask.exporter.stages.ready.tables import table_units
from cellucid_dask.exporter.stages.ready.units import Unit, run_units
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.facts import FORMATS, Coding


def open_stores(job: Job) -> ChunkStores:
    """Where the chunks of this run go."""
    targets = make_targets(job.options, job.folders.ready)
    return ChunkStores(targets, str(job.folders.parts), job.scratch)


def make_targets(options: ExportOptions, staged: Mapping[str, Path]) -> tuple[Target, ...]:
    """The ready files that a run makes; `staged` has the path of each while it is made."""
    zarr: Coding = "zarr3" if options.zarr_format == 3 else "zarr2"
    return tuple(
        Target(
            name,
            "hdf5" if name == "h5ad" else zarr,
            str(staged[name]) if name == "zarr" else "",
            sharded=options.shards and name != "h5ad",
        )
        for name in FORMATS
        if name in options.formats
    )


def cell_units(ready: ReadyCatalog, stores: ChunkStores, room: int) -> dict[str, Sequence[Unit]]:
    """Units of everything that is no expression, by stage; `room` is the memory of a task."""
    return {
        "tables": table_units(ready, stores),
        "arrays of cells": obsm_units(ready, stores),
        "graph": graph_units(ready, stores, room),
        "outlier quantiles": outlier_units(ready, stores),
    }


def write_cells(job: Job) -> list[ReadyWork]:
    """Write everything that is no expression: tables, arrays of cells, graph, outlier quantiles."""
    assert job.ready is not None
    stages = cell_units(job.ready, open_stores(job), job.plan.worker_bytes)
    works: list[ReadyWork] = []
    with job.engine.run_inline() if job.obs_beside_genes else nullcontext():
        for stage, units in stages.items():
            if units:
                works += run_units(job, stage, units, job.finished.ready, here=job.obs_here)
    return works


def is_expression_open(job: Job) -> bool:
    """Whether X of ready files is left to be written, for which the first pass is needed."""
    if job.ready is None or job.ready.genes is None:
        return False
    return is_matrix_open(job.ready.genes, job.finished.ready)


def write_expression(job: Job, cutting: Cutting | None) -> WrittenMatrix | None:
    """Write X; None without genes."""
    assert job.ready is not None
    genes = job.ready.genes
    if genes is None:
        return None
    return write_matrix(job, open_stores(job), genes, job.finished.ready, cutting)
