"""The tables of docs/explanation/scaling.md for ready files: what the model predicts, checked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.filesize import decimal

from benchmarks.scaling.model import Stage
from benchmarks.scaling.ready_model import ReadyModel
from benchmarks.scaling.ready_rates import ReadyRun
from benchmarks.scaling.tables import format_header, format_row, format_seconds

CELLS = ("tables", "arrays of cells", "graph", "outlier quantiles")
OF_MAIN = ("check", "assemble", "publish")  # stages without tasks for workers


def format_ready_tables(models: Sequence[ReadyModel]) -> list[str]:
    """Format the two Markdown tables of one atlas."""
    return [*_format_times(models), "", *_format_counts(models)]


def _format_stage(stage: Stage) -> str:
    bound = "" if stage.bound == "workers" else f" ({stage.bound})"
    return f"{format_seconds(stage.seconds)}{bound}"


def _format_times(models: Sequence[ReadyModel]) -> list[str]:
    lines = format_header(
        "format | workers | check | tables, obsm | graph | outliers | transpose | matrix | shards "
        "| assemble | publish | all"
    )
    for model in models:
        stages = model.stages
        cells = stages["tables"].seconds + stages["arrays of cells"].seconds
        named = (
            "graph",
            "outlier quantiles",
            "transpose",
            "matrix",
            "shards",
            "assemble",
            "publish",
        )
        lines.append(
            format_row(
                [
                    model.counts.format,
                    f"{model.counts.workers:,}",
                    format_seconds(stages["check"].seconds),
                    format_seconds(cells),
                    *(_format_stage(stages[n]) if n in stages else "" for n in named),
                    format_seconds(model.total),
                ]
            )
        )
    return lines


def _format_counts(models: Sequence[ReadyModel]) -> list[str]:
    lines = format_header(
        "format | workers | output of X | spilled | files | chunks | strips | shards | "
        "memory of a task | main process, memory of lists | files made a second"
    )
    for model in models:
        c = model.counts
        made = c.shards / model.stages["shards"].seconds if c.shards else c.x_chunks
        made = made if c.shards else made / model.stages["matrix"].seconds
        lines.append(
            format_row(
                [
                    c.format,
                    f"{c.workers:,}",
                    decimal(model.x_bytes),
                    decimal(model.spilled),
                    f"{c.files:,}",
                    f"{c.chunks:,}",
                    f"{c.plan.n_strips:,}",
                    f"{c.shards:,}",
                    decimal(c.plan.peak_bytes),
                    decimal(model.main_bytes),
                    f"{made:,.0f}" if c.is_store else "",
                ]
            )
        )
    return lines


def format_check(predicted: ReadyModel, measured: ReadyRun) -> list[str]:
    """Format CPU seconds of the workers, predicted and measured, stage by stage."""
    lines = format_header("stage | predicted, CPU s | measured, CPU s | predicted / measured")
    sums = [0.0, 0.0]
    for stage, expected in predicted.cpu_seconds.items():
        if stage in OF_MAIN:
            continue
        found = measured.cpu(stage)
        sums = [sums[0] + expected, sums[1] + found]
        lines.append(_format_pair(stage, expected, found))
    lines.append(_format_pair("all of the workers", *sums))
    n_strips = measured.run.plan["gene blocks"].split()[0]
    seconds = sum(measured.run.seconds.values())
    note = (
        f"strips: {predicted.counts.plan.n_strips} predicted, {n_strips} made; "
        f"{predicted.total:.1f} s predicted where nothing else runs, {seconds:.1f} s measured"
    )
    return [*lines, "", note, ""]


def _format_pair(stage: str, expected: float, found: float) -> str:
    ratio = f"{expected / found:.2f}" if found > 0.2 else ""
    return format_row([stage, f"{expected:.2f}", f"{found:.2f}", ratio])
