"""The graph stage: one task, which runs beside the tasks of the other stages."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError, Future

from cellucid_dask.exporter.job import Job
from cellucid_dask.exporter.receipts import Edges
from cellucid_dask.exporter.stages.dataset_files import DatasetFiles
from cellucid_dask.exporter.stages.edges import write_edges


def start_edges(job: Job) -> list[Future[Edges]]:
    """Submit the task of the neighbor graph; empty without a graph or when it is finished."""
    if job.catalog.graph is None or job.finished.edges is not None:
        return []
    task = DatasetFiles.of(job).edges_task()
    futures = job.engine.begin(write_edges, [task], in_process=job.source.local)

    def record(future: Future[Edges]) -> None:
        with contextlib.suppress(CancelledError, Exception):  # `finish_edges` raises it
            job.journal.edges(future.result())

    futures[0].add_done_callback(record)
    return futures


def finish_edges(job: Job, futures: list[Future[Edges]]) -> Edges | None:
    """Wait for the task of `start_edges`; None without a graph."""
    if not futures:
        return job.finished.edges
    return job.engine.finish("edges", futures, unit="graphs")[0]
