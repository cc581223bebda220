"""How the export scales: with workers, with tasks, and to atlases that fit on no machine here.

    python -m benchmarks scaling workers --work FOLDER

`workers` compares one and two worker processes, `scheduler` measures what tasks cost, `rates` what
one core does in a second, kept as JSON; `hollow` makes atlases without values for ``--dry-run``,
and `model` prints the tables of docs/explanation/scaling.md from their plans and the rates.
`ready-rates`, `ready-model` and `ready-check` do the same for ready files.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from dask.utils import parse_bytes

from benchmarks.scaling.cluster import request_slurm_workers, start_dask_workers
from benchmarks.scaling.hollow_atlas import ATLASES
from benchmarks.scaling.model import Machine, Planner, predict
from benchmarks.scaling.rates import load_rates, measure_all_rates, measure_plan_rate, save_rates
from benchmarks.scaling.ready_command import ready_check, ready_model, ready_rates
from benchmarks.scaling.runs import format_rows, run_rounds
from benchmarks.scaling.stores import find_or_make_hollow_atlas, find_or_make_store, work
from benchmarks.scaling.tables import format_tables
from benchmarks.scaling.tasks import measure_tasks
from benchmarks.shared.machine import describe_machine
from cellucid_dask.synthetic import AtlasSpec


@click.group("scaling", help=__doc__.split("\n")[0])
def command() -> None:
    """Run one of the benchmarks."""


for ready_command in (ready_rates, ready_model, ready_check):
    command.add_command(ready_command)


@command.command()
@work
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True)
@click.option("--cells", default=600_000, show_default=True)
@click.option("--genes", default=7_000, show_default=True)
@click.option("--format", "formats", multiple=True, default=("h5ad", "zarr"), show_default=True)
@click.option("--slurm", is_flag=True, help="Start the workers as SLURM jobs.")
def workers(
    work: Path, repeat: int, cells: int, genes: int, formats: tuple[str, ...], slurm: bool
) -> None:
    """Time the gene stages with one and with two worker processes."""
    start = request_slurm_workers if slurm else start_dask_workers
    found = [
        "| file | stage | 1 worker, s | 2 workers, s | efficiency | lowest, highest | target |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for ending in formats:
        data = find_or_make_store(AtlasSpec(cells, genes, neighbors=0), ending, work)
        found += format_rows(ending, run_rounds(data, work, start, repeat))
    click.echo("\n".join([*found, "", f"measured on: {describe_machine()}"]))


@command.command()
@click.option("--tasks", default=20_000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--genes", default=9, show_default=True, help="Genes of a task.")
@click.option(
    "--spills",
    default=0,
    show_default=True,
    help="Chunks listed in a task; 0: the path of their list.",
)
@click.option(
    "--strips",
    default=0,
    show_default=True,
    help="Tasks cut chunks at so many strips; 0: tasks write genes.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write it here.")
def scheduler(
    tasks: int, workers: int, genes: int, spills: int, strips: int, json_path: Path | None
) -> None:
    """Run tasks that do nothing, and measure the scheduler."""
    found = measure_tasks(tasks, genes, spills, workers, strips).as_dict()
    for name, value in found.items():
        click.echo(f"{name:>24}  {value:,.6g}" if value < 1 else f"{name:>24}  {value:,.0f}")
    click.echo(f"measured on: {describe_machine()}")
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2), encoding="utf-8")


@command.command()
@work
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
@click.option("--tasks", default=20_000, show_default=True, help="Tasks for the scheduler.")
def rates(work: Path, repeat: int, tasks: int) -> None:
    """Measure what one core does in a second, and save it beside this file."""
    work.mkdir(parents=True, exist_ok=True)
    largest = list(ATLASES)[-1]
    found = {
        **load_rates(),  # those of ready files are measured apart
        "machine": describe_machine(),
        "scheduler": measure_tasks(tasks, 9, 0, 2).as_dict(),
        **measure_plan_rate(find_or_make_hollow_atlas(largest, work), ATLASES[largest].cells),
        **measure_all_rates(work, find_or_make_store, repeat),
    }
    save_rates(found)
    click.echo(json.dumps(found, indent=2))


@command.command()
@work
def hollow(work: Path) -> None:
    """Make atlases that hold shapes, types and pointers, but no values."""
    for name in ATLASES:
        click.echo(str(find_or_make_hollow_atlas(name, work)))


@command.command()
@work
@click.option("--memory", default="8GB", show_default=True, help="Memory of a worker.")
@click.option("--bandwidth", default="20GB", show_default=True, help="Bytes a second of the files.")
@click.option(
    "--opens",
    default=20_000,
    show_default=True,
    help="Files opened in a second.",
)
@click.option(
    "--workers", "counts", multiple=True, default=(32, 64, 128, 256, 512, 1024), show_default=True
)
def model(work: Path, memory: str, bandwidth: str, opens: int, counts: tuple[int, ...]) -> None:
    """Print the tables of docs/explanation/scaling.md."""
    machine = Machine(parse_bytes(memory), parse_bytes(bandwidth), opens)
    for name, spec in ATLASES.items():
        planner = Planner(find_or_make_hollow_atlas(name, work), spec, machine)
        models = [predict(planner.plan(n), load_rates()) for n in counts]
        click.echo("\n".join([f"### {name}", "", *format_tables(models), ""]))
