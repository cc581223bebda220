"""Predict time, memory and traffic of an export: the counts of its plan times measured rates.

Every stage takes the longest of what its workers compute, what the file system moves, and the
files it opens; serial parts are added. Tasks run in waves: with 1.1 tasks for each
worker a stage takes as long as with 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.scaling.hollow_atlas import VALUES, HollowAtlas
from cellucid_dask.compute.cluster import WORKER_BYTES
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.planning.memory import gene_bytes
from cellucid_dask.exporter.planning.plan import Plan, make_plan
from cellucid_dask.exporter.stages.task_counts import count_tasks
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.open import open_source

READ_BYTES = 12  # float32 values and int64 indices, as they are where nothing compresses them
SEGMENT_SIZE = 4  # bytes of the size of a segment in the receipt of its chunk
CHUNK_FACTS = 200  # bytes of such a receipt beside them: path, offset, cells


@dataclass(frozen=True, slots=True)
class Machine:
    """A cluster, as it is assumed.

    Parameters
    ----------
    memory
        Bytes of a worker.
    bandwidth
        Bytes a second that the file system reads or writes, for all workers together.
    opens
        Files a second that it opens or makes, for all workers together.
    """

    memory: int
    bandwidth: int
    opens: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a plan.

    Parameters
    ----------
    tasks
        Number of tasks of each stage.
    read, spilled, written
        Bytes.
    """

    spec: HollowAtlas
    machine: Machine
    workers: int
    plan: Plan
    tasks: Mapping[str, int]
    read: int
    spilled: int
    written: int

    @property
    def chunks(self) -> int:
        """Row chunks of the first pass."""
        return len(self.plan.row_chunks)

    @property
    def strips(self) -> int:
        """Strips of genes, which are the tasks of the second pass."""
        return self.plan.n_strips

    @property
    def spill_files(self) -> int:
        """Spill files: a worker appends all of its chunks to one."""
        return min(self.workers, self.chunks)

    @property
    def segments(self) -> int:
        """Reads of the second pass: a strip has a segment in each chunk."""
        return self.strips * self.chunks

    @property
    def opens(self) -> int:
        """How often the second pass opens a spill file, where the segments of a strip fit."""
        return self.strips * self.spill_files

    @property
    def index_bytes(self) -> int:
        """Bytes of the list of all chunks, which every worker reads once."""
        return SEGMENT_SIZE * self.segments + CHUNK_FACTS * self.chunks


class Planner:
    """Makes the plan of a hollow atlas for any number of workers."""

    def __init__(self, path: Path, spec: HollowAtlas, machine: Machine) -> None:
        self.spec, self.machine = spec, machine
        self._source = open_source(path)
        self._options = ExportOptions()
        self._catalog = survey(self._source, self._options)

    def plan(self, workers: int) -> Counts:
        """Plan as `export --workers N` does, all workers having the same memory."""
        catalog, options = self._catalog, self._options
        assert catalog.genes is not None
        share = (self.machine.memory - WORKER_BYTES) * 9 // 10
        plan = make_plan(catalog, options, share, workers, native=True)
        tasks = count_tasks(self._source, catalog, options, plan, workers)
        read = READ_BYTES * self.spec.nnz
        spilled = gene_bytes(catalog.genes) + 2 * plan.n_strips * self.spec.cells
        return Counts(
            self.spec, self.machine, workers, plan, tasks, read, spilled, plan.output_bytes
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Seconds of a stage by each bound; the stage takes the longest of them."""

    bounds: Mapping[str, float]
    tasks: int = 1

    @property
    def seconds(self) -> float:
        """Seconds that the stage takes."""
        return max(self.bounds.values())

    @property
    def bound(self) -> str:
        """The bound that takes longest."""
        return max(self.bounds, key=lambda name: self.bounds[name])


@dataclass(slots=True)
class Model:
    """The prediction for one export."""

    counts: Counts
    stages: dict[str, Stage] = field(default_factory=dict)
    scheduler_seconds: float = 0.0
    scheduler_bytes: float = 0.0
    client_bytes: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all stages; the graph runs in parallel with the others."""
        beside = self.stages["edges"].seconds
        rest = sum(s.seconds for name, s in self.stages.items() if name != "edges")
        return max(rest, beside)


def share_of_busiest_worker(tasks: int, workers: int) -> float:
    """Share of all tasks that the busiest worker runs, if all tasks are equal."""
    return ceil(tasks / workers) / max(tasks, 1)


def predict(counts: Counts, rates: Mapping[str, Any]) -> Model:
    """Predict an export from its plan and the rates of one core."""
    model = Model(counts)
    each = rates["scheduler"]
    n_tasks = sum(counts.tasks.values())
    model.scheduler_seconds = n_tasks * each["scheduler_seconds_each"]
    model.scheduler_bytes = each["scheduler_before"] + n_tasks * _bytes_per_task(each, "scheduler")
    model.client_bytes = each["client_before"] + n_tasks * _bytes_per_task(each, "client")
    _add_serial_stages(model, rates)
    _add_obs_stages(model, rates)
    _add_gene_stages(model, rates)
    for name, tasks in counts.tasks.items():
        stage = model.stages.get(name)
        if stage is not None and name != "edges":
            bounds = {**stage.bounds, "scheduler": tasks * each["seconds_each"]}
            model.stages[name] = Stage(bounds, tasks)
    return model


def _bytes_per_task(each: Mapping[str, float], who: str) -> float:
    """Return the bytes that a process holds for a task."""
    return (each[f"{who}_peak"] - each[f"{who}_before"]) / each["tasks"]


def _add_serial_stages(model: Model, rates: Mapping[str, Any]) -> None:
    """Add what the main process does alone."""
    c, files = model.counts, model.counts.plan.n_files
    file_checks = files / c.machine.opens  # each file is checked before it is published
    alone = {
        "check and plan": {"main process": c.spec.cells * rates["plan_per_cell"]},
        "manifests": {"main process": files * rates["manifests_per_file"]},
        "publish": {"main process": files * rates["publish_per_file"], "opens": file_checks},
    }
    model.stages |= {name: Stage(bounds) for name, bounds in alone.items()}


def _add_obs_stages(model: Model, rates: Mapping[str, Any]) -> None:
    """Add the obs stages: few tasks, each of very many cells."""
    c = model.counts
    cells, columns = c.spec.cells, c.spec.categorical
    work = {
        "points": cells * rates["points_per_cell"] * c.tasks["points"],
        "obs columns": cells * rates["columns_per_cell"] * c.tasks["obs columns"],
        "obs sums": cells * columns * rates["sums_per_cell"],
        "obs distances": cells * columns * rates["distances_per_cell"],
        "obs ranks": cells * columns * rates["ranks_per_cell"],
    }
    wide = 4 * cells * (c.spec.latent + 2)  # bytes of the latent space and of the points
    moved = {"obs sums": wide, "obs distances": wide + 8 * cells * columns}
    for name, seconds in work.items():
        bounds = {"workers": seconds * share_of_busiest_worker(c.tasks[name], c.workers)}
        bounds["bandwidth"] = moved.get(name, 0) / c.machine.bandwidth
        model.stages[name] = Stage(bounds, c.tasks[name])


def _add_gene_stages(model: Model, rates: Mapping[str, Any]) -> None:
    """Add both passes over the genes."""
    c, spec, machine = model.counts, model.counts.spec, model.counts.machine
    pieces = c.strips * spec.cells
    first = spec.nnz * rates["pass1_per_nnz"] + pieces * rates["pass1_per_piece"]
    second = (
        spec.nnz * rates["pass2_per_nnz"]
        + pieces * rates["pass2_per_piece"]
        + spec.cells * spec.genes * rates["pass2_per_value"]
        + spec.genes * rates["pass2_per_file"]
        + c.segments * rates["pass2_per_segment"]
    )
    model.stages["transpose"] = Stage(
        {
            "workers": first * share_of_busiest_worker(c.chunks, c.workers),
            "bandwidth": (c.read + c.spilled) / machine.bandwidth,
            "opens": (2 * spec.nnz // VALUES + 4 * c.chunks) / machine.opens,
            "main process": c.segments * rates["journal_per_segment"],
        }
    )
    model.stages["genes"] = Stage(
        {
            "workers": second * share_of_busiest_worker(c.tasks["genes"], c.workers),
            "bandwidth": (c.spilled + c.written + c.workers * c.index_bytes) / machine.bandwidth,
            "opens": (c.opens + spec.genes) / machine.opens,
            "main process": spec.genes * rates["journal_per_file"],
        }
    )
    edges = spec.cells * spec.neighbors * rates["edges_per_entry"]
    model.stages["edges"] = Stage({"workers": edges})
