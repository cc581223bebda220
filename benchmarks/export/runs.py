"""Run the reference and cellucid-dask on a case, taking turns."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.export.cases import Case
from benchmarks.export.table import Result
from benchmarks.shared.processes import CommandError, count_bytes, read_into_cache, run_command

REFERENCE = Path(__file__).with_name("reference.py")
PROGRAMS = ("reference", "cellucid-dask")


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of the command line that hold for every case."""

    work: Path
    repeat: int
    workers: int | None
    program: str
    timeout: float
    reference_genes: int | None
    reference_columns: int | None


def run_reference(data: Path, case: Case, settings: Settings, out: Path) -> Result:
    """Run the reference once, and add the extrapolated rest of a sample to its figures."""
    report_path = out.with_suffix(".json")
    command = [sys.executable, str(REFERENCE), str(data), str(out), "--report", str(report_path)]
    columns = settings.reference_columns or case.sampled_columns
    if not case.spec.genes:
        command += ["--no-genes", *(["--columns", str(columns)] if columns else [])]
    elif settings.reference_genes:
        command += ["--genes", str(settings.reference_genes)]
    measured = run_command(command, out.with_suffix(".log"), timeout=settings.timeout)
    report = json.loads(report_path.read_text())
    seconds, rest = report["seconds"], report["rest"]
    rest_seconds = sum(part["seconds"] for part in rest)
    # The run without columns is a second one, which is no part of the job.
    without_columns = seconds.get("prepare_without_columns")
    return Result(
        seconds=measured.seconds - (without_columns or 0) + rest_seconds,
        work=seconds["prepare"] + rest_seconds,
        obs=None
        if without_columns is None
        else seconds["prepare"] - without_columns + rest_seconds,
        peak=measured.peak_bytes,
        size=count_bytes(out) + sum(part["bytes"] for part in rest),
        sample="; ".join(part["sample"] for part in rest),
    )


def run_cellucid_dask(data: Path, case: Case, settings: Settings, out: Path) -> Result:
    """Run cellucid-dask once."""
    report_path = out.with_suffix(".json")
    command = [*shlex.split(settings.program), "export", str(data), "-o", str(out)]
    command += ["--report", str(report_path)]
    command += ["--workers", str(settings.workers)] if settings.workers else []
    command += ["--memory", case.memory] if case.memory else []
    command += [] if case.spec.genes else ["--no-genes"]
    measured = run_command(command, out.with_suffix(".log"), timeout=settings.timeout)
    stages = json.loads(report_path.read_text())["seconds"]
    return Result(
        seconds=measured.seconds,
        work=sum(spent for stage, spent in stages.items() if not stage.startswith("start")),
        obs=sum(spent for stage, spent in stages.items() if stage.startswith("obs")),
        peak=measured.peak_bytes,
        size=count_bytes(out),
    )


RUNNERS = {"reference": run_reference, "cellucid-dask": run_cellucid_dask}


def run_case(name: str, data: Path, case: Case, settings: Settings) -> dict[str, list[Result]]:
    """Run both programs `repeat` times; each turn starts with the other one.

    Returns
    -------
    Results of each of `PROGRAMS`; none of the reference where the case skips it.
    """
    results: dict[str, list[Result]] = {program: [] for program in PROGRAMS}
    programs = PROGRAMS[1:] if case.reference_skipped else PROGRAMS
    for turn in range(settings.repeat):
        for program in programs[:: -1 if turn % 2 else 1]:
            # Each run has its own folder, and all are removed at the end: ext4 makes files several
            # times slower for minutes after many have been deleted.
            out = output_folder(settings, name, program, turn)
            remove_output(out)
            read_into_cache(data)
            result = RUNNERS[program](data, case, settings, out)
            if not (out / "dataset_identity.json").is_file():
                raise CommandError(f"{program}: exit code 0, but the export {out} is incomplete")
            results[program].append(result)
            progress = f"{name}, turn {turn + 1} of {settings.repeat}, {program}"
            click.echo(f"{progress}: {result.seconds:.1f} s", err=True)
    return results


def output_folder(settings: Settings, name: str, program: str, turn: int) -> Path:
    """Return the folder of one run."""
    return settings.work / f"{name}-{program}-{turn}"


def remove_output(out: Path) -> None:
    """Remove an output folder, and that of the reference's run without columns."""
    for folder in (out, out.with_name(out.name + ".fixed")):
        shutil.rmtree(folder, ignore_errors=True)
