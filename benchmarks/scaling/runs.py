"""Run exports with a given number of worker processes, and read the stages in their reports."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks.scaling.cluster import StartWorkers
from benchmarks.shared.processes import TELLING_COMMAND, read_into_cache, run_command
from cellucid_dask.exporter.recovery.outputs import staging_folder

STAGES = ("transpose", "genes")
WORKER_MB, FIXED_MB = 1300, 400  # of --memory: for each worker, and beside them


ENDED = re.compile(r"^([a-z][a-z ]*): \d+ of \d+ .* in [\d.]+ s$", re.MULTILINE)  # of a stage
LOG_INTERVAL = 0.1  # seconds between reads of the log


@dataclass(frozen=True, slots=True)
class Run:
    """What an export took and wrote.

    Parameters
    ----------
    seconds
        By stage.
    cpu_seconds
        CPU seconds of the workers, by stage; empty where the processes are not known.
    scheduler
        CPU seconds of the scheduler.
    """

    seconds: dict[str, float]
    plan: dict[str, str]
    files: int
    size: int
    cpu_seconds: dict[str, float]
    scheduler: float

    @property
    def gene_stages(self) -> float:
        """Seconds of the two gene stages together."""
        return sum(self.seconds.get(stage, 0.0) for stage in STAGES)


def run_export(data: Path, n_workers: int, start: StartWorkers, out: Path, *options: str) -> Run:
    """Export `data` once with `n_workers` worker processes."""
    report, log = out.with_suffix(".json"), out.with_suffix(".log")
    program = [*TELLING_COMMAND, "export", str(data)]
    memory = f"{FIXED_MB + WORKER_MB * n_workers}MB"
    remove_export(out)
    log.write_bytes(b"")
    with start(n_workers) as started:
        command = [*program, "-o", str(out), "--report", str(report), "--memory", memory]
        before = _sum_cpu_seconds(started.scheduler)
        with watched_stages(log, started.workers) as cpu_seconds:
            run_command([*command, *started.options, *options], log, timeout=3600)
        scheduler = _sum_cpu_seconds(started.scheduler) - before
    values = json.loads(report.read_text())
    return Run(
        values["seconds"],
        values["plan"],
        values["files"],
        values["bytes"],
        cpu_seconds,
        scheduler,
    )


def remove_export(out: Path) -> None:
    """Remove an export, and the staging folder of a run that was stopped."""
    for folder in (out, staging_folder(out)):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def watched_stages(log: Path, workers: tuple[psutil.Process, ...]) -> Iterator[dict[str, float]]:
    """Measure the CPU seconds of the workers in each stage; the log shows where a stage ends."""
    cpu_seconds: dict[str, float] = {}
    is_over, last, seen = threading.Event(), _sum_cpu_seconds(workers), 0

    def read_log() -> None:
        nonlocal last, seen
        ended = ENDED.findall(log.read_text(errors="replace"))
        if len(ended) > seen:
            now = _sum_cpu_seconds(workers)
            cpu_seconds[ended[seen]] = cpu_seconds.get(ended[seen], 0.0) + now - last
            last, seen = now, len(ended)

    def watch() -> None:
        while not is_over.wait(LOG_INTERVAL):
            read_log()

    thread = threading.Thread(target=watch, daemon=True)
    if workers:
        thread.start()
    try:
        yield cpu_seconds
    finally:
        is_over.set()
        if workers:
            thread.join()
            read_log()


def _sum_cpu_seconds(processes: tuple[psutil.Process, ...]) -> float:
    """Sum the CPU seconds of the processes so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def run_rounds(data: Path, work: Path, start: StartWorkers, repeat: int) -> list[tuple[Run, Run]]:
    """Export with one and with two workers in turn, `repeat` times each."""
    pairs: list[tuple[Run, Run]] = []
    outputs: list[Path] = []
    read_into_cache(data)
    for turn in range(repeat):
        pair: dict[int, Run] = {}
        for n_workers in (1, 2) if turn % 2 == 0 else (2, 1):
            out = work / f"scaling-{data.suffix[1:]}-{n_workers}-{turn}"
            outputs.append(out)
            pair[n_workers] = run_export(data, n_workers, start, out)
            run = pair[n_workers]
            spent = ", ".join(
                f"{s} {run.seconds[s]:.2f} s ({run.cpu_seconds.get(s, 0):.2f} of CPU time)"
                for s in STAGES
            )
            spent += f", scheduler {run.scheduler:.2f}"
            click.echo(f"{data.name}, turn {turn + 1}, {n_workers} workers: {spent}", err=True)
        pairs.append((pair[1], pair[2]))
    for out in outputs:  # at the end: ext4 makes files more slowly after many were deleted
        remove_export(out)
    return pairs


def compute_efficiency(one: float, two: float) -> float:
    """Return the share of the linear speed-up from one to two workers."""
    return one / (2 * two)


def format_rows(name: str, pairs: list[tuple[Run, Run]]) -> list[str]:
    """Format the rows of the table: the efficiency of each stage alone, then of both."""
    found = []
    for stage in (*STAGES, "both"):
        spent = [
            tuple(r.gene_stages if stage == "both" else r.seconds[stage] for r in pair)
            for pair in pairs
        ]
        one, two = (statistics.median(side) for side in zip(*spent, strict=True))
        ratios = [compute_efficiency(*pair) for pair in spent]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        target = "at least 0.85: " + ("reached" if middle >= 0.85 else "**not reached**")
        row = f"| {name} | {stage} | {one:.2f} | {two:.2f} | {middle:.2f} | {low:.2f} to {high:.2f}"
        found.append(f"{row} | {target if stage == 'both' else ''} |")
    return found
