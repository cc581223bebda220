"""Units of a sparse X: strips of a matrix by rows, or blocks of genes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.receipts import Spill, StripSpill
from cellucid_dask.exporter.stages.genes.driver import (
    SPARSE_BYTES,
    column_bytes,
    gene_blocks,
    sum_spilled,
)
from cellucid_dask.exporter.stages.genes.exact_values import Exactness
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.matrix.blocks import (
    SURVEYED,
    WRITTEN,
    block_key,
    finished_blocks,
    open_runs,
)
from cellucid_dask.exporter.stages.ready.matrix.columns import survey_columns, write_columns
from cellucid_dask.exporter.stages.ready.matrix.spilled import ENTRY_BYTES, write_spilled_entries
from cellucid_dask.exporter.stages.ready.matrix.strips import write_strip_entries
from cellucid_dask.exporter.stages.ready.units import Unit, run_units
from cellucid_dask.ready.layout import MatrixLayout
from cellucid_dask.source.arrays.sparse_matrix import SparseMatrix

Written: TypeAlias = tuple[MatrixLayout, list[ReadyWork]]


def write_strips(
    job: Job,
    stores: ChunkStores,
    genes: Genes,
    finished: Sequence[ReadyWork],
    cutting: Cutting,
) -> Written:
    """Write X of a matrix that the first pass cuts at strips; works in the order of the genes."""
    spills, bounds = cutting.spills(), cutting.bounds
    sizes = np.zeros(bounds.size - 1, np.int64)
    for spill in spills:
        sizes += spill.sizes
    starts, layout = _lay_out(job, genes, sizes, exactness_of(spills))
    every, room = cutting.shared_spills(), job.plan.worker_bytes
    units = []
    for strip, (first, last) in enumerate(pairwise(bounds.tolist())):
        key = block_key(WRITTEN, (first, last))
        facts = (strip, last - first, int(starts[strip]), room)
        units.append(Unit(key, write_strip_entries, (stores, key, layout, every, *facts)))
    return layout, run_units(job, "matrix", units, finished, here=False)


def write_spilled_blocks(
    job: Job,
    stores: ChunkStores,
    genes: Genes,
    finished: Sequence[ReadyWork],
    cutting: Cutting,
) -> Written:
    """Write X of a matrix that the first pass transposes; works in the order of the genes."""
    spills, every, n_genes = cutting.spills(), cutting.shared_spills(), len(genes.ids)
    counts = sum_spilled(job, spills, every, n_genes) // SPARSE_BYTES
    starts, layout = _lay_out(job, genes, counts, exactness_of(spills))
    done = finished_blocks(WRITTEN, finished)
    cuts = gene_blocks(job, counts * ENTRY_BYTES, open_runs(done, n_genes), len(spills))
    units = []
    for cut in cuts:
        key = block_key(WRITTEN, cut)
        facts = (stores, key, layout, every, *cut, int(starts[cut[0]]))
        units.append(Unit(key, write_spilled_entries, facts))
    done |= dict(zip(cuts, run_units(job, "matrix", units, (), here=False), strict=True))
    return layout, [done[cut] for cut in sorted(done)]


def write_column_blocks(
    job: Job, stores: ChunkStores, genes: Genes, finished: Sequence[ReadyWork]
) -> Written:
    """Write X of a CSC matrix; works in the order of the genes."""
    matrix, columns, n_genes = genes.matrix, genes.columns, len(genes.ids)
    assert isinstance(matrix, SparseMatrix)
    weights, here = column_bytes(matrix, columns), job.source.local
    surveyed = finished_blocks(SURVEYED, finished)
    cuts = gene_blocks(job, weights, open_runs(surveyed, n_genes))
    units = []
    for cut in cuts:
        key = block_key(SURVEYED, cut)
        units.append(Unit(key, survey_columns, (key, matrix, columns[slice(*cut)])))
    works = run_units(job, "matrix survey", units, (), here=here)
    surveyed |= dict(zip(cuts, works, strict=True))
    facts = [surveyed[cut].facts for cut in sorted(surveyed)]
    counts = np.array([count for found in facts for count in found["counts"]], np.int64)
    exactness = Exactness.of(Exactness(found["whole"], found["large"]) for found in facts)
    starts, layout = _lay_out(job, genes, counts, exactness)
    done = finished_blocks(WRITTEN, finished)
    cuts = gene_blocks(job, weights, open_runs(done, n_genes))
    units = []
    for cut in cuts:
        key = block_key(WRITTEN, cut)
        what = (matrix, columns[slice(*cut)], int(starts[cut[0]]))
        units.append(Unit(key, write_columns, (stores, key, layout, *what)))
    done |= dict(zip(cuts, run_units(job, "matrix", units, (), here=here), strict=True))
    return layout, [done[cut] for cut in sorted(done)]


def exactness_of(spills: Sequence[Spill | StripSpill]) -> Exactness:
    """What decides the type of the values, of all spilled chunks."""
    return Exactness.of(Exactness(spill.whole, spill.dtype == "float64") for spill in spills)


def _lay_out(
    job: Job, genes: Genes, counts: NDArray[np.int64], exactness: Exactness
) -> tuple[NDArray[np.int64], MatrixLayout]:
    """Number of the first entry of each strip or gene, from their counts; the layout of X."""
    shape = (job.catalog.n_cells, len(genes.ids))
    layout = MatrixLayout(shape, exactness.dtype, int(counts.sum()))
    return np.cumsum(counts) - counts, layout
