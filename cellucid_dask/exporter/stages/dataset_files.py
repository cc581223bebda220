"""The files of one dataset: for each file the step that makes it, for each step its task.

An export runs the tasks of all files, on many workers. A server of live data runs a single step
when somebody asks for its file. Both take their tasks from here, so the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cellucid_dask.encode import encode_gene
from cellucid_dask.exporter.checks.additional_embeddings import measure_additional
from cellucid_dask.exporter.checks.survey import Catalog
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.plan import Plan
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.recovery.staging import StagingFolders
from cellucid_dask.exporter.stages.edges import write_edges
from cellucid_dask.exporter.stages.embeddings import write_points, write_vectors
from cellucid_dask.exporter.stages.genes.blocks import GenePiece, GeneSettings
from cellucid_dask.exporter.stages.obs.columns import CodedColumn, write_column
from cellucid_dask.files import Receipt
from cellucid_dask.format import Resource, safe, value_ext
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.model import Source

StepKind = Literal["points", "embedding", "vectors", "column", "outliers", "edges", "gene"]


@dataclass(frozen=True, slots=True)
class Step:
    """What makes a file, and with it those that cannot be made apart.

    Parameters
    ----------
    kind
        ``column`` writes the values or the codes of an obs column, ``outliers`` the outlier
        quantiles of one; ``edges`` writes both files of the graph.
    number
        Dimension of points, embeddings and vectors; number of an obs column; column of a gene in
        the matrix.
    field
        Name of a vector field; obsm key of an additional embedding.
    """

    kind: StepKind
    number: int = 0
    field: str = ""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Everything that decides the files of one dataset.

    Parameters
    ----------
    source, catalog, options
        The data, what of it is written, and how.
    plan
        Memory of a task, and the spans of the partial sums.
    folders
        Where the files go.
    native
        Whether genes are encoded by the native library.
    """

    source: Source
    catalog: Catalog
    options: ExportOptions
    plan: Plan
    folders: StagingFolders
    native: bool

    @classmethod
    def of(cls, job: Job) -> DatasetFiles:
        """Files of the export that `job` makes."""
        return cls(job.source, job.catalog, job.options, job.plan, job.folders, job.native)

    @property
    def _export(self) -> str:
        return str(self.folders.export)

    @property
    def scratch(self) -> str:
        """Folder for temporary files."""
        return str(self.folders.scratch)

    # ------------------------------------------------------------------------------------- steps

    def steps(self) -> dict[str, Step]:
        """Step that makes each binary file, by the path of the file."""
        return {resource.path: step for resource, step in self._steps()}

    def _steps(self) -> Iterator[tuple[Resource, Step]]:
        catalog, gz = self.catalog, self.options.compression > 0
        for dim in catalog.boxes:
            yield Resource("points", dim=dim, gz=gz), Step("points", dim)
        for key, dim in catalog.found.additional.items():
            yield self._embedding(key), Step("embedding", dim, key)
        for field, dims in catalog.found.vectors.items():
            for dim in dims:
                yield Resource("vectors", field, dim, gz=gz), Step("vectors", dim, field)
        yield from self._obs_steps()
        if catalog.graph is not None:
            yield Resource("src", gz=gz), Step("edges")
            yield Resource("dst", gz=gz), Step("edges")
        if catalog.genes is not None:
            ext = value_ext(self.options.var_quantization)
            for gene, column in zip(catalog.genes.ids, catalog.genes.columns.tolist(), strict=True):
                yield Resource("gene", safe(gene), ext=ext, gz=gz), Step("gene", column)

    def _obs_steps(self) -> Iterator[tuple[Resource, Step]]:
        ext, gz = value_ext(self.options.obs_quantization), self.options.compression > 0
        for i, column in enumerate(self.catalog.obs):
            name = safe(column.key)
            if column.code is None:
                yield Resource("values", name, ext=ext, gz=gz), Step("column", i)
            else:
                yield Resource("codes", name, ext=column.code.ext, gz=gz), Step("column", i)
                yield Resource("outliers", name, ext=ext, gz=gz), Step("outliers", i)

    def run(self, step: Step) -> Receipt | Edges:
        """Run a step that is a single task and needs no other one: no outliers, no gene."""
        match step.kind:
            case "points":
                return write_points(*self.points_task(step.number, raw=False))
            case "embedding":
                return write_points(*self.embedding_task(step.field))
            case "vectors":
                return write_vectors(*self.vectors_task(step.field, step.number))
            case "column":
                return write_column(*self.column_task(step.number))
            case "edges":
                return write_edges(*self.edges_task())
            case _:
                raise ValueError(f"{step.kind} is no single task")

    # ------------------------------------------------------------------------- arguments of tasks

    def points_task(self, dim: int, *, raw: bool) -> tuple[Any, ...]:
        """Arguments of `write_points`, which writes them uncompressed as well if `raw`."""
        array, box = self.source.obsm[self.catalog.found.embeddings[dim]], self.catalog.boxes[dim]
        resource = Resource("points", dim=dim, gz=self.options.compression > 0)
        path = self.raw_points_path(dim) if raw and self.options.compression else None
        return self._export, resource, array, box, self.options.compression, path

    def embedding_task(self, key: str) -> tuple[Any, ...]:
        """Arguments of `write_points` for an additional embedding; measures one that is not yet.

        Raises
        ------
        CellucidDaskError
            When it is measured here, and cannot be shown or read.
        """
        box = self.catalog.additional_boxes.get(key)
        if box is None:
            box = measure_additional(self.source, key, self.options)
        resource, array = self._embedding(key), self.source.obsm[key]
        return self._export, resource, array, box, self.options.compression, None

    def _embedding(self, key: str) -> Resource:
        dim = self.catalog.found.additional[key]
        return Resource("embedding", safe(key), dim, gz=self.options.compression > 0)

    def vectors_task(self, field: str, dim: int) -> tuple[Any, ...]:
        """Arguments of `write_vectors`."""
        array = self.source.obsm[self.catalog.found.vectors[field][dim]]
        return self._export, array, field, self.catalog.boxes[dim], self.options.compression

    def column_task(self, i: int) -> tuple[Any, ...]:
        """Arguments of `write_column` for obs column number `i`."""
        column, bits = self.catalog.obs[i], self.options.obs_quantization
        coded, level = self.coded_column(i), self.options.compression
        return self._export, column.column, coded, column.key, bits, level

    def edges_task(self) -> tuple[Any, ...]:
        """Arguments of `write_edges`."""
        room, level = self.plan.worker_bytes, self.options.compression
        return self._export, self.scratch, self.catalog.graph, level, room

    # --------------------------------------------------------------------- obs columns and genes

    def coded_column(self, i: int) -> CodedColumn | None:
        """Obs column number `i`, and where its codes are; None if it is continuous."""
        column = self.catalog.obs[i]
        if column.code is None:
            return None
        resource = Resource("codes", safe(column.key), ext=column.code.ext)
        path = self._uncompressed(resource, f"codes-{i}")
        return CodedColumn(column.key, len(column.categories), column.code, path)

    def coded_columns(self) -> list[tuple[int, CodedColumn]]:
        """All categorical columns, each with its number."""
        columns = ((i, self.coded_column(i)) for i in range(len(self.catalog.obs)))
        return [(i, column) for i, column in columns if column is not None]

    def raw_points_path(self, dim: int) -> str:
        """File of the points of one embedding, uncompressed, for the centroids."""
        return self._uncompressed(Resource("points", dim=dim), f"points-{dim}.f32")

    def _uncompressed(self, resource: Resource, scratch_name: str) -> str:
        """Where the bytes of a file lie uncompressed: in scratch only if the export compresses."""
        if self.options.compression:
            return str(Path(self.scratch, scratch_name))
        return f"{self._export}/{resource.path}"

    @property
    def gene_settings(self) -> GeneSettings:
        """What all gene files have in common."""
        return GeneSettings(
            self._export,
            str(self.folders.parts),
            self.catalog.n_cells,
            self.options.var_quantization,
            self.options.compression,
            self.native,
        )

    def encode_gene(self, pieces: Sequence[GenePiece], level: int) -> bytes:
        """Content of the file of a gene, with a gzip level of its own."""
        return encode_gene(
            pieces,
            self.catalog.n_cells,
            self.options.var_quantization,
            level,
            native=self.native,
        ).payload
