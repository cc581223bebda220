"""Exports with a given number of worker processes, and what their reports say of the stages."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks.scaling.cluster import Start
from benchmarks.shared.processes import read_into_cache, run_command
from cellucid_dask.exporter.recovery.previous_run import staging_folder

STAGES = ("transpose", "genes")
WORKER_MB, FIXED_MB = 1300, 400  # of --memory: for each worker, and beside them


ENDED = re.compile(r"^([a-z][a-z ]*): \d+ of \d+ .* in [\d.]+ s$", re.MULTILINE)  # of a stage
LOOKS = 0.1  # seconds between looks at the log


@dataclass(frozen=True, slots=True)
class Run:
    """What an export took and wrote.

    Parameters
    ----------
    seconds
        By stage.
    busy
        Processor seconds of the workers, by stage; empty where the processes are not known.
    scheduler
        Processor seconds of the scheduler.
    """

    seconds: dict[str, float]
    plan: dict[str, str]
    files: int
    size: int
    busy: dict[str, float]
    scheduler: float

    @property
    def gene_stages(self) -> float:
        """Seconds of the two gene stages together."""
        return sum(self.seconds.get(stage, 0.0) for stage in STAGES)


def export(data: Path, n_workers: int, start: Start, out: Path, *options: str) -> Run:
    """Export `data` once with `n_workers` worker processes."""
    report, log = out.with_suffix(".json"), out.with_suffix(".log")
    program = [str(Path(sys.executable).with_name("cellucid-dask")), "export", str(data)]
    memory = f"{FIXED_MB + WORKER_MB * n_workers}MB"
    clear(out)
    log.write_bytes(b"")
    with start(n_workers) as there:
        command = [*program, "-o", str(out), "--report", str(report), "--memory", memory]
        before = _busy(there.scheduler)
        with clocked(log, there.workers) as busy:
            run_command([*command, *there.options, *options], log, timeout=3600)
        scheduler = _busy(there.scheduler) - before
    told = json.loads(report.read_text())
    return Run(told["seconds"], told["plan"], told["files"], told["bytes"], busy, scheduler)


def clear(out: Path) -> None:
    """Remove an export, and what a run that was stopped has left of it."""
    for folder in (out, staging_folder(out)):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def clocked(log: Path, workers: tuple[psutil.Process, ...]) -> Iterator[dict[str, float]]:
    """Note how busy the workers were in each stage that the log tells the end of."""
    busy: dict[str, float] = {}
    over, last, seen = threading.Event(), _busy(workers), 0

    def look() -> None:
        nonlocal last, seen
        ended = ENDED.findall(log.read_text(errors="replace"))
        if len(ended) > seen:
            now = _busy(workers)
            busy[ended[seen]] = busy.get(ended[seen], 0.0) + now - last
            last, seen = now, len(ended)

    def watch() -> None:
        while not over.wait(LOOKS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    if workers:
        thread.start()
    try:
        yield busy
    finally:
        over.set()
        if workers:
            thread.join()
            look()


def _busy(processes: tuple[psutil.Process, ...]) -> float:
    """Processor seconds so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def rounds(data: Path, work: Path, start: Start, repeat: int) -> list[tuple[Run, Run]]:
    """Export with one and with two workers in turn, `repeat` times each."""
    found: list[tuple[Run, Run]] = []
    made: list[Path] = []
    read_into_cache(data)
    for turn in range(repeat):
        pair: dict[int, Run] = {}
        for n_workers in (1, 2) if turn % 2 == 0 else (2, 1):
            out = work / f"scaling-{data.suffix[1:]}-{n_workers}-{turn}"
            made.append(out)
            pair[n_workers] = export(data, n_workers, start, out)
            made_it = pair[n_workers]
            spent = ", ".join(
                f"{s} {made_it.seconds[s]:.2f} s ({made_it.busy.get(s, 0):.2f} of processor)"
                for s in STAGES
            )
            spent += f", scheduler {made_it.scheduler:.2f}"
            click.echo(f"{data.name}, turn {turn + 1}, {n_workers} workers: {spent}", err=True)
        found.append((pair[1], pair[2]))
    for out in made:  # in the end: ext4 is slower at making files after many were deleted
        clear(out)
    return found


def efficiency(one: float, two: float) -> float:
    """Share of the linear speed-up from one to two workers."""
    return one / (2 * two)


def table(name: str, pairs: list[tuple[Run, Run]]) -> list[str]:
    """Rows of the table of the efficiency: each stage alone, then both."""
    found = []
    for stage in (*STAGES, "both"):
        spent = [
            tuple(r.gene_stages if stage == "both" else r.seconds[stage] for r in pair)
            for pair in pairs
        ]
        one, two = (statistics.median(side) for side in zip(*spent, strict=True))
        ratios = [efficiency(*pair) for pair in spent]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        target = "at least 0.85: " + ("reached" if middle >= 0.85 else "**not reached**")
        row = f"| {name} | {stage} | {one:.2f} | {two:.2f} | {middle:.2f} | {low:.2f} to {high:.2f}"
        found.append(f"{row} | {target if stage == 'both' else ''} |")
    return found
