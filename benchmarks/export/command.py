"""The command ``export``: time cellucid-dask and cellucid 0.0.9, and print a table."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.export.cases import CASES, Case
from benchmarks.export.runs import PROGRAMS, Settings, output_folder, remove_output, run_case
from benchmarks.export.table import HEADER, format_notes, format_rows
from benchmarks.shared.atlases import find_or_make_atlas
from benchmarks.shared.machine import describe_command, describe_machine
from benchmarks.shared.processes import CommandError


def adjust_case(case: Case, scale: float, memory: str | None, reference: str) -> Case:
    """Change the number of cells and the memory of a case, and whether the reference runs."""
    spec = replace(case.spec, cells=max(50, round(case.spec.cells * scale)))
    reasons = {"auto": case.reference_skipped, "always": "", "never": "not run, as requested"}
    return replace(
        case, spec=spec, memory=memory or case.memory, reference_skipped=reasons[reference]
    )


@click.command("export")
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("benchmark-work"),
    show_default=True,
    help="Folder for the atlases, which stay, and the exports.",
)
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="Runs of each program."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Workers of cellucid-dask. [default: its own, threads on all cores]",
)
@click.option("--memory", help="Memory bound of cellucid-dask. [default: that of the case]")
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    help="Multiply the cells of every case, to try the benchmark itself.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own file for the case `small`.",
)
@click.option(
    "--reference",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Run cellucid 0.0.9; auto: in the cases that fit into memory.",
)
@click.option(
    "--reference-genes",
    type=click.IntRange(1),
    metavar="K",
    help="Time cellucid 0.0.9 on K genes and extrapolate.",
)
@click.option(
    "--reference-columns",
    type=click.IntRange(1),
    metavar="K",
    help="Time cellucid 0.0.9 on K of the 10 categorical columns of `obs` and extrapolate.",
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
    reference: str,
    json_path: Path | None,
    **options: Any,
) -> None:
    """Time cellucid-dask and cellucid 0.0.9 in fresh processes, and print a table.

    The atlas of a case is made once and stays in the working folder. The two programs take turns;
    the atlas is read before each run, so that both find it in the page cache. Memory is the
    resident memory of the process tree, sampled every 50 ms. Figures are medians over the runs.
    """
    settings = Settings(**options)
    settings.work.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    notes: list[str] = []
    runs: dict[str, Any] = {}
    for name in cases or CASES:
        case = adjust_case(CASES[name], scale, memory, reference)
        own_file = data if name == "small" else None
        path = own_file or find_or_make_atlas(name, case.spec, settings.work)
        try:
            results = run_case(name, path, case, settings)
        except CommandError as error:
            raise click.ClickException(str(error)) from None
        rows += format_rows(name, case, *results.values())
        notes += format_notes(name, case, *results.values())
        runs[name] = [[asdict(result) for result in side] for side in results.values()]
    for name in runs:
        for program in PROGRAMS:
            for turn in range(settings.repeat):
                remove_output(output_folder(settings, name, program, turn))
    notes += [f"- measured on: {describe_machine()}", f"- command: `{describe_command()}`"]
    if scale != 1:
        notes.append(f"- cells of every case multiplied by {scale:g}: the targets do not apply")
    print("\n".join([*HEADER, *rows, "", *notes]))
    if json_path:
        json_path.write_text(json.dumps(runs, indent=2), encoding="utf-8")
