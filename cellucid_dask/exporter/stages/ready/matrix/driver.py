"""The expression matrix of ready files: cut into units by gene, each done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.ready_receipts import ReadyWork
from cellucid_dask.exporter.stages.genes.exact_values import Exactness
from cellucid_dask.exporter.stages.genes.first_pass import Cutting
from cellucid_dask.exporter.stages.ready.chunk_writer import ChunkStores
from cellucid_dask.exporter.stages.ready.matrix.entries import find_pieces, join_pieces
from cellucid_dask.exporter.stages.ready.matrix.strips import write_strip_entries
from cellucid_dask.exporter.stages.ready.units import Unit, do_unit, open_units
from cellucid_dask.ready.layout import MatrixLayout

JOINED = 64  # chunks that are joined from pieces in one task


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
        The first pass, where the plan has one.
    """
    assert cutting is not None
    spills, bounds = cutting.spills(), cutting.bounds
    exactness = Exactness.of(Exactness(spill.whole, spill.dtype == "float64") for spill in spills)
    sizes = np.zeros(bounds.size - 1, np.int64)
    for spill in spills:
        sizes += spill.sizes
    starts = np.cumsum(sizes) - sizes
    shape = (job.catalog.n_cells, len(genes.ids))
    layout = MatrixLayout(shape, exactness.dtype, int(sizes.sum()))
    every, room = cutting.shared_spills(), job.plan.worker_bytes
    units = []
    for strip, (first, last) in enumerate(pairwise(bounds.tolist())):
        key = f"X/{first}-{last}"
        facts = (strip, last - first, int(starts[strip]), room)
        units.append(Unit(key, write_strip_entries, (stores, key, layout, every, *facts)))
    works = run_units(job, "matrix", units, finished)
    counts = [count for work in works for count in work.facts["counts"]]
    pointers = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    pieces = find_pieces(layout, works)
    edges = [
        Unit(key, join_pieces, (stores, key, layout, pieces[i : i + JOINED]))
        for i in range(0, len(pieces), JOINED)
        for key in [f"X/edges-{i}"]
    ]
    works += run_units(job, "matrix edges", edges, finished)
    return WrittenMatrix(layout, pointers, works)


def run_units(
    job: Job, stage: str, units: Sequence[Unit], finished: Sequence[ReadyWork]
) -> list[ReadyWork]:
    """Do the units that are not finished; the work of all, in their order."""
    done = {work.key: work for work in finished}
    made = job.engine.run(
        stage,
        do_unit,
        [(unit,) for unit in open_units(units, finished)],
        on_result=lambda _, work: job.journal.ready(work),
    )
    done.update((work.key, work) for work in made)
    return [done[unit.key] for unit in units]
