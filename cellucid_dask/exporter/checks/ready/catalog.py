"""`ReadyCatalog`: what a ready file will hold, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.errors import Problem
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.ready.layout import ColumnLayout, MatrixLayout, ReadyLayout
from cellucid_dask.source.arrays.matrix import Matrix
from cellucid_dask.source.arrays.row_array import RowArray
from cellucid_dask.source.arrays.typed_column import TypedColumn
from cellucid_dask.source.chunks.missing import Findings
from cellucid_dask.source.model import Source


@dataclass(frozen=True, slots=True)
class ReadyColumn:
    """A column of obs or var.

    Parameters
    ----------
    layout
        How it is stored.
    column
        Where its values come from: texts where `layout` says ``text``, and also where it says
        ``categorical`` and they repeat or are missing.
    categories
        Of a categorical: texts as objects, numbers or truth values.
    """

    layout: ColumnLayout
    column: TypedColumn
    categories: NDArray[Any] = field(default_factory=lambda: np.empty(0, object))


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What kind of graph it is.

    Parameters
    ----------
    nnz, self_loops
        Weights beside the diagonal and on it, zeros not counted.
    symmetric
        Whether it is, but for its diagonal; otherwise the file holds more than `nnz` weights.
    as_stored
        Whether the lines are stored as a ready file has them, entry for entry.
    """

    nnz: int
    self_loops: int
    symmetric: bool
    as_stored: bool


@dataclass(slots=True)
class ReadyCatalog:
    """What a ready file will hold.

    Parameters
    ----------
    source
        What is exported: the input, or its cells that have coordinates.
    genes
        Columns of the matrix in the order of the file; None without expression.
    gene_names
        Names of these genes, unique.
    rename_cells
        Whether names of cells repeat and get ``-1``, ``-2``, ... appended.
    obs, var
        Columns in order; those of var have the rows of `genes` alone.
    obsm
        Arrays by the key under which they are stored, vector fields included.
    graph, graph_facts
        None without one.
    record
        ``uns['cellucid']`` without outlier quantiles, keys in their order.
    latent
        obsm key of the latent space of the outlier quantiles; empty without them.
    min_points
        Cells of a category that has outlier quantiles, at least.
    outliers
        Numbers of the columns of `obs` that have outlier quantiles.
    missing_chunks, notes, warnings, problems
        As of `cellucid_dask.exporter.checks.survey.Catalog`.
    """

    n_cells: int
    source: Source
    genes: Genes | None = None
    gene_names: list[str] = field(default_factory=list)
    rename_cells: bool = False
    obs: list[ReadyColumn] = field(default_factory=list)
    var: list[ReadyColumn] = field(default_factory=list)
    obsm: dict[str, RowArray] = field(default_factory=dict)
    graph: Matrix | None = None
    graph_facts: GraphFacts | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    latent: str = ""
    min_points: int = 10
    outliers: list[int] = field(default_factory=list)
    missing_chunks: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def layout(self, x: MatrixLayout | None, graph_nnz: int | None) -> ReadyLayout:
        """What the file holds, given its matrix and the stored values of its graph."""
        record = dict(self.record)
        if self.latent:
            fields = {self.obs[i].layout.key: None for i in self.outliers}
            facts = {"latentKey": self.latent, "minPoints": self.min_points, "fields": fields}
            record["outlierQuantiles"] = facts
        n = self.n_cells
        return ReadyLayout(
            n,
            len(self.gene_names),
            {"title": record["name"], "cellucid": record},
            [column.layout for column in self.var],
            [column.layout for column in self.obs],
            {key: array.shape[1] for key, array in self.obsm.items()},
            x,
            None if graph_nnz is None else MatrixLayout((n, n), "<f4", graph_nnz),
        )
