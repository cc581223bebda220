"""The command ``export``: time cellucid-dask beside other programs, and print a table."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.export.cases import BEFORE, CASES, READING, READY, REFERENCE, Case
from benchmarks.export.programs import (
    Program,
    Reading,
    ReadyReference,
    Reference,
    find_version_before,
    make_current_version,
)
from benchmarks.export.runs import Turns, run_case
from benchmarks.export.stores import find_or_make_store
from benchmarks.export.table import HEADER, OURS, format_notes, format_rows
from benchmarks.shared.machine import describe_command, describe_machine
from benchmarks.shared.processes import CommandError

FOLDER = click.Path(path_type=Path, file_okay=False)


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
    type=FOLDER,
    default=Path("benchmark-work"),
    show_default=True,
    help="Folder for the atlases, which stay.",
)
@click.option("--outputs", type=FOLDER, help="Folder for the exports. [default: that of --work]")
@click.option(
    "--ready-reference",
    type=click.Path(exists=True, path_type=Path),
    metavar="PYTHON",
    help="Compare ready files with those of cellucid 0.9.5 in the environment of this Python.",
)
@click.option("--before", metavar="REF", help="Compare with this git ref, or folder with a tree.")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="Runs of each program."
)
@click.option(
    "--reference-repeat",
    type=click.IntRange(1),
    help="Runs of cellucid 0.0.9 and 0.9.5. [default: those of --repeat]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Workers of cellucid-dask. [default: what the version itself chooses]",
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
    work: Path,
    outputs: Path | None,
    ready_reference: Path | None,
    before: str | None,
    repeat: int,
    reference_repeat: int | None,
    workers: int | None,
    memory: str | None,
    scale: float,
    data: Path | None,
    reference: str,
    reference_genes: int | None,
    reference_columns: int | None,
    program: str,
    timeout: float,
    json_path: Path | None,
) -> None:
    """Time cellucid-dask beside cellucid 0.0.9, an older version of itself, and reading alone.

    The atlas of a case is made once and stays in the working folder. The programs take turns, each
    run in a new process; the atlas is read before each run, so that all find it in the page cache.
    Memory is the resident memory of the process tree, sampled every 50 ms. Figures are medians over
    the runs.
    """
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    turns = Turns(repeat, reference_repeat or repeat, timeout)
    rows: list[str] = []
    notes: list[str] = []
    runs: dict[str, Any] = {}
    with _temporary_folder(work) as tree, _temporary_folder(outputs or work) as folder:
        programs: dict[str, Program] = {
            REFERENCE: Reference(reference_genes, reference_columns),
            READING: Reading(),
            OURS: make_current_version(program, workers),
        }
        if ready_reference:
            programs[READY] = ReadyReference(ready_reference.absolute())
        if before:
            programs[BEFORE] = find_version_before(before, tree / "before", workers)
        labels = {role: some.name for role, some in programs.items()}
        for name in cases or CASES:
            case = adjust_case(CASES[name], scale, memory, reference)
            own_file = data.resolve() if data and name == "small" else None
            path = own_file or find_or_make_store(case.atlas or name, case.spec, case.storage, work)
            try:
                results = run_case(name, path, case, programs, turns, folder)
            except CommandError as error:
                raise click.ClickException(str(error)) from None
            found = list(format_rows(name, case, results, labels))
            click.echo("\n".join([*HEADER, *found]), err=True)
            rows += found
            notes += format_notes(name, case, results, labels)
            runs[name] = {role: [asdict(one) for one in side] for role, side in results.items()}
        notes.append(f"- exports in {outputs or work} ({_find_file_system(folder)})")
    notes += [f"- measured on: {describe_machine()}", f"- command: `{describe_command()}`"]
    if scale != 1:
        notes.append(f"- cells of every case multiplied by {scale:g}: the targets do not apply")
    print("\n".join([*HEADER, *rows, "", *notes]))
    if json_path:
        json_path.write_text(json.dumps(runs, indent=2), encoding="utf-8")


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder of this benchmark alone, which is removed at the end and not before."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=parent.resolve()) as folder:
        yield Path(folder)


def _find_file_system(folder: Path) -> str:
    """Name the type of the file system of a folder."""
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    return next((mounts[p] for p in (folder, *folder.parents) if p in mounts), "unknown")
