"""The first pass over a matrix stored by rows: chunks of rows are cut or transposed, and spilled.

It runs once in a run, whatever is made of the spilled chunks: the folder, ready files, or both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellucid_dask.compute.shared import Shared, share
from cellucid_dask.exporter.checks.genes import Genes
from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.planning.strips import place_bounds
from cellucid_dask.exporter.recovery.resume import missing_rows
from cellucid_dask.exporter.stages.genes.cut_rows import cut_chunk
from cellucid_dask.exporter.stages.genes.spill_file import forget_spill_files
from cellucid_dask.exporter.stages.genes.transpose import transpose_chunk


class Cutting:
    """The first pass; whoever asks for its chunks first waits for it.

    Parameters
    ----------
    genes
        Strips, and the genes of transposed chunks, are in their order.
    ready
        Whether ready files are written, which ask more of the chunks than the folder.

    Attributes
    ----------
    bounds
        (n_strips + 1,) first gene of each strip, then the number of genes, once it is started;
        empty where chunks are transposed.
    """

    def __init__(self, job: Job, genes: Genes, *, ready: bool = False) -> None:
        self._job, self._genes, self._ready = job, genes, ready
        self.bounds = np.zeros(0, np.int64)
        self._began = 0.0
        self._futures: Sequence[Future[Any]] | None = None
        self._errors: list[OSError] = []  # why the journal could not record a chunk
        self._spills: list[Any] | None = None
        self._shared: Shared[list[Any]] | None = None

    def start(self) -> None:
        """Start the tasks for the cells that are not spilled yet, unless they are started."""
        if self._futures is not None:
            return
        self._began = time.perf_counter()
        job, genes = self._job, self._genes
        columns = None if genes.whole else share(job.scratch, "columns", genes.columns)
        work: Callable[..., Any] = transpose_chunk
        common: tuple[Any, ...] = (columns, job.scratch)
        if job.plan.gene_access == "cut":
            self.bounds = _bounds(job, genes)
            strips = share(job.scratch, "strips", self.bounds)
            work, common = cut_chunk, (columns, strips, job.scratch)
        if self._ready:
            work = partial(work, ready=True)
        rows = missing_rows(job.plan.row_chunks, job.finished.spills)
        tasks = [(genes.matrix, *cells, *common) for cells in rows]
        self._futures = job.engine.begin(work, tasks, in_process=job.source.local)
        for future in self._futures:
            future.add_done_callback(self._record)

    def spills(self) -> list[Any]:
        """All chunks in the order of their cells, those of a previous run included."""
        if self._spills is None:
            self.start()
            job, futures = self._job, self._futures or []
            try:
                made = job.engine.finish("transpose", futures, unit="chunks", began=self._began)
            finally:
                forget_spill_files(job.scratch)
            if self._errors:
                raise self._errors[0]
            self._spills = sorted([*job.finished.spills, *made], key=lambda spill: spill.first)
        return self._spills

    def shared_spills(self) -> Shared[list[Any]]:
        """`spills`, as tasks carry them."""
        if self._shared is None:
            self._shared = share(self._job.scratch, "spills", self.spills())
        return self._shared

    def remove_spills(self) -> None:
        """Remove the chunks, which nobody reads any more.

        What is still in memory of them need not go to the disk when the export is made durable.
        """
        with ThreadPoolExecutor() as threads:
            list(threads.map(remove_file, {spill.path for spill in self._spills or []}))

    def _record(self, future: Future[Any]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # `finish` raises it
        try:
            self._job.journal.chunk(future.result())
        except OSError as error:
            self._errors.append(error)


def remove_file(path: str) -> None:
    """Remove a file, if it is still there."""
    Path(path).unlink(missing_ok=True)


def _bounds(job: Job, genes: Genes) -> NDArray[np.int64]:
    """Bounds of the strips: those of the spill that is kept, else new ones."""
    if job.finished.spills and job.finished.strips is not None:
        return np.array(job.finished.strips, np.int64)
    bounds = place_bounds(genes, genes.columns, job.plan.n_strips)
    job.journal.strips(bounds.tolist())
    return bounds
