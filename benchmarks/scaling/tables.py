"""The tables of docs/explanation/scaling.md: what the model predicts for each number of workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.filesize import decimal

from benchmarks.scaling.model import Model, Stage
from cellucid_dask.compute.cluster import GROWTH_BYTES, WORKER_BYTES

OBS = ("points", "obs columns", "obs sums", "obs distances", "obs ranks")


def format_tables(models: Sequence[Model]) -> list[str]:
    """Format the three Markdown tables of one atlas."""
    c = models[0].counts
    head = (
        f"{c.spec.cells:,} cells, {c.spec.genes:,} genes, {c.spec.nnz:,} stored values "
        f"({c.spec.per_cell:,} a cell), {c.spec.categorical} categorical and "
        f"{c.spec.continuous} continuous columns."
    )
    return [
        head,
        "",
        *_format_times(models),
        "",
        *_format_traffic(models),
        "",
        *_format_load(models),
    ]


def format_row(cells: Sequence[str]) -> str:
    """Format a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def format_header(cells: str) -> list[str]:
    """Format the header of a Markdown table."""
    return [f"| {cells} |", "|---:" * len(cells.split("|")) + "|"]


def format_seconds(seconds: float) -> str:
    """Format a time as seconds, minutes or hours, with two digits."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 10 else f"{number:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _format_times(models: Sequence[Model]) -> list[str]:
    lines = format_header("workers | check, plan | obs | transpose | genes | rest | edges | all")
    for model in models:
        stages = model.stages

        def format_stages(*names: str, stages: Mapping[str, Stage] = stages) -> str:
            text = format_seconds(sum(stages[name].seconds for name in names))
            bounds = {stages[name].bound for name in names} - {"workers"}
            return f"{text} ({', '.join(sorted(bounds))})" if len(names) == 1 and bounds else text

        lines.append(
            format_row(
                [
                    f"{model.counts.workers:,}",
                    format_seconds(stages["check and plan"].seconds),
                    format_stages(*OBS),
                    format_stages("transpose"),
                    format_stages("genes"),
                    format_stages("manifests", "publish"),
                    format_stages("edges"),
                    format_seconds(model.total),
                ]
            )
        )
    return lines


def _format_traffic(models: Sequence[Model]) -> list[str]:
    lines = format_header(
        "workers | read | spilled, read back | written | files | chunks | strips | "
        "values of a row in a strip | opens of pass 2 | reads of pass 2 | bytes of a read | "
        "list of chunks | keeps up with, pass 1, 2"
    )
    for model in models:
        c = model.counts
        one = (c.read + c.spilled) / model.stages["transpose"].bounds["workers"]
        two = (c.spilled + c.written) / model.stages["genes"].bounds["workers"]
        lines.append(
            format_row(
                [
                    f"{c.workers:,}",
                    *(decimal(n) for n in (c.read, c.spilled, c.written)),
                    f"{c.plan.n_files:,}",
                    f"{c.chunks:,}",
                    f"{c.strips:,}",
                    f"{c.spec.per_cell / c.strips:.1f}",
                    f"{c.opens:,}",
                    f"{c.segments:,}",
                    decimal(c.spilled // c.segments),
                    decimal(c.index_bytes),
                    f"{decimal(int(one))}/s, {decimal(int(two))}/s",
                ]
            )
        )
    return lines


def _format_load(models: Sequence[Model]) -> list[str]:
    lines = format_header(
        "workers | tasks: obs | transpose | genes | memory of a task | "
        "memory of all workers | scheduler, CPU | scheduler, memory | main process, memory | "
        "files made a second"
    )
    for model in models:
        c, stages = model.counts, model.stages
        n_obs = sum(c.tasks.get(name, 0) for name in (*OBS, "obs means", "vectors"))
        lines.append(
            format_row(
                [
                    f"{c.workers:,}",
                    f"{n_obs:,}",
                    *(f"{c.tasks.get(n, 0):,}" for n in ("transpose", "genes")),
                    decimal(c.plan.peak_bytes),
                    decimal((c.plan.peak_bytes + WORKER_BYTES) * c.workers),
                    format_seconds(model.scheduler_seconds),
                    decimal(int(model.scheduler_bytes)),
                    decimal(int(model.client_bytes + GROWTH_BYTES)),
                    f"{c.spec.genes / stages['genes'].seconds:,.0f}",
                ]
            )
        )
    return lines
