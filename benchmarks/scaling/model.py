"""Time, memory and traffic of exports that were never run: counts of real plans times rates.

Every stage takes the longest of what its workers compute, what the file system moves, and the
files it opens; serial parts are added. Tasks run in waves: with 1.1 tasks a worker a stage takes
as long as with 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from benchmarks.scaling.hollow_atlas import VALUES, Hollow
from cellucid_dask.compute.engine import GROWTH_BYTES
from cellucid_dask.compute.local_cluster import WORKER_BYTES
from cellucid_dask.exporter.checks.survey import survey
from cellucid_dask.exporter.plan import Plan, make_plan, spill_bytes
from cellucid_dask.exporter.stages.task_counts import count_tasks
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.source.core import open_source

READ_BYTES = 12  # float32 values and int64 indices, as they are where nothing compresses them


@dataclass(frozen=True, slots=True)
class Machine:
    """What is assumed of a cluster, and not measured here.

    Parameters
    ----------
    memory
        Bytes of a worker.
    bandwidth
        Bytes that the file system reads or writes in a second, for all workers together.
    opens
        Files that it opens or makes in a second, for all workers together.
    """

    memory: int
    bandwidth: int
    opens: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What a plan says that will be done.

    Parameters
    ----------
    tasks
        Of each stage.
    read, spilled, written
        Bytes.
    """

    spec: Hollow
    there: Machine
    workers: int
    plan: Plan
    tasks: Mapping[str, int]
    read: int
    spilled: int
    written: int

    @property
    def chunks(self) -> int:
        """Spill files."""
        return len(self.plan.row_chunks)

    @property
    def requests(self) -> int:
        """Reads of the second pass: pointers, rows and values of each block in each file."""
        return 3 * self.tasks["genes"] * self.chunks

    @property
    def opens(self) -> int:
        """Times that the second pass opens a spill file."""
        return self.tasks["genes"] * self.chunks


class Planner:
    """Makes the plan of a hollow atlas for any number of workers."""

    def __init__(self, path: Path, spec: Hollow, there: Machine) -> None:
        self.spec, self.there = spec, there
        self._source = open_source(path)
        self._options = ExportOptions()
        self._catalog = survey(self._source, self._options)

    def plan(self, workers: int) -> Counts:
        """Plan as `export --workers N` does, all workers having the same memory."""
        catalog, options = self._catalog, self._options
        assert catalog.genes is not None
        share = (self.there.memory - WORKER_BYTES) * 9 // 10
        plan = make_plan(catalog, options, share, workers)
        tasks = count_tasks(self._source, catalog, options, plan, workers)
        read = READ_BYTES * self.spec.nnz
        spilled = spill_bytes(catalog.genes)
        spilled += 8 * len(plan.row_chunks) * (self.spec.genes + 1)
        return Counts(self.spec, self.there, workers, plan, tasks, read, spilled, plan.output_bytes)


@dataclass(frozen=True, slots=True)
class Stage:
    """Seconds of a stage by what bounds it; it takes the longest of them."""

    bounds: Mapping[str, float]
    tasks: int = 1

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return max(self.bounds.values())

    @property
    def bound(self) -> str:
        """What takes longest."""
        return max(self.bounds, key=lambda name: self.bounds[name])


@dataclass(slots=True)
class Model:
    """What is predicted of one export."""

    counts: Counts
    stages: dict[str, Stage] = field(default_factory=dict)
    scheduler_seconds: float = 0.0
    scheduler_bytes: float = 0.0
    client_bytes: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all stages; the graph runs beside the others, before the genes end."""
        beside = self.stages["edges"].seconds
        rest = sum(s.seconds for name, s in self.stages.items() if name != "edges")
        return max(rest, beside)


def waves(tasks: int, workers: int) -> float:
    """Tasks that the busiest worker does, were all alike, as a share of all."""
    return ceil(tasks / workers) / max(tasks, 1)


def predicted(counts: Counts, rates: Mapping[str, Any]) -> Model:
    """Predict an export from its plan and the rates of one core."""
    model = Model(counts)
    each = rates["scheduler"]
    n_tasks = sum(counts.tasks.values())
    model.scheduler_seconds = n_tasks * each["scheduler_seconds_each"]
    model.scheduler_bytes = each["scheduler_before"] + n_tasks * _held(each, "scheduler")
    model.client_bytes = each["client_before"] + n_tasks * _held(each, "client")
    _serial(model, rates)
    _obs(model, rates)
    _passes(model, rates)
    for name, tasks in counts.tasks.items():
        stage = model.stages.get(name)
        if stage is not None and name != "edges":
            bounds = {**stage.bounds, "scheduler": tasks * each["seconds_each"]}
            model.stages[name] = Stage(bounds, tasks)
    return model


def _held(each: Mapping[str, float], who: str) -> float:
    """Bytes that a process holds for a task."""
    return (each[f"{who}_peak"] - each[f"{who}_before"]) / each["tasks"]


def _serial(model: Model, rates: Mapping[str, Any]) -> None:
    """What the main process does alone."""
    c, files = model.counts, model.counts.plan.n_files
    looks = files / c.there.opens  # at each file, whether it is there and whole
    alone = {
        "check and plan": {"main process": c.spec.cells * rates["plan_per_cell"]},
        "manifests": {"main process": files * rates["manifests_per_file"]},
        "publish": {"main process": files * rates["publish_per_file"], "opens": looks},
    }
    model.stages |= {name: Stage(bounds) for name, bounds in alone.items()}


def _obs(model: Model, rates: Mapping[str, Any]) -> None:
    """The stages of obs: few tasks, each of very many cells."""
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
        bounds = {"workers": seconds * waves(c.tasks[name], c.workers)}
        bounds["bandwidth"] = moved.get(name, 0) / c.there.bandwidth
        model.stages[name] = Stage(bounds, c.tasks[name])


def _passes(model: Model, rates: Mapping[str, Any]) -> None:
    """Both passes, and what is between them."""
    c, spec, there = model.counts, model.counts.spec, model.counts.there
    pieces = c.chunks * spec.genes
    first = spec.nnz * rates["pass1_per_nnz"] + pieces * rates["pass1_per_piece"]
    second = (
        spec.nnz * rates["pass2_per_nnz"]
        + spec.cells * spec.genes * rates["pass2_per_value"]
        + pieces * rates["pass2_per_piece"]
        + spec.genes * rates["pass2_per_file"]
    )
    groups = c.tasks.get("spill sizes", 1)
    model.stages["transpose"] = Stage(
        {
            "workers": first * waves(c.chunks, c.workers),
            "bandwidth": (c.read + c.spilled) / there.bandwidth,
            "opens": (2 * spec.nnz // VALUES + 4 * c.chunks) / there.opens,
        }
    )
    model.stages["spill sizes"] = Stage(
        {
            "workers": pieces * rates["pointers_per_gene"] * waves(groups, c.workers),
            "bandwidth": 8 * pieces / there.bandwidth,
        }
    )
    model.stages["genes"] = Stage(
        {
            "workers": second * waves(c.tasks["genes"], c.workers),
            "bandwidth": (c.spilled + c.written) / there.bandwidth,
            "opens": (c.opens + spec.genes) / there.opens,
            "main process": spec.genes * rates["journal_per_file"],
        }
    )
    edges = spec.cells * spec.neighbors * rates["edges_per_entry"]
    model.stages["edges"] = Stage({"workers": edges})


# ------------------------------------------------------------------------------------- tables

OBS = ("points", "obs columns", "obs sums", "obs distances", "obs ranks")


def tables(models: Sequence[Model]) -> list[str]:
    """Tables in Markdown of one atlas."""
    c = models[0].counts
    head = (
        f"{c.spec.cells:,} cells, {c.spec.genes:,} genes, {c.spec.nnz:,} stored values "
        f"({c.spec.per_cell:,} a cell), {c.spec.categorical} categorical and "
        f"{c.spec.continuous} continuous columns."
    )
    return [head, "", *_times(models), "", *_traffic(models), "", *_load(models)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _header(cells: str) -> list[str]:
    return [f"| {cells} |", "|---:" * len(cells.split("|")) + "|"]


def spoken(seconds: float) -> str:
    """Seconds, minutes or hours, to two figures."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 10 else f"{number:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _times(models: Sequence[Model]) -> list[str]:
    found = _header("workers | check, plan | obs | transpose | sizes | genes | rest | edges | all")
    for model in models:
        stages = model.stages

        def told(*names: str, stages: Mapping[str, Stage] = stages) -> str:
            text = spoken(sum(stages[name].seconds for name in names))
            bounds = {stages[name].bound for name in names} - {"workers"}
            return f"{text} ({', '.join(sorted(bounds))})" if len(names) == 1 and bounds else text

        found.append(
            _row(
                [
                    f"{model.counts.workers:,}",
                    spoken(stages["check and plan"].seconds),
                    told(*OBS),
                    told("transpose"),
                    told("spill sizes"),
                    told("genes"),
                    told("manifests", "publish"),
                    told("edges"),
                    spoken(model.total),
                ]
            )
        )
    return found


def _traffic(models: Sequence[Model]) -> list[str]:
    found = _header(
        "workers | read | spilled, read back | written | files | spill files | "
        "opens of pass 2 | reads of pass 2 | bytes of a piece | keeps up with, pass 1, 2"
    )
    for model in models:
        c = model.counts
        one = (c.read + c.spilled) / model.stages["transpose"].bounds["workers"]
        two = (c.spilled + c.written) / model.stages["genes"].bounds["workers"]
        found.append(
            _row(
                [
                    f"{c.workers:,}",
                    *(decimal(n) for n in (c.read, c.spilled, c.written)),
                    f"{c.plan.n_files:,}",
                    f"{c.chunks:,}",
                    f"{c.opens:,}",
                    f"{c.requests:,}",
                    decimal(c.spilled // c.opens),
                    f"{decimal(int(one))}/s, {decimal(int(two))}/s",
                ]
            )
        )
    return found


def _load(models: Sequence[Model]) -> list[str]:
    found = _header(
        "workers | tasks: obs | transpose | sizes | genes | memory of a task | "
        "memory of all workers | scheduler, CPU | scheduler, memory | main process, memory | "
        "files made a second"
    )
    for model in models:
        c, stages = model.counts, model.stages
        n_obs = sum(c.tasks.get(name, 0) for name in (*OBS, "obs means", "vectors"))
        found.append(
            _row(
                [
                    f"{c.workers:,}",
                    f"{n_obs:,}",
                    *(f"{c.tasks.get(n, 0):,}" for n in ("transpose", "spill sizes", "genes")),
                    decimal(c.plan.peak_bytes),
                    decimal((c.plan.peak_bytes + WORKER_BYTES) * c.workers),
                    spoken(model.scheduler_seconds),
                    decimal(int(model.scheduler_bytes)),
                    decimal(int(model.client_bytes + GROWTH_BYTES)),
                    f"{c.spec.genes / stages['genes'].seconds:,.0f}",
                ]
            )
        )
    return found
