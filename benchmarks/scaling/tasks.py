"""What tasks cost the scheduler: memory, CPU time, and bytes of their arguments."""

from __future__ import annotations

import pickle
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.scaling.cluster import Cluster, running_cluster
from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.exporter.receipts import GENE_RECEIPT, GeneReceipts, Spill
from cellucid_dask.exporter.stages.genes.blocks import GeneSettings
from cellucid_dask.options.run import RunOptions

SECONDS = 0.05  # between samples of the memory
SCRATCH = "/scratch/project/atlases/.atlas.cellucid-staging/cellucid-dask-scratch-0123abcd"


def return_receipts(
    _settings: GeneSettings, _spills: Any, start: int, ids: Sequence[str]
) -> GeneReceipts:
    """Do nothing, and return what a task that wrote genes returns."""
    receipts = np.zeros(len(ids), GENE_RECEIPT)
    receipts["gene"] = np.arange(start, start + len(ids))
    receipts["size"], receipts["crc32"], receipts["hi"] = 10_000, 123_456_789, 5.0
    return receipts


def make_arguments(n_tasks: int, genes_each: int, n_spills: int) -> list[tuple[Any, ...]]:
    """Make arguments of gene tasks, of the size that they have in an export.

    Parameters
    ----------
    n_spills
        Spill files that each task gets in a list; 0 gives it the path of a file with the list.
    """
    settings = GeneSettings(
        "/scratch/project/atlases/.atlas/export", SCRATCH, 10**8, 8, 6, native=True
    )
    spills: Any = f"{SCRATCH}/spills.json"
    if n_spills:
        spills = [
            Spill(
                f"{SCRATCH}/rows-{i}.spill", i, 12_000, 60_000, 24_000_000, "uint8", 72_480_008, i
            )
            for i in range(n_spills)
        ]
    return [
        (settings, spills, i, [f"ENSG{i * genes_each + j:011d}" for j in range(genes_each)])
        for i in range(n_tasks)
    ]


@dataclass(slots=True)
class ProcessUsage:
    """Memory and CPU time of a process while a block runs.

    Parameters
    ----------
    before, peak, after
        Resident bytes.
    seconds
        CPU time.
    """

    before: int
    peak: int = 0
    after: int = 0
    seconds: float = 0.0


@contextmanager
def watched_processes(*processes: psutil.Process) -> Iterator[list[ProcessUsage]]:
    """Watch processes while the block runs."""
    usages = [ProcessUsage(p.memory_info().rss) for p in processes]
    began = [sum(p.cpu_times()[:2]) for p in processes]
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SECONDS):
            for process, usage in zip(processes, usages, strict=True):
                usage.peak = max(usage.peak, process.memory_info().rss)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield usages
    finally:
        is_over.set()
        thread.join()
        for process, usage, start in zip(processes, usages, began, strict=True):
            usage.after = process.memory_info().rss
            usage.peak = max(usage.peak, usage.after)
            usage.seconds = sum(process.cpu_times()[:2]) - start


@dataclass(frozen=True, slots=True)
class TaskLoad:
    """What a number of tasks cost.

    Parameters
    ----------
    argument_bytes
        Of the arguments of one task, pickled.
    seconds
        From the first task submitted to the last result.
    """

    n_tasks: int
    argument_bytes: int
    seconds: float
    scheduler: ProcessUsage
    client: ProcessUsage

    def as_dict(self) -> dict[str, float]:
        """Return the figures of one task, and the memory."""
        return {
            "tasks": self.n_tasks,
            "argument_bytes": self.argument_bytes,
            "seconds_each": self.seconds / self.n_tasks,
            "scheduler_seconds_each": self.scheduler.seconds / self.n_tasks,
            "client_seconds_each": self.client.seconds / self.n_tasks,
            "scheduler_before": self.scheduler.before,
            "scheduler_peak": self.scheduler.peak,
            "scheduler_after": self.scheduler.after,
            "client_before": self.client.before,
            "client_peak": self.client.peak,
        }


def measure_tasks(n_tasks: int, genes_each: int, n_spills: int, n_workers: int) -> TaskLoad:
    """Run tasks that do nothing through the engine, on a scheduler of their own."""
    tasks = make_arguments(n_tasks, genes_each, n_spills)
    size = len(pickle.dumps(tasks[-1]))
    with running_cluster(n_workers) as cluster, tempfile.TemporaryDirectory() as folder:
        return _run_tasks(cluster, tasks, size, Path(folder))


def _run_tasks(cluster: Cluster, tasks: list[tuple[Any, ...]], size: int, folder: Path) -> TaskLoad:
    run, reporter = RunOptions(scheduler=str(cluster.file)), Reporter(quiet=True)
    with (
        Engine(choose_cluster(run, in_memory=False, small=False), reporter) as engine,
        engine.start_workers(folder),
        watched_processes(cluster.scheduler, psutil.Process()) as (scheduler, client),
    ):
        began = time.perf_counter()
        engine.run("tasks", return_receipts, tasks, unit="tasks")
        spent = time.perf_counter() - began
        time.sleep(1)  # in which the scheduler releases the tasks
    return TaskLoad(len(tasks), size, spent, scheduler, client)
