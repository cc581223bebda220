"""Counts of an export to a ready file: chunks, files and tasks, from the plan of its atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.scaling.hollow_atlas import HollowAtlas
from benchmarks.scaling.model import Machine
from cellucid_dask.compute.cluster import WORKER_BYTES
from cellucid_dask.exporter.checks.ready.catalog import GraphFacts, ReadyCatalog, ReadyColumn
from cellucid_dask.exporter.checks.survey import Catalog, survey
from cellucid_dask.exporter.planning.plan import Plan, make_plan
from cellucid_dask.exporter.stages.ready.cell_arrays import obsm_units
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.graph import graph_units
from cellucid_dask.exporter.stages.ready.matrix.driver import JOINED
from cellucid_dask.exporter.stages.ready.outliers import outlier_units
from cellucid_dask.exporter.stages.ready.tables import table_units
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.ready.layout import ColumnLayout, MatrixLayout
from cellucid_dask.ready.nodes import ArrayNode
from cellucid_dask.ready.shards import is_sharded, shard_node
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix
from cellucid_dask.source.discover import Discovery
from cellucid_dask.source.model import Source
from cellucid_dask.source.open import open_source

# What is written, by the name that the tables have for it.
FORMATS: Mapping[str, ExportOptions] = {
    "zarr": ExportOptions(format="zarr"),
    "zarr:shards": ExportOptions(format="zarr", zarr_format=3, shards=True),
    "h5ad": ExportOptions(format="h5ad"),
    "zarr.zip": ExportOptions(format="zarr.zip"),
}


@dataclass(frozen=True, slots=True)
class ReadyCounts:
    """The counts of a plan that writes one ready file.

    Parameters
    ----------
    format
        A key of `FORMATS`.
    tasks
        Number of tasks of each stage.
    chunks
        Chunks of the file, those of X among them.
    x_chunks
        Chunks of ``X/data`` and of ``X/indices`` together.
    shards
        Shards of X; 0 without any.
    """

    spec: HollowAtlas
    machine: Machine
    workers: int
    format: str
    plan: Plan
    tasks: Mapping[str, int]
    chunks: int
    x_chunks: int
    shards: int

    @property
    def is_store(self) -> bool:
        """Whether it is a zarr folder."""
        return self.format.startswith("zarr") and self.format != "zarr.zip"

    @property
    def chunk_files(self) -> int:
        """Chunks that tasks write as files of their own; the others go to packs."""
        if not self.is_store:
            return 0
        return self.chunks - self.x_chunks if self.shards else self.chunks

    @property
    def files(self) -> int:
        """Files of the output, metadata not counted."""
        return self.chunk_files + self.shards if self.is_store else 1

    @property
    def row_chunks(self) -> int:
        """Row chunks of the first pass."""
        return len(self.plan.row_chunks)

    @property
    def opens(self) -> int:
        """How often the second pass opens a spill file: a worker appends to one."""
        return self.plan.n_strips * min(self.workers, self.row_chunks)


class ReadyPlanner:
    """Makes the plan of an atlas for any number of workers and any ready file."""

    def __init__(self, path: Path, spec: HollowAtlas, machine: Machine) -> None:
        self.spec, self.machine = spec, machine
        source = open_source(path)
        self._ready = make_ready_catalog(source, spec)
        self._catalog = Catalog(
            spec.cells, Discovery(), source, genes=self._ready.genes, ready=self._ready
        )

    def plan(self, workers: int, format_name: str) -> ReadyCounts:
        """Plan as `export --workers N` does, all workers having the same memory."""
        options, ready = FORMATS[format_name], self._ready
        share = (self.machine.memory - WORKER_BYTES) * 9 // 10
        plan = make_plan(self._catalog, options, share, workers, native=True)
        x = MatrixLayout((self.spec.cells, self.spec.genes), "<f4", self.spec.nnz)
        graph = self.spec.cells * self.spec.neighbors
        nodes = [n for n in ready.layout(x, graph).nodes() if isinstance(n, ArrayNode)]
        of_x = [node for node in nodes if is_sharded(node)]
        shards = sum(shard_node(node).n_chunks for node in of_x) if options.shards else 0
        nothing = ChunkStores((), "", "")
        tasks = {
            "tables": len(table_units(ready, nothing)),
            "arrays of cells": len(obsm_units(ready, nothing)),
            "graph": len(graph_units(ready, nothing, plan.worker_bytes)),
            "outlier quantiles": len(outlier_units(ready, nothing)),
            "transpose": len(plan.row_chunks),
            "matrix": plan.n_strips,
            "matrix edges": -(-plan.n_strips // JOINED),
            "shards": shards,
        }
        return ReadyCounts(
            self.spec,
            self.machine,
            workers,
            format_name,
            plan,
            {name: n for name, n in tasks.items() if n},
            sum(node.n_chunks for node in nodes),
            sum(node.n_chunks for node in of_x),
            shards,
        )


def make_ready_catalog(source: Source, spec: HollowAtlas) -> ReadyCatalog:
    """What the ready file of an atlas holds: all columns and arrays, and a graph as it is stored.

    The checks of ready files read all names and the whole graph, which a hollow atlas does not
    have. So they are left out, and the spec says what they would find.
    """
    found = survey(source, ExportOptions())
    assert found.genes is not None
    columns = [
        ReadyColumn(
            ColumnLayout(field.key, "categorical", "|i1", n_categories=len(field.categories))
            if field.code is not None
            else ColumnLayout(field.key, "array", "<f4"),
            cast(Any, field.column),  # which is not read
        )
        for field in found.obs
    ]
    return ReadyCatalog(
        spec.cells,
        source,
        found.genes,
        list(found.genes.ids),
        obs=columns,
        obsm=cast(dict[str, RowArray], dict(source.obsm)),
        graph=cast(SparseMatrix, source.matrices["obsp/connectivities"])
        if spec.neighbors
        else None,
        graph_facts=GraphFacts(spec.cells * spec.neighbors, 0, symmetric=True, as_stored=True),
        record={"schema": 1, "id": "atlas", "name": "atlas"},
        latent=found.latent,
        outliers=[i for i, c in enumerate(columns) if c.layout.kind == "categorical"],
    )
