"""What tasks cost the scheduler: memory, CPU time, and bytes of their arguments."""

from __future__ import annotations

import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.scaling.cluster import Cluster, running_cluster
from cellucid_dask.compute.choose_cluster import choose_cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.compute.shared import Shared
from cellucid_dask.exporter.receipts import GENE_RECEIPT, GeneReceipts, StripSpill
from cellucid_dask.exporter.stages.genes.blocks import GeneSettings
from cellucid_dask.options.run import RunOptions

SECONDS = 0.05  # between samples of the memory
SCRATCH = "/scratch/project/atlases/.atlas.cellucid-staging/cellucid-dask-scratch-0123abcd"


def return_receipts(
    _settings: GeneSettings,
    _spills: Any,
    _strip: int,
    _n_genes: int,
    _wanted: NDArray[np.int64],
    numbers: NDArray[np.int64],
    _ids: Sequence[str],
    _max_bytes: int,
) -> GeneReceipts:
    """Do nothing, and return what a task that wrote the genes of a strip returns."""
    receipts = np.zeros(numbers.size, GENE_RECEIPT)
    receipts["gene"] = numbers
    receipts["size"], receipts["crc32"], receipts["hi"] = 10_000, 123_456_789, 5.0
    return receipts


def make_arguments(n_tasks: int, genes_each: int, n_spills: int) -> list[tuple[Any, ...]]:
    """Make arguments of gene tasks, of the size that they have in an export.

    Parameters
    ----------
    n_spills
        Chunks that each task gets in a list; 0 gives it the path of a file with the list.
    """
    settings = GeneSettings(
        "/scratch/project/atlases/.atlas/export", SCRATCH, 10**8, 8, 6, native=True
    )
    spills: Any = Shared(f"{SCRATCH}/spills.pickle")
    if n_spills:
        spills = [return_chunk(i, 100) for i in range(n_spills)]
    wanted = np.arange(genes_each)
    tasks = []
    for i in range(n_tasks):
        numbers = i * genes_each + wanted
        ids = [f"ENSG{number:011d}" for number in numbers]
        tasks.append((settings, spills, i, genes_each, wanted, numbers, ids, 10**9))
    return tasks


def return_chunk(number: int, n_strips: int) -> StripSpill:
    """Do nothing, and return what a task that cut a chunk at strips returns."""
    path = f"{SCRATCH}/rows-0123456789abcdef.spill"
    sizes = np.full(n_strips, 123_456, np.uint32)
    return StripSpill(path, 10**9, number, 12_000, "float32", sizes, 10**9, 10**9)


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


def measure_tasks(
    n_tasks: int, genes_each: int, n_spills: int, n_workers: int, n_strips: int = 0
) -> TaskLoad:
    """Run tasks that do nothing through the engine, on a scheduler of their own.

    Parameters
    ----------
    n_strips
        Tasks cut chunks at so many strips, instead of writing genes; 0 for tasks of genes.
    """
    work: Callable[..., Any] = return_receipts
    tasks = make_arguments(0 if n_strips else n_tasks, genes_each, n_spills)
    if n_strips:
        work, tasks = return_chunk, [(i, n_strips) for i in range(n_tasks)]
    size = len(pickle.dumps(tasks[-1]))
    with running_cluster(n_workers) as cluster, tempfile.TemporaryDirectory() as folder:
        return _run_tasks(cluster, work, tasks, size, Path(folder))


def _run_tasks(
    cluster: Cluster,
    work: Callable[..., Any],
    tasks: list[tuple[Any, ...]],
    size: int,
    folder: Path,
) -> TaskLoad:
    run, reporter = RunOptions(scheduler=str(cluster.file)), Reporter(quiet=True)
    with (
        Engine(choose_cluster(run, in_memory=False, small=False), reporter) as engine,
        engine.start_workers(folder),
        watched_processes(cluster.scheduler, psutil.Process()) as (scheduler, client),
    ):
        began = time.perf_counter()
        engine.run("tasks", work, tasks, unit="tasks")
        spent = time.perf_counter() - began
        time.sleep(1)  # in which the scheduler releases the tasks
    return TaskLoad(len(tasks), size, spent, scheduler, client)
