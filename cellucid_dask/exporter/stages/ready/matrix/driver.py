"""The expression matrix of ready files: cut into units by gene, each done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.matrix.blocks import (
    WRITTEN,
    finished_blocks,
    open_runs,
)
from cellucid_dask.exporter.stages.ready.matrix.dense_blocks import write_dense_blocks
from cellucid_dask.exporter.stages.ready.matrix.entries import (
    Piece,
    array_nodes,
    find_pieces,
    join_pieces,
)
from cellucid_dask.exporter.stages.ready.matrix.sparse_blocks import (
    write_column_blocks,
    write_spilled_blocks,
    write_strips,
)
from cellucid_dask.exporter.stages.ready.units import Unit, run_units
from cellucid_dask.ready.layout import MatrixLayout

JOINED = 64  # chunks that are joined from pieces in one task
Written: TypeAlias = tuple[MatrixLayout, list[ReadyWork]]


@dataclass(frozen=True, slots=True, eq=False)
class WrittenMatrix:
    """X as it was written.

    Parameters
    ----------
    layout
        Its shape, its type, and how many values it stores.
    pointers
        (n_genes + 1,) where the entries of each gene begin; None of a dense matrix.
    works
        With the receipts of all chunks.
    """

    layout: MatrixLayout
    pointers: NDArray[np.int64] | None
    works: list[ReadyWork]


def write_matrix(
    job: Job,
    stores: ChunkStores,
    genes: Genes,
    finished: Sequence[ReadyWork],
    cutting: Cutting | None,
) -> WrittenMatrix:
    """Write X.

    Parameters
    ----------
    finished
        What a previous run has written, which is not written again.
    cutting
        The first pass, where the plan has one; it is not run where X is finished.

    Raises
    ------
    InputError
        When a value is NaN, infinite, or beyond float32.
    """
    if not is_matrix_open(genes, finished):
        layout, works = _take_over(job, genes, finished)
    elif not genes.matrix.is_sparse:
        layout, works = write_dense_blocks(job, stores, genes, finished, cutting)
    elif cutting is None:
        layout, works = write_column_blocks(job, stores, genes, finished)
    elif job.plan.gene_access == "cut":
        layout, works = write_strips(job, stores, genes, finished, cutting)
    else:
        layout, works = write_spilled_blocks(job, stores, genes, finished, cutting)
    if layout.nnz is None:
        return WrittenMatrix(layout, None, works)
    counts = [count for work in works for count in work.facts["counts"]]
    pointers = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    works = [*works, *_write_edges(job, stores, layout, works, finished)]
    return WrittenMatrix(layout, pointers, works)


def is_matrix_open(genes: Genes, finished: Sequence[ReadyWork]) -> bool:
    """Whether entries of X are left to be written, for which the first pass is needed."""
    return bool(open_runs(finished_blocks(WRITTEN, finished), len(genes.ids)))


def _take_over(job: Job, genes: Genes, finished: Sequence[ReadyWork]) -> Written:
    """X of which all blocks are finished."""
    works = list(finished_blocks(WRITTEN, finished).values())
    dtype = next((str(work.facts["dtype"]) for work in works), "<f4")
    nnz = None
    if genes.matrix.is_sparse:
        nnz = sum(sum(work.facts["counts"]) for work in works)
    return MatrixLayout((job.catalog.n_cells, len(genes.ids)), dtype, nnz), works


def _write_edges(
    job: Job,
    stores: ChunkStores,
    layout: MatrixLayout,
    works: Sequence[ReadyWork],
    finished: Sequence[ReadyWork],
) -> list[ReadyWork]:
    """Write the chunks that are in the entries of more than one work."""
    chunks = find_pieces(layout, works)
    groups = {
        f"X/edges-{i // JOINED}": chunks[i : i + JOINED] for i in range(0, len(chunks), JOINED)
    }
    done = [w for w in finished if w.key in groups and _has_joined(w, layout, groups[w.key])]
    units = [Unit(key, join_pieces, (stores, key, layout, group)) for key, group in groups.items()]
    return run_units(job, "matrix edges", units, done, here=False)


def _has_joined(work: ReadyWork, layout: MatrixLayout, chunks: Sequence[Sequence[Piece]]) -> bool:
    """Whether a work is that of these pieces: with other blocks, other chunks were in pieces."""
    data, _ = array_nodes(layout)
    stored = [
        stored.chunks["chunk"].tolist() for stored in work.chunks if stored.array == data.path
    ]
    wanted = [pieces[0].chunk(layout) for pieces in chunks]
    return bool(stored) and all(found == wanted for found in stored)
