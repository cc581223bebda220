"""What tasks cost the scheduler: memory, processor time and bytes of their arguments."""

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

import psutil

from benchmarks.scaling.cluster import Cluster, cluster
from cellucid_dask.compute.engine import Engine
from cellucid_dask.compute.progress import Reporter
from cellucid_dask.encode import Range
from cellucid_dask.exporter.receipts import Spill
from cellucid_dask.exporter.stages.genes.blocks import GeneSettings
from cellucid_dask.files import Receipt
from cellucid_dask.options.run import RunOptions

SECONDS = 0.05  # between looks at the memory
SCRATCH = "/scratch/project/atlases/.atlas.cellucid-staging/cellucid-dask-scratch-0123abcd"


def idle(_settings: GeneSettings, _spills: Any, start: int, ids: Sequence[str]) -> list[Receipt]:
    """Do nothing; answer as a task that wrote genes does."""
    return [
        Receipt(f"var/{gene}.values.u8.gz", 10_000 + i, 123_456_789, Range(0.0, 5.0 + start))
        for i, gene in enumerate(ids)
    ]


def arguments(n_tasks: int, genes_each: int, n_spills: int) -> list[tuple[Any, ...]]:
    """Arguments of tasks of the second pass, of the size they really have.

    Parameters
    ----------
    n_spills
        Spill files that each task is told of one by one; 0 tells it the path of their list.
    """
    settings = GeneSettings("/scratch/project/atlases/.atlas/export", SCRATCH, 10**8, 8, 6)
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
class Watched:
    """Memory and processor time of a process over a block.

    Parameters
    ----------
    before, peak, after
        Resident bytes.
    seconds
        Of processor.
    """

    before: int
    peak: int = 0
    after: int = 0
    seconds: float = 0.0


@contextmanager
def watched(*processes: psutil.Process) -> Iterator[list[Watched]]:
    """Watch processes for as long as the block lasts."""
    found = [Watched(p.memory_info().rss) for p in processes]
    began = [sum(p.cpu_times()[:2]) for p in processes]
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS):
            for process, seen in zip(processes, found, strict=True):
                seen.peak = max(seen.peak, process.memory_info().rss)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        for process, seen, start in zip(processes, found, began, strict=True):
            seen.after = process.memory_info().rss
            seen.peak = max(seen.peak, seen.after)
            seen.seconds = sum(process.cpu_times()[:2]) - start


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of tasks took.

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
    scheduler: Watched
    client: Watched

    def as_dict(self) -> dict[str, float]:
        """Figures of one task, and the memory."""
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


def load(n_tasks: int, genes_each: int, n_spills: int, n_workers: int) -> Load:
    """Run tasks that do nothing through the engine, beside a scheduler of their own."""
    tasks = arguments(n_tasks, genes_each, n_spills)
    size = len(pickle.dumps(tasks[-1]))
    with cluster(n_workers) as there, tempfile.TemporaryDirectory() as folder:
        return _load(there, tasks, size, Path(folder))


def _load(there: Cluster, tasks: list[tuple[Any, ...]], size: int, folder: Path) -> Load:
    run, reporter = RunOptions(scheduler=str(there.file)), Reporter(quiet=True)
    with (
        Engine(run, reporter, local=False, small=False) as engine,
        engine.working(folder),
        watched(there.scheduler, psutil.Process()) as (scheduler, client),
    ):
        began = time.perf_counter()
        engine.run("tasks", idle, tasks, unit="tasks")
        spent = time.perf_counter() - began
        time.sleep(1)  # in which what is released goes
    return Load(len(tasks), size, spent, scheduler, client)
