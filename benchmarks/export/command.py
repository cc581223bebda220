"""Time cellucid-dask against cellucid 0.0.9, both in fresh processes, and print a table.

    python -m benchmarks export genes obs small --repeat 3 --work FOLDER

A case's atlas is made once and kept in the working folder. The two then take turns; before each
run the atlas is read once, so that both find it in the page cache. Memory is resident memory
summed over the process tree, looked at every 50 ms. Figures are medians over the runs.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.export.cases import CASES, Case
from benchmarks.export.table import HEADER, Result, notes, rows
from benchmarks.shared.atlases import find_or_make_atlas
from benchmarks.shared.machine import describe_command, describe_machine
from benchmarks.shared.processes import CommandError, run, warm


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks of every case."""

    work: Path
    repeat: int
    workers: int
    program: str
    timeout: float
    oracle_genes: int | None
    oracle_columns: int | None


def tree_bytes(folder: Path) -> int:
    """Bytes in all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run_oracle(data: Path, case: Case, settings: Settings, out: Path) -> Result:
    """Run the oracle once, and add what it was spared to its figures."""
    report = out.with_suffix(".json")
    command = [sys.executable, str(Path(__file__).with_name("reference.py")), str(data), str(out)]
    command += ["--report", str(report)]
    columns = settings.oracle_columns or case.columns
    if not case.spec.genes:
        command += ["--no-genes", *(["--columns", str(columns)] if columns else [])]
    elif settings.oracle_genes:
        command += ["--genes", str(settings.oracle_genes)]
    measured = run(command, out.with_suffix(".log"), timeout=settings.timeout)
    told = json.loads(report.read_text())
    seconds, added = told["seconds"], told["added"]
    more = sum(part["added_seconds"] for part in added)
    without = seconds.get("prepare_without_columns")  # a second run, which is no part of the job
    return Result(
        seconds=measured.seconds - (without or 0) + more,
        work=seconds["prepare"] + more,
        obs=None if without is None else seconds["prepare"] - without + more,
        peak=measured.peak_bytes,
        size=tree_bytes(out) + sum(part["added_bytes"] for part in added),
        extrapolated="; ".join(part["how"] for part in added),
    )


def run_ours(data: Path, case: Case, settings: Settings, out: Path) -> Result:
    """Run cellucid-dask once."""
    report = out.with_suffix(".json")
    command = [*shlex.split(settings.program), "export", str(data), "-o", str(out)]
    command += ["--workers", str(settings.workers), "--report", str(report)]
    command += ["--memory", case.memory] if case.memory else []
    command += [] if case.spec.genes else ["--no-genes"]
    measured = run(command, out.with_suffix(".log"), timeout=settings.timeout)
    stages = json.loads(report.read_text())["seconds"]
    return Result(
        seconds=measured.seconds,
        work=sum(spent for stage, spent in stages.items() if not stage.startswith("start")),
        obs=sum(spent for stage, spent in stages.items() if stage.startswith("obs")),
        peak=measured.peak_bytes,
        size=tree_bytes(out),
    )


WHO = ("oracle", "ours")


def take_turns(
    name: str, data: Path, case: Case, settings: Settings
) -> tuple[list[Result], list[Result]]:
    """Run both `repeat` times, the other one first each time: results of the oracle and ours."""
    oracle: list[Result] = []
    ours: list[Result] = []
    runners = [("ours", run_ours, ours)]
    if not case.no_oracle:
        runners.insert(0, ("oracle", run_oracle, oracle))
    for turn in range(settings.repeat):
        for who, runner, results in runners[:: -1 if turn % 2 else 1]:
            # A folder for each run, all removed in the end: ext4 is several times slower at
            # making files for minutes after many have been deleted.
            out = settings.work / f"{name}-{who}-{turn}"
            clean(out)
            warm(data)
            results.append(runner(data, case, settings, out))
            if not (out / "dataset_identity.json").is_file():
                raise CommandError(f"{who} ended well, but its export is not complete: {out}")
            took = f"{results[-1].seconds:.1f} s"
            click.echo(f"{name}, turn {turn + 1} of {settings.repeat}, {who}: {took}", err=True)
    return oracle, ours


def clean(out: Path) -> None:
    """Remove an output folder, and the one of the oracle's run without columns."""
    for folder in (out, out.with_name(out.name + ".fixed")):
        shutil.rmtree(folder, ignore_errors=True)


def adjusted(case: Case, scale: float, memory: str | None, oracle: str) -> Case:
    """Make a case smaller, change its bound, or decide on the oracle."""
    spec = replace(case.spec, cells=max(50, round(case.spec.cells * scale)))
    reason = {"auto": case.no_oracle, "always": "", "never": "not run, as asked"}[oracle]
    return replace(case, spec=spec, memory=memory or case.memory, no_oracle=reason)


@click.command("export", help=__doc__.split("\n")[0])
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("benchmark-work"),
    show_default=True,
    help="Where atlases are kept and exports written.",
)
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--memory", help="Bound for cellucid-dask in place of the case's.")
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    help="Multiply the cells of every case, to try the benchmark itself.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of your own for the case `small`.",
)
@click.option(
    "--oracle",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Run cellucid 0.0.9; auto: where it can.",
)
@click.option(
    "--oracle-genes",
    type=click.IntRange(1),
    metavar="K",
    help="Time the oracle on K genes and extrapolate.",
)
@click.option(
    "--oracle-columns",
    type=click.IntRange(1),
    metavar="K",
    help="Time the oracle on K of the 10 categorical columns of `obs` and extrapolate.",
)
@click.option(
    "--program",
    default=str(Path(sys.executable).with_name("cellucid-dask")),
    show_default=True,
    help="Command line of cellucid-dask.",
)
@click.option(
    "--timeout", type=float, default=3600.0, show_default=True, help="Seconds a run may take."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all runs here.")
def command(
    cases: tuple[str, ...],
    scale: float,
    memory: str | None,
    data: Path | None,
    oracle: str,
    json_path: Path | None,
    **given: Any,
) -> None:
    """Run the cases and print the table."""
    settings = Settings(**given)
    settings.work.mkdir(parents=True, exist_ok=True)
    table: list[str] = []
    remarks: list[str] = []
    every: dict[str, Any] = {}
    made: list[Path] = []
    for name in cases or CASES:
        case = adjusted(CASES[name], scale, memory, oracle)
        own = data if name == "small" else None
        path = own or find_or_make_atlas(name, case.spec, settings.work)
        try:
            results = take_turns(name, path, case, settings)
        except CommandError as error:
            raise click.ClickException(str(error)) from None
        table += rows(name, case, *results)
        remarks += notes(name, case, *results)
        every[name] = [[asdict(result) for result in side] for side in results]
        made.extend(
            settings.work / f"{name}-{who}-{t}" for who in WHO for t in range(settings.repeat)
        )
    for out in made:
        clean(out)
    remarks.append(f"- measured on: {describe_machine()}")
    remarks.append(f"- command: `{describe_command()}`")
    if scale != 1:
        remarks.append(f"- cells of every case multiplied by {scale:g}: targets mean nothing")
    print("\n".join([*HEADER, *table, "", *remarks]))
    if json_path:
        json_path.write_text(json.dumps(every, indent=2), encoding="utf-8")
