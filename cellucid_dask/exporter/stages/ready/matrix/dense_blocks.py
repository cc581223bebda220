"""Units of a dense X: blocks of complete chunks of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.cuts import strip_width
from cellucid_dask.exporter.planning.memory import strip_bytes
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.driver import balanced, gene_blocks, sum_spilled
from cellucid_dask.exporter.stages.genes.exact_values import Exactness, are_whole
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.matrix.blocks import (
    SURVEYED,
    WRITTEN,
    Cut,
    block_key,
    finished_blocks,
    open_runs,
)
from cellucid_dask.exporter.stages.ready.matrix.dense import survey_dense, write_dense
from cellucid_dask.exporter.stages.ready.matrix.sparse_blocks import exactness_of
from cellucid_dask.exporter.stages.ready.matrix.spilled import write_spilled_dense
from cellucid_dask.exporter.stages.ready.units import Unit, run_units
from cellucid_dask.ready.facts import may_need_float64
from cellucid_dask.ready.layout import MatrixLayout, dense_node
from cellucid_dask.source.arrays.dense_matrix import DenseMatrix

Written: TypeAlias = tuple[MatrixLayout, list[ReadyWork]]
SAMPLE_BYTES = 1 << 20  # of the first rows, of which one value that is not whole decides the type


def write_dense_blocks(
    job: Job,
    stores: ChunkStores,
    genes: Genes,
    finished: Sequence[ReadyWork],
    cutting: Cutting | None,
) -> Written:
    """Write a dense X; works in the order of the genes."""
    shape = (job.catalog.n_cells, len(genes.ids))
    width = dense_node("X", MatrixLayout(shape, "<f4", None)).chunks[1]
    done = finished_blocks(WRITTEN, finished)
    todo, matrix = open_runs(done, shape[1]), genes.matrix
    assert isinstance(matrix, DenseMatrix)
    if cutting is not None:
        spills, every = cutting.spills(), cutting.shared_spills()
        layout = MatrixLayout(shape, exactness_of(spills).dtype, None)
        groups = np.add.reduceat(
            sum_spilled(job, spills, every, shape[1]), np.arange(0, shape[1], width)
        )
        runs = [(start // width, -(-stop // width)) for start, stop in todo]
        cuts = [
            (start * width, min(stop * width, shape[1]))
            for start, stop in gene_blocks(job, groups, runs, len(spills))
        ]
        units = [
            Unit(key, write_spilled_dense, (stores, key, layout, every, *cut))
            for cut in cuts
            for key in [block_key(WRITTEN, cut)]
        ]
        works = run_units(job, "matrix", units, (), here=False)
    else:
        layout = MatrixLayout(shape, _survey(job, genes, matrix, finished).dtype, None)
        cuts = _cut(job, genes, todo, width)
        units = [
            Unit(
                key, write_dense, (stores, key, layout, matrix, genes.columns[slice(*cut)], cut[0])
            )
            for cut in cuts
            for key in [block_key(WRITTEN, cut)]
        ]
        works = run_units(job, "matrix", units, (), here=job.source.local)
    done |= dict(zip(cuts, works, strict=True))
    return layout, [done[cut] for cut in sorted(done)]


def _survey(
    job: Job, genes: Genes, matrix: DenseMatrix, finished: Sequence[ReadyWork]
) -> Exactness:
    """What decides the type of the values; it takes a look at all only where it may be float64."""
    if not may_need_float64(matrix.dtype) or not are_whole(_sample(matrix)[:, genes.columns]):
        return Exactness(whole=False)
    surveyed = finished_blocks(SURVEYED, finished)
    cuts = _cut(job, genes, open_runs(surveyed, len(genes.ids)), 1)
    units = [
        Unit(key, survey_dense, (key, matrix, genes.columns[slice(*cut)]))
        for cut in cuts
        for key in [block_key(SURVEYED, cut)]
    ]
    works = run_units(job, "matrix survey", units, (), here=job.source.local)
    facts = [work.facts for work in [*surveyed.values(), *works]]
    return Exactness.of(Exactness(found["whole"], found["large"]) for found in facts)


def _sample(matrix: DenseMatrix) -> NDArray[Any]:
    """The first rows."""
    rows = max(1, SAMPLE_BYTES // max(1, matrix.shape[1] * matrix.dtype.itemsize))
    return np.asarray(matrix.read(slice(0, min(rows, matrix.shape[0])), slice(None)))


def _cut(job: Job, genes: Genes, todo: Sequence[Cut], width: int) -> list[Cut]:
    """Blocks of genes, of complete chunks of `width` columns."""
    assert isinstance(genes.matrix, DenseMatrix)
    left = sum(stop - start for start, stop in todo) * strip_bytes(genes.matrix)
    step = strip_width(genes, balanced(left, job.plan.block_bytes, job.engine.slots))
    step = max(width, step - step % width)
    return [
        (low, min(low + step, stop)) for start, stop in todo for low in range(start, stop, step)
    ]
